"""A search's space: its points, the recipe at a point, and what changes the text vectors."""

from pathlib import Path

import pytest

from artrec_core.config import Model, Range, Recipe, Train, load
from artrec_core.errors import ConfigError
from artrec_core.model.search_space import (
    OF_FROZEN_TEXT,
    OF_USERS,
    Space,
    draws,
    grid,
    shortened,
    size_of,
    space_of,
    starting_point,
    text_settings,
    touches_text,
    with_values,
)

DEMO = Path(__file__).parents[3] / "infra" / "recipes" / "demo.toml"
MIXED: Space = {
    "model.dropout": Range(low=0.1, high=0.3),
    "model.layers": [1, 2],
    "train.user_batch": Range(low=8, high=9),
}


def recipe(*overrides: str) -> Recipe:
    return load(DEMO, overrides)


def test_a_grid_has_every_combination_once_in_order() -> None:
    space: Space = {"model.layers": [1, 2], "model.tuning": ["full", "lora"]}
    assert [tuple(one.values()) for one in grid(space)] == [(1, "full"), (1, "lora"), (2, "full"), (2, "lora")]
    assert size_of(space) == 4


def test_a_grid_over_a_range_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"has a range for model\.dropout, train\.user_batch; give lists"):
        grid(MIXED)
    assert size_of(MIXED) == float("inf")


def test_draws_are_different_points_of_the_space_and_the_same_for_a_seed() -> None:
    drawn = draws(MIXED, 30, seed=1)
    assert len({str(one) for one in drawn}) == 30
    assert {one["train.user_batch"] for one in drawn} == {8, 9}
    assert all(0.1 <= float(one["model.dropout"]) <= 0.3 for one in drawn)
    assert drawn == draws(MIXED, 30, seed=1) != draws(MIXED, 30, seed=2)


def test_a_space_with_few_points_is_drawn_once_each() -> None:
    assert sorted(one["model.layers"] for one in draws({"model.layers": [1, 2, 3]}, 10, seed=0)) == [1, 2, 3]


def test_by_order_of_magnitude_as_many_draws_lie_in_each() -> None:
    space: Space = {
        "train.user_learning_rate": Range(low=1e-4, high=1e-2, log=True),
        "train.negatives": Range(low=1, high=1000, log=True),
    }
    drawn = draws(space, 400, seed=0)
    small = sum(float(one["train.user_learning_rate"]) < 1e-3 for one in drawn)
    few = sum(int(one["train.negatives"]) <= 31 for one in drawn)
    assert 160 <= small <= 240
    assert 160 <= few <= 240


def test_a_drawn_number_is_short_and_stays_within_its_range() -> None:
    assert shortened(0.00345678, Range(low=1e-4, high=1e-2)) == 0.003457
    assert shortened(0.1234567, Range(low=0.0, high=0.12345)) == 0.12345
    assert shortened(0.1234567, [0.1234567]) == 0.1234567
    assert shortened(12345678, Range(low=1, high=10**9)) == 12345678


def test_the_recipe_itself_is_a_point_where_it_lies_in_the_space() -> None:
    space: Space = {"model.layers": [1, 2], "model.dropout": Range(low=0.1, high=0.6)}
    assert starting_point(recipe("model.dropout=0.4"), space) == {"model.layers": 2, "model.dropout": 0.4}
    assert starting_point(recipe("model.dropout=0.7"), space) is None
    assert starting_point(recipe(), space) is None  # "auto", until the data have settled it
    assert starting_point(recipe(), {"model.layers": [1, 3]}) is None
    assert starting_point(recipe(), {"model.layers_kept": [1, 3]}) is None


def test_a_recipe_at_a_point_differs_in_nothing_else() -> None:
    found = with_values(recipe(), {"model.layers": 3, "train.user_learning_rate": 0.01})
    assert (found.model.layers, found.train.user_learning_rate) == (3, 0.01)
    assert (
        with_values(found, {"model.layers": 2, "train.user_learning_rate": recipe().train.user_learning_rate})
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
    assert text_settings(with_values(recipe(), {"model.layers": 3, "train.patience": 2})) == before
    assert text_settings(with_values(recipe(), {"train.text_learning_rate": 2e-4})) != before
    assert text_settings(recipe("train.experiment=other", "train.refit=false")) == before


def test_the_keys_that_are_told_apart_are_keys_of_the_recipe() -> None:
    known = {f"model.{name}" for name in Model.model_fields} | {f"train.{name}" for name in Train.model_fields}
    assert known >= OF_USERS | OF_FROZEN_TEXT


def test_the_usual_space_fits_every_recipe_shipped_and_trains_no_text_tower() -> None:
    for path in DEMO.parent.glob("*.toml"):
        for search in ("optuna", "grid"):
            shipped = load(path, [f"tune.search={search}"])
            space = space_of(shipped)
            assert not touches_text(shipped, space)
            load(path, [f"tune.space.{key}={_toml(among)}" for key, among in space.items()])
    assert space_of(recipe("model.heads=5", "model.dim=40"))["model.dim"] == [40]


def _toml(among: Range | list[bool | int | float | str]) -> str:
    if isinstance(among, Range):
        return f"{{ low = {among.low}, high = {among.high}, log = {str(among.log).lower()} }}"
    return str(among)
