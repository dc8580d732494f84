"""Reactions to the artworks of the shipped catalogue: what follows from a pick, when, and how often."""

import json
from functools import cache

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import ARTWORK, DWELL_SECONDS, EVENT_KINDS, KIND, TEXT, VALUE, conform
from artrec_core.config import Signals
from artrec_core.data.demo.reactions import (
    ARTWORK_NUMBER,
    EVENTS_PER_VISIT,
    IMPRESSIONS_PER_VISIT,
    SEARCHES_PER_VISIT,
    SECOND,
    USER_NUMBER,
    like_chance,
    log_dwell,
    mean_stars,
    positive_chance,
    react,
)
from artrec_core.data.demo.tastes import build_latent_space
from artrec_core.data.demo.visits import ANCHOR_KINDS, Picks, Visits, draw_tastes, draw_times, simulate_visits
from artrec_core.data.sources.demo import artwork, raw_lines

SHIPPED = conform(pl.DataFrame([artwork(json.loads(line)) for line in raw_lines()], infer_schema_length=None), ARTWORK)
SPACE = build_latent_space(SHIPPED, seed=0)
AFFINITIES = np.linspace(-1, 1, 9, dtype=np.float32)


@cache
def reactions() -> tuple[Visits, Picks, pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    tastes = draw_tastes(SPACE, 300, rng)
    user, start = draw_times(np.arange(300), 1500, 90 * 86400, rng)
    visits, picks = simulate_visits(SPACE, tastes, user, start, rng)
    return visits, picks, *react(SPACE, visits, picks, rng)


def events(kind: str) -> pl.DataFrame:
    return reactions()[2].filter(pl.col(KIND) == kind)


def at_picks(kind: str) -> pl.DataFrame:
    """The events of a kind with the second of the view before them."""
    views = events("view").select(
        USER_NUMBER, ARTWORK_NUMBER, pl.col(SECOND).alias("viewed"), pl.col(DWELL_SECONDS).alias("dwell")
    )
    return (
        events(kind)
        .join(views, on=[USER_NUMBER, ARTWORK_NUMBER])
        .filter(pl.col("viewed") < pl.col(SECOND))
        .sort("viewed")
        .unique([USER_NUMBER, ARTWORK_NUMBER, SECOND], keep="last")
    )


def test_chances_rise_with_affinity() -> None:
    assert like_chance(np.array([0.4], np.float32)).tolist() == pytest.approx([0.2])
    for chance in (like_chance(AFFINITIES), positive_chance(AFFINITIES)):
        assert (np.diff(chance) > 0).all()
        assert ((chance > 0) & (chance < 1)).all()
    assert (np.diff(log_dwell(AFFINITIES)) > 0).all()
    assert mean_stars(np.array([-1, 1], np.float32)).tolist() == pytest.approx([-0.4, 4.8])
    assert (positive_chance(AFFINITIES) > like_chance(AFFINITIES)).all()


def test_picks_become_positive_events_as_often_as_predicted() -> None:
    visits, picks, all_events, _ = reactions()
    signals = Signals()
    is_positive = (
        pl.col(KIND).is_in(signals.positive)
        | ((pl.col(KIND) == "rating") & (pl.col(VALUE) >= signals.rating_positive_from))
        | ((pl.col(KIND) == "view") & (pl.col(DWELL_SECONDS) >= signals.long_view_seconds))
    )
    positive_picks = all_events.filter(is_positive).select(USER_NUMBER, ARTWORK_NUMBER).unique()
    pick_pairs = pl.DataFrame({USER_NUMBER: visits.user[picks.visit], ARTWORK_NUMBER: picks.artwork}).unique()
    share = pick_pairs.join(positive_picks, on=[USER_NUMBER, ARTWORK_NUMBER], how="semi").height / len(picks.artwork)
    assert share == pytest.approx(float(positive_chance(picks.affinity).mean()), abs=0.03)


def test_a_visit_has_about_the_expected_number_of_events() -> None:
    visits, _, all_events, _ = reactions()
    assert all_events.height / len(visits.user) == pytest.approx(EVENTS_PER_VISIT, rel=0.05)
    assert set(all_events[KIND]) == set(EVENT_KINDS)


def test_every_pick_is_viewed_once_after_the_pick_before_it() -> None:
    visits, picks, _, viewed = reactions()
    views = events("view")
    assert views.select(USER_NUMBER, ARTWORK_NUMBER, SECOND).rows() == list(
        zip(visits.user[picks.visit].tolist(), picks.artwork.tolist(), viewed.tolist(), strict=True)
    )
    dwell = views[DWELL_SECONDS].to_numpy()
    assert 0 <= dwell.min() <= dwell.max() <= 600
    is_same_visit = np.diff(picks.visit) == 0
    assert (np.diff(viewed)[is_same_visit] >= dwell[:-1][is_same_visit]).all()
    is_first = np.diff(picks.visit, prepend=-1) > 0
    assert (viewed[is_first] == visits.start[picks.visit[is_first]] + 60).all()


@pytest.mark.parametrize("kind", ["like", "favourite", "rating", "comment", "purchase"])
def test_reactions_follow_the_end_of_the_view(kind: str) -> None:
    rows = at_picks(kind)
    assert rows.height == events(kind).height > 0
    assert (rows[SECOND] > rows["viewed"] + rows["dwell"].floor()).all()


def test_favourites_and_purchases_are_liked() -> None:
    likes = events("like").select(USER_NUMBER, ARTWORK_NUMBER)
    for kind, share in (("favourite", 0.3), ("purchase", 0.06)):
        rows = events(kind)
        assert rows.join(likes, on=[USER_NUMBER, ARTWORK_NUMBER], how="semi").height == rows.height
        assert rows.height / likes.height == pytest.approx(share, abs=0.03)


def test_only_ratings_have_values_and_only_views_have_a_time() -> None:
    all_events = reactions()[2]
    assert set(all_events.filter(pl.col(VALUE).is_not_null())[KIND]) == {"rating"}
    assert set(all_events.filter(pl.col(DWELL_SECONDS).is_not_null())[KIND]) == {"view"}
    assert set(all_events.filter(pl.col(TEXT).is_not_null())[KIND]) == {"comment", "search"}
    assert set(events("rating")[VALUE]) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_searches_name_a_facet_of_the_first_pick_before_it_is_viewed() -> None:
    visits, picks, _, _ = reactions()
    first = np.flatnonzero(np.diff(picks.visit, prepend=-1))
    first_pick = {(int(visits.user[visit]), int(visits.start[visit])): int(picks.artwork[pick]) for pick, visit in zip(first, picks.visit[first], strict=True)}  # fmt: skip
    rows = events("search")
    assert rows.height / len(visits.user) == pytest.approx(SEARCHES_PER_VISIT, abs=0.04)
    assert rows[ARTWORK_NUMBER].null_count() == rows.height
    for user, second, text in rows.select(USER_NUMBER, SECOND, TEXT).iter_rows():
        facets = SPACE.facets_of(first_pick[user, second - 45])
        assert text in {SPACE.facets[facet][1].lower() for facet in facets if SPACE.facets[facet][0] in ANCHOR_KINDS}


def test_impressions_are_popular_and_dismissals_follow_five_seconds_later() -> None:
    visits, _, _, _ = reactions()
    views = events("view").select(USER_NUMBER, ARTWORK_NUMBER, pl.col(SECOND) - 1)
    impressions = events("impression").join(views, on=[USER_NUMBER, ARTWORK_NUMBER, SECOND], how="anti")
    assert impressions.height / len(visits.user) == pytest.approx(IMPRESSIONS_PER_VISIT, abs=0.06)
    popularity = np.exp(SPACE.log_popularity.astype(np.float64))
    most_popular = np.argsort(-popularity)[:80]
    share = impressions[ARTWORK_NUMBER].is_in(most_popular.tolist()).mean()
    assert share == pytest.approx(popularity[most_popular].sum() / popularity.sum(), abs=0.03)
    dismissals = events("dismiss").with_columns(pl.col(SECOND) - 5)
    keys = [USER_NUMBER, ARTWORK_NUMBER, SECOND]
    assert dismissals.join(impressions, on=keys, how="semi").height == dismissals.height > 0


def test_without_visits_there_are_no_events() -> None:
    visits, picks = reactions()[:2]
    nobody = Visits(*(getattr(visits, name)[:0] for name in ("user", "start", "taste", "mood", "next_leaning")))
    nothing = Picks(picks.visit[:0], picks.artwork[:0], picks.affinity[:0])
    no_events, viewed = react(SPACE, nobody, nothing, np.random.default_rng(0))
    assert no_events.height == len(viewed) == 0
