"""Each ablation changes one part of the recipe, and is offered only if the part is in use."""

import pytest

from artrec_core.config import Recipe, load
from artrec_core.evaluation.ablations import ABLATIONS, applicable_ablations, variant
from tests.conftest import ROOT


@pytest.fixture
def recipe() -> Recipe:
    return load(ROOT / "infra" / "recipes" / "demo.toml")


def test_an_ablation_changes_only_its_own_keys(recipe: Recipe):
    assert variant(recipe, "full", 0) == recipe
    assert variant(recipe, "text-only", 7).model.id_dropout == 1
    assert variant(recipe, "text-only", 7).train.seed == 7
    assert variant(recipe, "id-only", 0).model.tuning == "frozen"
    lora = variant(recipe, "text-lora", 0)
    assert lora.train.text_learning_rate == pytest.approx(10 * recipe.train.text_learning_rate)
    assert lora.model == recipe.model.model_copy(update={"tuning": "lora"})


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_is_a_valid_recipe(name: str, recipe: Recipe):
    ablated = variant(recipe, name, 0)
    assert Recipe.model_validate(ablated.model_dump()) == ablated


def test_a_tuned_text_tower_is_compared_with_a_frozen_one(recipe: Recipe):
    names = applicable_ablations(recipe, interests=True)
    assert {"text-frozen", "text-lora", "no-matching", "no-augmentation", "no-interests", "id-only"} <= set(names)
    assert not {"full", "text-tuned"} & set(names)
    assert "no-interests" not in applicable_ablations(recipe, interests=False)


def test_a_frozen_text_tower_has_no_ablations_of_the_text_phase():
    museums = load(ROOT / "infra" / "recipes" / "museums.toml")
    names = applicable_ablations(museums, interests=True)
    assert {"text-tuned", "text-lora", "text-only", "id-only"} <= set(names)
    assert "no-matching" in names
    assert not {"text-frozen", "no-augmentation"} & set(names)


def test_a_change_that_the_recipe_already_has_is_not_applicable():
    movielens = load(ROOT / "infra" / "recipes" / "movielens.toml", ["train.shuffled=0.0"])
    names = applicable_ablations(movielens, interests=False)
    assert ("in-order" in names, "out-of-order" in names) == (False, True)
