"""What the DAGs read of a recipe."""

from pathlib import Path

from artrec_dags.recipes import independent_sources, read_recipe, recipe_paths
from tests.end_to_end.small_world import small_recipe


def test_the_shipped_recipes_are_offered() -> None:
    assert {"infra/recipes/demo.toml", "infra/recipes/museums.toml"} <= set(recipe_paths())


def test_simulated_visitors_wait_for_the_artworks(tmp_path: Path) -> None:
    extra = '[[users]]\nname = "told"\npath = "people.csv"\n[[sources]]\nname = "tate"\nkind = "tate"\npath = "t.gz"\n'
    assert independent_sources(read_recipe(str(small_recipe(tmp_path, extra)))) == ["demo", "tate", "told"]


def test_a_name_that_stands_for_artworks_and_events_is_crawled_once(tmp_path: Path) -> None:
    extra = '[[users]]\nname = "demo"\npath = "people.csv"\n'
    assert independent_sources(read_recipe(str(small_recipe(tmp_path, extra)))) == ["demo"]
