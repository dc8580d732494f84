"""The evaluation task of the tribes' night: what is held out, what is hidden, and what lists are measured by."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from artrec_core.errors import ArtrecError
from artrec_core.evaluation.lists import write_lists
from artrec_core.lake import Lake
from jobs.evaluation.task import Protocol, build_task, measure_run
from jobs.evaluation.worker import LISTS
from jobs.step import Night
from tests.artrec_core.recs.evaluation_worlds import ARTWORK_IDS, tribes
from tests.jobs.tribes_night import DAY, commit_tribes, recipe_of


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(recipe_of(commit_tribes(tmp_path)), DAY)


@pytest.mark.parametrize(
    ("protocol", "slug"),
    [
        (Protocol(), "leave-one-out"),
        (Protocol("time-split", cold_share=0.25), "time-split-cold-0.25"),
    ],
)
def test_a_protocol_has_a_short_name(protocol: Protocol, slug: str) -> None:
    assert protocol.slug == slug


def test_protocols_with_different_museums_have_different_names() -> None:
    slugs = {Protocol(unseen_museums=museums).slug for museums in ((), ("tate",), ("tate", "prado"))}
    assert len(slugs) == 3


def test_a_protocol_that_cannot_be_is_refused() -> None:
    with pytest.raises(ArtrecError, match="there is no protocol 'random'; use one of leave-one-out, time-split"):
        Protocol("random")
    with pytest.raises(ArtrecError, match="two ways to hide artworks"):
        Protocol(cold_share=0.1, unseen_museums=("tate",))


def test_the_test_artworks_are_in_the_ground_truth_and_not_in_the_task(night: Night) -> None:
    task, truth = build_task(night, Protocol())
    assert task.test_users.height == len(truth.targets) == 16
    tests = pl.DataFrame(
        {"user_id": task.test_users["user_id"], "artwork_id": [ARTWORK_IDS[row] for row in truth.targets]}
    )
    assert tests.join(task.before_test, on=["user_id", "artwork_id"]).height == 0
    assert tests.join(tribes(), on=["user_id", "artwork_id"], how="semi").height == 16


def test_lists_with_the_test_artwork_first_are_perfect(night: Night, tmp_path: Path) -> None:
    task, truth = build_task(night, Protocol())
    ids = np.full((16, 20), -1, np.int32)
    ids[:, 0] = truth.targets
    user_ids = task.test_users["user_id"].to_list()
    write_lists(tmp_path / LISTS, user_ids, task.artwork_ids, ids, np.zeros(ids.shape, np.float32))
    assert measure_run(task, truth, tmp_path).accuracy["everyone"]["ndcg@10"] == 1


def test_hidden_museums_leave_all_histories_and_are_all_that_is_tested(night: Night) -> None:
    task, truth = build_task(night, Protocol(unseen_museums=("south",)))
    south = ARTWORK_IDS[12:]
    assert task.hidden_ids == south
    for events in (task.train, task.before_test, task.validation):
        assert not events["artwork_id"].is_in(south).any()
    assert {ARTWORK_IDS[row] for row in truth.targets} <= set(south)
    assert 0 < len(truth.targets) < 16


@pytest.mark.parametrize(
    ("museums", "message"),
    [(("north", "south"), "every artwork is from north, south"), (("louvre",), "no artwork is from a museum")],
)
def test_museums_that_leave_nothing_are_refused(night: Night, museums: tuple[str, ...], message: str) -> None:
    with pytest.raises(ArtrecError, match=message):
        build_task(night, Protocol(unseen_museums=museums))


def test_a_night_with_nothing_to_hold_out_is_refused(night: Night) -> None:
    lake = Lake(night.recipe.store.lake)
    part = lake.write_part("histories", DAY, tribes().clear())
    lake.commit("histories", DAY, {"all": [part]}, fingerprint="empty", code_version="test")
    with pytest.raises(ArtrecError, match=f"no user on {DAY} has enough positive events to hold one out"):
        build_task(night, Protocol())
