"""Visits: times apart, moods that follow the picks, and picks that follow the mood."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.columns import ARTWORK, conform
from artrec_core.data.demo import visits as visits_module
from artrec_core.data.demo.tastes import DIM, LatentSpace, build_latent_space, normalise
from artrec_core.data.demo.visits import (
    ANCHOR_KINDS,
    KEEP,
    LEAN,
    MAX_PICKS,
    MORE_PICKS,
    SAME_TASTE_CHANCE,
    SHARES_OF_TASTES,
    Picks,
    Tastes,
    Visits,
    draw_tastes,
    draw_times,
    simulate_visits,
)

DAY_SECONDS = 86400


def latent_space(artworks: int = 60, movements: int = 4) -> LatentSpace:
    """Artworks of some movements in turn; no facets if there are no movements."""
    rows = pl.DataFrame(
        {
            "artwork_id": [f"w{number:03}" for number in range(artworks)],
            "title": "Work",
            "movement": pl.Series(
                [f"movement {number % movements}" if movements else None for number in range(artworks)], dtype=pl.String
            ),
        }
    )
    return build_latent_space(conform(rows, ARTWORK), seed=0)


# So many artworks that no user picks them all.
SPACE = latent_space(800)


def simulated(user_count: int = 40, visit_count: int = 300, seed: int = 0) -> tuple[Tastes, Visits, Picks]:
    rng = np.random.default_rng(seed)
    tastes = draw_tastes(SPACE, user_count, rng)
    user, start = draw_times(np.arange(user_count), visit_count, 60 * DAY_SECONDS, rng)
    return tastes, *simulate_visits(SPACE, tastes, user, start, rng)


# -- tastes -----------------------------------------------------------------------------------------------------------


def test_tastes_are_unit_vectors_near_a_facet_or_an_artwork() -> None:
    tastes = draw_tastes(SPACE, 500, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(tastes.vectors, axis=2), 1, rtol=1e-5)
    anchors = tastes.anchor_vectors[tastes.anchors]
    assert np.einsum("utd,utd->ut", tastes.vectors, anchors).min() > 0.8
    # An anchor is a facet or an artwork, never both.
    assert ((tastes.facet_of >= 0) != (tastes.artwork_of >= 0)).all()
    kinds = {SPACE.facets[facet][0] for facet in tastes.facet_of[tastes.facet_of >= 0]}
    assert kinds <= set(ANCHOR_KINDS)
    assert 0.4 < (tastes.facet_of[tastes.anchors] >= 0).mean() < 0.6


def test_users_have_one_to_three_tastes_in_their_shares() -> None:
    counts = draw_tastes(SPACE, 5000, np.random.default_rng(0)).count
    np.testing.assert_allclose(np.bincount(counts, minlength=4)[1:] / 5000, SHARES_OF_TASTES, atol=0.03)


def test_without_facets_every_taste_is_around_an_artwork() -> None:
    tastes = draw_tastes(latent_space(movements=0), 50, np.random.default_rng(0))
    assert (tastes.artwork_of[tastes.anchors] >= 0).all()


def test_a_facet_of_most_artworks_or_of_one_is_no_anchor() -> None:
    # The only movement is that of all artworks: it cannot distinguish tastes.
    tastes = draw_tastes(latent_space(movements=1), 50, np.random.default_rng(0))
    assert (tastes.facet_of == -1).all()
    tastes = draw_tastes(latent_space(movements=60), 50, np.random.default_rng(0))
    assert (tastes.facet_of == -1).all()


def test_anchors_of_a_large_catalogue_are_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits_module, "_MAX_ANCHORS", 10)
    tastes = draw_tastes(SPACE, 50, np.random.default_rng(0))
    artworks = tastes.artwork_of[tastes.artwork_of >= 0]
    assert len(artworks) == 10
    assert (np.diff(artworks) > 0).all()


# -- times ------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(user_count=st.integers(1, 30), visit_count=st.integers(0, 400), days=st.integers(1, 60), seed=st.integers(0, 99))
def test_visits_are_sorted_apart_and_in_time(user_count: int, visit_count: int, days: int, seed: int) -> None:
    users = np.arange(user_count) * 3 + 1
    user, start = draw_times(users, visit_count, days * DAY_SECONDS, np.random.default_rng(seed))
    assert set(user) <= set(users.tolist())
    assert (np.diff(user) >= 0).all()
    is_same_user = np.diff(user) == 0
    assert (np.diff(start)[is_same_user] >= 3 * 3600).all()
    assert (start >= 7 * 3600).all()
    assert (start < days * DAY_SECONDS).all()


def test_there_are_about_as_many_visits_as_requested_and_a_few_users_come_often() -> None:
    user, _ = draw_times(np.arange(300), 3000, 90 * DAY_SECONDS, np.random.default_rng(0))
    assert 2700 < len(user) < 3300
    visits_per_user = np.sort(np.bincount(user, minlength=300))[::-1]
    assert visits_per_user[:30].sum() > 0.25 * len(user)
    assert np.median(visits_per_user) < visits_per_user.mean()


# -- visits and picks -------------------------------------------------------------------------------------------------


def test_a_mood_is_a_taste_that_leans_towards_the_picks_of_the_visits_before() -> None:
    tastes, visits, picks = simulated()
    leaning = np.zeros((40, DIM), np.float32)
    for visit, user in enumerate(visits.user):
        taste = tastes.vectors[user, visits.taste[visit]]
        np.testing.assert_allclose(visits.mood[visit], normalise(taste + LEAN * leaning[user]), atol=1e-5)
        towards = SPACE.artwork_vectors[picks.artwork[picks.visit == visit]].mean(axis=0)
        leaning[user] = KEEP * leaning[user] + towards
        np.testing.assert_allclose(visits.next_leaning[visit], leaning[user], atol=1e-5)
    assert (visits.taste < tastes.count[visits.user]).all()


def test_the_taste_in_mind_mostly_stays() -> None:
    _, visits, _ = simulated(visit_count=2000)
    is_same_user = visits.user[1:] == visits.user[:-1]
    stays = (visits.taste[1:] == visits.taste[:-1])[is_same_user]
    # A changed taste is drawn from one to three tastes, so it may be the same again.
    assert SAME_TASTE_CHANCE < stays.mean() < SAME_TASTE_CHANCE + 0.12


def test_picks_are_in_order_with_their_affinity_to_the_mood() -> None:
    _, visits, picks = simulated()
    assert (np.diff(picks.visit) >= 0).all()
    assert set(picks.visit.tolist()) == set(range(len(visits.user)))
    counts = np.bincount(picks.visit)
    assert counts.min() >= 1
    assert counts.max() <= MAX_PICKS
    assert counts.mean() == pytest.approx(1 + MORE_PICKS, abs=0.3)
    expected = (SPACE.artwork_vectors[picks.artwork] * visits.mood[picks.visit]).sum(axis=1)
    np.testing.assert_allclose(picks.affinity, expected, atol=1e-5)


def test_picks_are_close_to_the_mood() -> None:
    _, visits, picks = simulated()
    all_affinities = SPACE.artwork_vectors @ visits.mood[picks.visit].T
    assert picks.affinity.mean() > all_affinities.mean() + 0.3


def test_no_artwork_is_picked_twice_unless_the_visit_may_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeats(chance: float) -> int:
        monkeypatch.setattr(visits_module, "REPEAT_CHANCE", chance)
        _, visits, picks = simulated(user_count=10, visit_count=60)
        pairs = list(zip(visits.user[picks.visit].tolist(), picks.artwork.tolist(), strict=True))
        by_visit = list(zip(picks.visit.tolist(), picks.artwork.tolist(), strict=True))
        assert len(set(by_visit)) == len(by_visit)
        return len(pairs) - len(set(pairs))

    assert repeats(0.0) == 0
    assert repeats(1.0) > 0


def test_a_user_who_has_picked_everything_picks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits_module, "REPEAT_CHANCE", 0.0)
    space, rng = latent_space(artworks=3, movements=0), np.random.default_rng(0)
    user, start = np.zeros(9, np.int64), np.arange(9) * DAY_SECONDS
    visits, picks = simulate_visits(space, draw_tastes(space, 1, rng), user, start, rng)
    assert sorted(picks.artwork.tolist()) == [0, 1, 2]
    assert len(visits.user) == 9


def test_in_a_large_catalogue_a_visit_chooses_from_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits_module, "POOL", 5)
    monkeypatch.setattr(visits_module, "REPEAT_CHANCE", 1.0)
    rng = np.random.default_rng(0)
    tastes = draw_tastes(SPACE, 20, rng)
    user, start = np.arange(20), np.zeros(20, np.int64)
    visits, picks = simulate_visits(SPACE, tastes, user, start, rng)
    anchor = tastes.anchors[visits.user, visits.taste]
    logits = 9.0 * tastes.anchor_vectors[anchor] @ SPACE.artwork_vectors.T + SPACE.log_popularity
    best = np.argsort(-logits, axis=1)[:, :5]
    assert all(artwork in best[visit] for visit, artwork in zip(picks.visit, picks.artwork, strict=True))


def test_no_visits_have_no_picks() -> None:
    rng = np.random.default_rng(0)
    empty = np.zeros(0, np.int64)
    visits, picks = simulate_visits(SPACE, draw_tastes(SPACE, 2, rng), empty, empty, rng)
    assert len(visits.user) == len(picks.artwork) == len(picks.affinity) == 0
