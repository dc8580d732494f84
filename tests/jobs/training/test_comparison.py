"""Who a champion may be measured on: nobody whose held-out work it was trained on."""

from pathlib import Path

import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, USER, conform
from artrec_core.config import Recipe, load
from artrec_core.lake import Lake
from artrec_core.model.registry import Version
from artrec_core.model.training_split import read_training_split
from jobs.step import Night
from jobs.training.comparison import not_trained_on
from tests.artrec_core.model.worlds import history
from tests.end_to_end.small_world import small_recipe

DAY, NEXT = "2026-03-30", "2026-03-31"
PEOPLE = ("came back", "stayed away", "is new")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    recipe = load(small_recipe(tmp_path))
    lake = Lake(recipe.store.lake)
    likes = {
        DAY: {"came back": 4, "stayed away": 4, "is new": 0},
        NEXT: {"came back": 6, "stayed away": 4, "is new": 3},
    }
    for day, counts in likes.items():
        events = [(person, f"w{at}", "like", at, True) for person, many in counts.items() for at in range(many)]
        tables = {
            "catalogue": conform(pl.DataFrame({"artwork_id": [f"w{at}" for at in range(8)]}), CATALOGUE),
            "histories": history(events),
            "people": conform(pl.DataFrame({"user_id": PEOPLE}), USER),
        }
        for table, frame in tables.items():
            lake.commit(table, day, {"all": [lake.write_part(table, day, frame)]}, fingerprint=day, code_version="test")
    return recipe


def fair(recipe: Recipe, night: str, **tags: str) -> dict[str, bool]:
    """Who may be tested of the next night against a champion of a night."""
    split = read_training_split(Lake(recipe.store.lake), NEXT, holdout=recipe.train.holdout)
    mask = not_trained_on(Night(recipe, NEXT), Version("1", tags={"run_date": night, **tags}), split)
    return dict(zip(split.held_out.test["user_id"], mask.tolist(), strict=True))


def test_a_champion_of_an_earlier_night_that_held_works_out_saw_none(recipe: Recipe) -> None:
    assert fair(recipe, DAY, holdout="true") == dict.fromkeys(sorted(PEOPLE), True)


def test_a_champion_of_the_same_night_held_the_same_works_out(recipe: Recipe) -> None:
    assert all(fair(recipe, NEXT, holdout="true", refit="true").values())


def test_a_champion_that_was_trained_on_everything_saw_whoever_did_nothing_since(recipe: Recipe) -> None:
    assert fair(recipe, DAY, holdout="false") == {"came back": True, "stayed away": False, "is new": True}
    assert not any(fair(recipe, NEXT, holdout="false").values())


def test_a_champion_of_a_later_night_saw_the_works_of_those_who_went_on(recipe: Recipe) -> None:
    split = read_training_split(Lake(recipe.store.lake), DAY, holdout=recipe.train.holdout)
    mask = not_trained_on(Night(recipe, DAY), Version("1", tags={"run_date": NEXT, "holdout": "true"}), split)
    assert dict(zip(split.held_out.test["user_id"], mask.tolist(), strict=True)) == {
        "came back": False,
        "stayed away": True,
    }


def test_where_the_champions_night_is_gone_only_what_is_sure_counts(recipe: Recipe) -> None:
    assert all(fair(recipe, "2026-03-01", holdout="true").values())
    assert not any(fair(recipe, "2026-03-01", holdout="false").values())
    assert not any(fair(recipe, "2026-04-01", holdout="true").values())
