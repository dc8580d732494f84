from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import (
    ARTWORK,
    ARTWORK_ID,
    CONSENT,
    EVENT,
    EVENT_ID,
    EVENT_KINDS,
    INTERESTS,
    KIND,
    MOVEMENT,
    OCCURRED_AT,
    SIMULATED,
    TITLE,
    USER,
    USER_ID,
    VALUE,
    conform,
)
from artrec_core.data.demo import visits
from artrec_core.data.demo.visitors import Simulation, simulate
from artrec_core.errors import ArtrecError

MOVEMENTS = ("Impressionism", "Ukiyo-e", "Cubism", "Baroque")


def catalogue(artworks: int = 80) -> pl.DataFrame:
    """Artworks of four movements in turn."""
    return conform(
        pl.DataFrame(
            {
                ARTWORK_ID: [f"demo:{number:03}" for number in range(artworks)],
                TITLE: [f"Work {number}" for number in range(artworks)],
                MOVEMENT: [MOVEMENTS[number % 4] for number in range(artworks)],
            }
        ),
        ARTWORK,
    )


def world(seed: int = 0, artworks: pl.DataFrame | None = None) -> Simulation:
    titled = catalogue() if artworks is None else artworks
    return simulate(titled, users=200, events=6000, days=30, ends="2026-03-31", seed=seed)


@pytest.fixture(scope="module")
def simulated() -> Simulation:
    return world()


def test_the_same_seed_gives_the_same_events(simulated: Simulation) -> None:
    again = world(artworks=catalogue().reverse())
    assert again.events.write_json() == simulated.events.write_json()
    assert again.users.write_json() == simulated.users.write_json()


def test_another_seed_gives_other_events(simulated: Simulation) -> None:
    assert not world(seed=1).events.equals(simulated.events)


def test_events_are_of_every_kind_and_about_as_many_as_requested(simulated: Simulation) -> None:
    assert simulated.events.schema == pl.Schema(EVENT)
    assert set(simulated.events[KIND].unique()) == set(EVENT_KINDS)
    assert 5100 < simulated.events.height < 6900


def test_every_row_says_that_it_is_simulated(simulated: Simulation) -> None:
    assert simulated.events[SIMULATED].all()
    assert simulated.users[SIMULATED].all()


def test_ids_are_unique_and_users_known(simulated: Simulation) -> None:
    assert simulated.events[EVENT_ID].n_unique() == simulated.events.height
    assert simulated.users[USER_ID].to_list() == [f"sim-{number:05}" for number in range(200)]
    assert set(simulated.events[USER_ID]) <= set(simulated.users[USER_ID])


def test_events_lie_within_the_days(simulated: Simulation) -> None:
    assert simulated.events[OCCURRED_AT].min() >= datetime(2026, 3, 2, tzinfo=UTC)
    assert simulated.events[OCCURRED_AT].max() < datetime(2026, 4, 1, tzinfo=UTC)


def test_only_searches_are_about_no_artwork(simulated: Simulation) -> None:
    bare = simulated.events.filter(pl.col(ARTWORK_ID).is_null())
    assert set(bare[KIND]) == {"search"}
    assert bare.height == simulated.events.filter(pl.col(KIND) == "search").height


def test_ratings_are_whole_stars(simulated: Simulation) -> None:
    assert set(simulated.events.filter(pl.col(KIND) == "rating")[VALUE]) <= {1.0, 2.0, 3.0, 4.0, 5.0}


def test_one_user_is_a_bot(simulated: Simulation) -> None:
    per_day = simulated.events.group_by(USER_ID, pl.col(OCCURRED_AT).dt.date()).len()
    assert per_day.filter(pl.col("len") > 1000).height == 1


def test_some_users_have_no_events_and_some_of_these_stated_interests(simulated: Simulation) -> None:
    silent = simulated.users.filter(~pl.col(USER_ID).is_in(simulated.events[USER_ID].implode()))
    assert silent.height == 12  # 3 % and 3 % of 200
    assert silent[INTERESTS].null_count() == 6
    assert simulated.users[INTERESTS].drop_nulls().str.starts_with("I love ").all()


def test_a_few_users_did_not_consent() -> None:
    users = simulate(catalogue(), users=2000, events=2000, days=5, ends="2026-03-31", seed=0).users
    assert users.schema == pl.Schema(USER)
    assert 5 <= users.filter(~pl.col(CONSENT)).height <= 45


def test_artworks_without_a_title_are_never_shown() -> None:
    artworks = catalogue().with_columns(pl.when(pl.col(ARTWORK_ID) != "demo:000").then(pl.col(TITLE)).alias(TITLE))
    assert "demo:000" not in world(artworks=artworks).events[ARTWORK_ID].to_list()


def test_an_empty_catalogue_is_an_error_that_says_so() -> None:
    with pytest.raises(ArtrecError, match="at least two artworks"):
        world(artworks=catalogue(1))


def test_a_big_catalogue_is_walked_through_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "POOL", 30)
    events = world().events
    assert events.filter(pl.col(KIND) == "view")[ARTWORK_ID].n_unique() > 30


def test_the_ground_truth_predicts_the_next_pick_better_than_popularity(simulated: Simulation) -> None:
    truth = simulated.truth
    last = np.flatnonzero(np.diff(truth.visits.user[truth.picks.visit], append=-1))
    user_ids = [f"sim-{user:05}" for user in truth.visits.user[truth.picks.visit[last]]]
    at = [datetime.fromtimestamp(truth.begins.timestamp() + int(truth.picked_at[pick]), UTC) for pick in last]
    scores = truth.scores(user_ids, truth.space.artwork_ids, at)
    assert scores.shape == (len(user_ids), 80)
    picked = truth.picks.artwork[last]
    assert _mean_rank(scores, picked) < 0.75 * _mean_rank(
        np.tile(truth.space.log_popularity, (len(user_ids), 1)), picked
    )


def test_the_ground_truth_scores_unknown_users_by_popularity(simulated: Simulation) -> None:
    scores = simulated.truth.scores(["somebody"], ["demo:001", "demo:002", "gone"])
    popularity = simulated.truth.space.log_popularity[1:3]
    np.testing.assert_allclose(scores[0, :2], popularity)
    assert scores[0, 2] == -np.inf


def _mean_rank(scores: np.ndarray, picked: np.ndarray) -> float:
    return float((scores > scores[np.arange(len(picked)), picked][:, None]).sum(axis=1).mean())
