"""Where the project and its recipes are, and what a recipe says of its sources. Imports nothing heavy."""

import os
from pathlib import Path

from artrec_core.config import AnySource, Recipe, is_simulated, load

# Jobs run here: recipes name their files relative to it.
HOME = Path(os.environ.get("ARTREC_HOME", Path(__file__).resolve().parents[2]))
RECIPE = os.environ.get("ARTREC_RECIPE", "infra/recipes/demo.toml")


def read(path: str) -> Recipe:
    """A recipe, its path taken from the project's root. Raises `ConfigError`, one line with the file and the key."""
    return load(HOME / path)


def crawled_apart(recipe: Recipe) -> list[str]:
    """Names of the sources that can be crawled each by itself, all at once, in the recipe's order.

    Simulated visitors look at the artworks, so they are left to the crawl that gathers.
    """
    sources: list[AnySource] = [*recipe.sources, *recipe.events, *recipe.users]
    apart = (one.name for one in sources if not is_simulated(one))
    return list(dict.fromkeys(apart))


def shipped() -> list[str]:
    """Every recipe of the project, and the one this deployment runs, as paths from the project's root."""
    found = {str(path.relative_to(HOME)) for path in (HOME / "infra" / "recipes").glob("*.toml")}
    return sorted(found | {RECIPE})
