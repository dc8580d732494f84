"""The whole recipe: its sections fit together, and the shipped recipes are valid."""

import re
from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.errors import ConfigError
from tests.artrec_core.config.recipes import write_recipe
from tests.conftest import ROOT

RECIPES = sorted((ROOT / "infra" / "recipes").glob("*.toml"))


def test_the_recipes_shipped_are_found() -> None:
    assert {"demo.toml", "museums.toml", "movielens.toml"} <= {path.name for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_shipped_reads_and_opens_with_its_command(path: Path) -> None:
    assert load(path).name == path.stem.replace("_", "-")
    opening = path.read_text().splitlines()[0]
    command = rf"artrec (nightly|train|evaluate) --config infra/recipes/{path.name} --date \d"
    assert re.match(rf"# (\w+=\S+ )?{command}", opening)


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'demo' is used twice"):
        load(write_recipe(tmp_path, '[[sources]]\nname = "demo"\nkind = "demo"\n'))


def test_users_do_not_take_the_name_of_a_simulated_source_which_brings_its_own(tmp_path: Path) -> None:
    people = '[[events]]\nname = "app"\nkind = "simulated"\n[[users]]\nname = "app"\npath = "users.csv"\n'
    with pytest.raises(ConfigError, match="users: the name 'app' is used twice"):
        load(write_recipe(tmp_path, people))


def test_a_default_strategy_must_be_one_of_the_strategies(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'other' is not the name of a strategy"):
        load(write_recipe(tmp_path, '[publish]\nstrategy = "other"\n'))


def test_the_simulated_sources_are_the_event_sources_that_simulate_users(tmp_path: Path) -> None:
    lines = (
        '[[events]]\nname = "app"\nkind = "file"\npath = "a.csv"\n[[events]]\nname = "visitors"\nkind = "simulated"\n'
    )
    assert [source.name for source in load(write_recipe(tmp_path, lines)).simulated_sources] == ["visitors"]


def test_a_recipe_without_a_source_of_artworks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`sources`: List should have at least 1 item"):
        load(write_recipe(tmp_path), ["sources=[]"])
