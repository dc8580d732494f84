"""One thing changed at a time, and only where it changes something."""

import pytest

from artrec_core.config import Recipe, load
from artrec_core.evaluation.ablations import ABLATIONS, applicable, variant
from tests.conftest import ROOT


@pytest.fixture
def recipe() -> Recipe:
    return load(ROOT / "infra" / "recipes" / "demo.toml")


def test_the_recipe_decides_all_but_what_an_ablation_changes(recipe: Recipe):
    assert variant(recipe, "full", 0) == recipe
    assert variant(recipe, "text-only", 7).model.id_dropout == 1
    assert variant(recipe, "text-only", 7).train.seed == 7
    assert variant(recipe, "id-only", 0).model.tuning == "frozen"
    lora = variant(recipe, "text-lora", 0)
    assert lora.train.text_learning_rate == pytest.approx(10 * recipe.train.text_learning_rate)
    assert lora.model == recipe.model.model_copy(update={"tuning": "lora"})


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_is_a_recipe_that_could_be_written(name: str, recipe: Recipe):
    changed = variant(recipe, name, 0)
    assert Recipe.model_validate(changed.model_dump()) == changed


def test_a_tuned_text_tower_is_compared_with_a_frozen_one(recipe: Recipe):
    found = applicable(recipe, interests=True)
    assert {"text-frozen", "text-lora", "no-matching", "no-augmentation", "no-interests", "id-only"} <= set(found)
    assert not {"full", "text-tuned"} & set(found)
    assert "no-interests" not in applicable(recipe, interests=False)


def test_where_the_text_tower_is_not_trained_nothing_of_its_training_is_taken_away():
    museums = load(ROOT / "infra" / "recipes" / "museums.toml")
    found = applicable(museums, interests=True)
    assert {"text-tuned", "text-lora", "text-only", "id-only"} <= set(found)
    assert "no-matching" in found
    assert not {"text-frozen", "no-augmentation"} & set(found)


def test_what_the_recipe_does_already_is_no_ablation():
    movielens = load(ROOT / "infra" / "recipes" / "movielens.toml", ["train.shuffled=0.0"])
    found = applicable(movielens, interests=False)
    assert ("in-order" in found, "out-of-order" in found) == (False, True)
