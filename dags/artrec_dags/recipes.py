"""The project's folder, its recipes, and the sources that a recipe names.

It imports nothing heavy, because Airflow parses it often.
"""

import os
from pathlib import Path

from artrec_core.config import AnySource, Recipe, is_simulated, load

# The folder in which jobs run; file names in recipes are relative to it.
HOME = Path(os.environ.get("ARTREC_HOME", Path(__file__).resolve().parents[2]))
RECIPE = os.environ.get("ARTREC_RECIPE", "infra/recipes/demo.toml")


def read_recipe(path: str) -> Recipe:
    """Read a recipe; `path` is relative to HOME. The `ConfigError` of an invalid recipe names the file and the key."""
    return load(HOME / path)


def independent_sources(recipe: Recipe) -> list[str]:
    """Names of the sources that can be crawled at the same time, each in a task of its own, in the recipe's order.

    Simulated events depend on the artworks, so the task `crawl` makes them after all other sources have been crawled.
    """
    sources: list[AnySource] = [*recipe.sources, *recipe.events, *recipe.users]
    # One name may stand for a source of artworks and one of events: one task crawls both.
    return list(dict.fromkeys(source.name for source in sources if not is_simulated(source)))


def recipe_paths() -> list[str]:
    """The recipes of the project and the recipe of this deployment, as paths relative to HOME."""
    paths = {str(path.relative_to(HOME)) for path in (HOME / "infra" / "recipes").glob("*.toml")}
    return sorted(paths | {RECIPE})
