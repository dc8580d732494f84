"""The step embed on a small night: what is encoded, what is taken over, and whose vectors they are."""

from pathlib import Path

import polars as pl
import pytest

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake
from artrec_core.model.registry import Registry
from jobs import embed, train
from jobs.step import run_step
from tests.artrec_core.model.worlds import tiny_settings
from tests.conftest import ROOT
from tests.jobs.small_night import DAY, NEXT, commit_night, with_new_registry, with_seed


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load(ROOT / "infra" / "recipes" / "demo.toml", tiny_settings(tmp_path))


def test_only_what_changed_is_encoded_again(recipe: Recipe):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    first = run_step(embed.STEP, recipe, DAY).figures
    # Training encoded every document for the first champion.
    assert (first["documents_encoded"], first["documents_reused"], first["people_encoded"]) == (0, 20, 9)
    commit_night(recipe, NEXT, artworks=21, changed="w03")
    second = run_step(embed.STEP, recipe, NEXT).figures
    assert (second["documents_encoded"], second["documents_reused"]) == (2, 19)
    # The users who have w03 in their history, and no others.
    changed_users = Lake(recipe.store.lake).read("histories", NEXT).filter(artwork_id="w03")["user_id"].n_unique()
    assert (second["people_encoded"], second["people_reused"]) == (changed_users, 9 - changed_users)


def test_an_artwork_that_is_taken_over_has_the_same_vector(recipe: Recipe):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    commit_night(recipe, NEXT, changed="w03")
    run_step(embed.STEP, recipe, NEXT)
    lake = Lake(recipe.store.lake)
    before, after = (lake.read("item_vectors", day).filter(pl.col("artwork_id") != "w03") for day in (DAY, NEXT))
    assert before.equals(after)
    assert lake.read("user_vectors", NEXT)["user_id"].to_list().count("quiet") == 1
    interests, interests_next = (lake.read("interest_vectors", day) for day in (DAY, NEXT))
    assert interests["interests"].to_list() == ["blue boat"]
    assert interests["text_tower"].to_list() == lake.read("text_vectors", NEXT)["text_tower"].unique().to_list()
    assert interests_next.equals(interests)


def test_a_night_after_a_rollback_is_served_by_the_version_that_came_back(recipe: Recipe):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    other = recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": 1})})
    run_step(train.STEP, other, DAY)
    registry, lake = Registry(recipe.store), Lake(recipe.store.lake)
    registry.promote("2", "better")
    run_step(embed.STEP, recipe, DAY)
    registry.roll_back(None, "complaints")
    commit_night(recipe, NEXT)
    run_step(embed.STEP, recipe, NEXT)
    served = {
        day: {lake.read(table, day)["model_version"].unique().item() for table in ("item_vectors", "user_vectors")}
        for day in (DAY, NEXT)
    }
    assert served == {DAY: {"2"}, NEXT: {"1"}}
    # The night that the other version served is embedded again when it is run again.
    run_step(embed.STEP, recipe, DAY)
    assert lake.manifest("item_vectors", DAY).model_version == "1"


def test_vectors_of_another_model_of_the_same_name_are_never_taken_over(recipe: Recipe, tmp_path: Path):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    lake = Lake(recipe.store.lake)
    before = lake.read("user_vectors", DAY)
    recipe = with_new_registry(recipe, tmp_path)
    run_step(train.STEP, with_seed(recipe, 1), DAY)
    again = run_step(embed.STEP, recipe, DAY).figures
    assert (again["model_version"], again["people_encoded"], again["people_reused"]) == ("1", 9, 0)
    assert not lake.read("user_vectors", DAY).equals(before)
    commit_night(recipe, NEXT)
    following = run_step(embed.STEP, recipe, NEXT).figures
    assert (following["people_encoded"], following["people_reused"]) == (0, 9)
    assert lake.read("user_vectors", NEXT).equals(lake.read("user_vectors", DAY))


def test_vectors_of_the_same_model_in_a_new_registry_are_taken_over(recipe: Recipe, tmp_path: Path):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    recipe = with_new_registry(recipe, tmp_path)
    run_step(train.STEP, recipe, DAY)
    commit_night(recipe, NEXT)
    assert run_step(embed.STEP, recipe, NEXT).figures["people_reused"] == 9


def test_nothing_is_taken_over_from_an_earlier_night_whose_files_are_gone(recipe: Recipe, tmp_path: Path):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    for table in embed.TABLES:
        next((tmp_path / "lake" / table / f"run_date={DAY}").glob("part-*")).unlink()
    commit_night(recipe, NEXT)
    figures = run_step(embed.STEP, recipe, NEXT).figures
    assert (figures["documents_encoded"], figures["people_encoded"]) == (20, 9)


def test_without_a_champion_the_error_says_what_to_run(recipe: Recipe):
    commit_night(recipe, DAY)
    with pytest.raises(ArtrecError, match=f"no champion to make vectors with; run `artrec train --date {DAY}` first"):
        run_step(embed.STEP, recipe, DAY)
