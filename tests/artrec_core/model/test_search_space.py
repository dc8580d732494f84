"""The space of a search: its points, the recipe at a point, and what changes the text vectors."""

from pathlib import Path

import pytest

from artrec_core.config import Model, Range, Recipe, Train, load
from artrec_core.errors import ConfigError
from artrec_core.model.search_space import (
    FROZEN_TEXT_KEYS,
    USER_TOWER_KEYS,
    SearchSpace,
    apply_values,
    count_points,
    grid_points,
    random_points,
    shorten,
    space_of,
    starting_point,
    text_settings,
    touches_text,
)

DEMO = Path(__file__).parents[3] / "infra" / "recipes" / "demo.toml"
MIXED_SPACE: SearchSpace = {
    "model.dropout": Range(low=0.1, high=0.3),
    "model.layers": [1, 2],
    "train.user_batch": Range(low=8, high=9),
}


def recipe(*overrides: str) -> Recipe:
    return load(DEMO, overrides)


def test_a_grid_has_every_combination_once_in_order() -> None:
    space: SearchSpace = {"model.layers": [1, 2], "model.tuning": ["full", "lora"]}
    assert [tuple(values.values()) for values in grid_points(space)] == [
        (1, "full"),
        (1, "lora"),
        (2, "full"),
        (2, "lora"),
    ]
    assert count_points(space) == 4


def test_a_grid_over_a_range_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"has a range for model\.dropout, train\.user_batch; give lists"):
        grid_points(MIXED_SPACE)
    assert count_points(MIXED_SPACE) == float("inf")


def test_draws_are_different_points_of_the_space_and_the_same_for_a_seed() -> None:
    points = random_points(MIXED_SPACE, 30, seed=1)
    assert len({str(values) for values in points}) == 30
    assert {values["train.user_batch"] for values in points} == {8, 9}
    assert all(0.1 <= float(values["model.dropout"]) <= 0.3 for values in points)
    assert points == random_points(MIXED_SPACE, 30, seed=1) != random_points(MIXED_SPACE, 30, seed=2)


def test_a_space_with_few_points_is_drawn_once_each() -> None:
    assert sorted(values["model.layers"] for values in random_points({"model.layers": [1, 2, 3]}, 10, seed=0)) == [
        1,
        2,
        3,
    ]


def test_a_log_range_draws_evenly_from_each_order_of_magnitude() -> None:
    space: SearchSpace = {
        "train.user_learning_rate": Range(low=1e-4, high=1e-2, log=True),
        "train.negatives": Range(low=1, high=1000, log=True),
    }
    points = random_points(space, 400, seed=0)
    low_rates = sum(float(values["train.user_learning_rate"]) < 1e-3 for values in points)
    low_counts = sum(int(values["train.negatives"]) <= 31 for values in points)
    assert 160 <= low_rates <= 240
    assert 160 <= low_counts <= 240


def test_a_drawn_number_is_short_and_stays_within_its_range() -> None:
    assert shorten(0.00345678, Range(low=1e-4, high=1e-2)) == 0.003457
    assert shorten(0.1234567, Range(low=0.0, high=0.12345)) == 0.12345
    assert shorten(0.1234567, [0.1234567]) == 0.1234567
    assert shorten(12345678, Range(low=1, high=10**9)) == 12345678


def test_the_recipe_itself_is_a_point_where_it_lies_in_the_space() -> None:
    space: SearchSpace = {"model.layers": [1, 2], "model.dropout": Range(low=0.1, high=0.6)}
    assert starting_point(recipe("model.dropout=0.4"), space) == {"model.layers": 2, "model.dropout": 0.4}
    assert starting_point(recipe("model.dropout=0.7"), space) is None
    assert starting_point(recipe(), space) is None  # "auto", until it is resolved from the data
    assert starting_point(recipe(), {"model.layers": [1, 3]}) is None
    assert starting_point(recipe(), {"model.layers_kept": [1, 3]}) is None


def test_a_recipe_at_a_point_differs_in_nothing_else() -> None:
    changed_recipe = apply_values(recipe(), {"model.layers": 3, "train.user_learning_rate": 0.01})
    assert (changed_recipe.model.layers, changed_recipe.train.user_learning_rate) == (3, 0.01)
    assert (
        apply_values(changed_recipe, {"model.layers": 2, "train.user_learning_rate": recipe().train.user_learning_rate})
        == recipe()
    )


@pytest.mark.parametrize(
    ("key", "tuning", "touched"),
    [
        ("train.user_learning_rate", "full", False),
        ("train.text_learning_rate", "full", True),
        ("train.weight_decay", "full", True),
        ("train.weight_decay", "frozen", False),
        ("model.pooling", "frozen", True),
        ("model.tuning", "frozen", True),
    ],
)
def test_points_share_text_vectors_unless_a_key_of_the_text_side_differs(key: str, tuning: str, touched: bool) -> None:
    assert touches_text(recipe(f"model.tuning={tuning}"), {key: [1]}) is touched


def test_keys_of_the_text_side_change_its_settings_and_those_of_users_do_not() -> None:
    before = text_settings(recipe())
    assert text_settings(apply_values(recipe(), {"model.layers": 3, "train.patience": 2})) == before
    assert text_settings(apply_values(recipe(), {"train.text_learning_rate": 2e-4})) != before
    assert text_settings(recipe("train.experiment=other", "train.refit=false")) == before


def test_the_listed_keys_are_keys_of_the_recipe() -> None:
    recipe_keys = {f"model.{name}" for name in Model.model_fields} | {f"train.{name}" for name in Train.model_fields}
    assert recipe_keys >= USER_TOWER_KEYS | FROZEN_TEXT_KEYS


def test_the_default_space_fits_every_example_recipe_and_trains_no_text_tower() -> None:
    for path in DEMO.parent.glob("*.toml"):
        for search in ("optuna", "grid"):
            example = load(path, [f"tune.search={search}"])
            space = space_of(example)
            assert not touches_text(example, space)
            load(path, [f"tune.space.{key}={_toml(domain)}" for key, domain in space.items()])
    assert space_of(recipe("model.heads=5", "model.dim=40"))["model.dim"] == [40]


def _toml(domain: Range | list[bool | int | float | str]) -> str:
    if isinstance(domain, Range):
        return f"{{ low = {domain.low}, high = {domain.high}, log = {str(domain.log).lower()} }}"
    return str(domain)
