"""A night of two tribes of users (`evaluation_worlds`), as `prepare` commits it, and a recipe for it."""

from pathlib import Path

from artrec_core.config import Recipe, load
from artrec_core.lake import Lake
from tests.artrec_core.model.worlds import tiny_settings
from tests.artrec_core.recs.evaluation_worlds import catalogue, tribes, users
from tests.conftest import ROOT

CONFIG = str(ROOT / "infra" / "recipes" / "demo.toml")
DAY = "2026-03-30"


def recipe_of(settings: list[str], *more: str) -> Recipe:
    """The demo's recipe with these overrides."""
    return load(CONFIG, [*settings, *more])


def commit_tribes(folder: Path) -> list[str]:
    """Commit the tribes' tables to a lake in the folder; the overrides for a recipe with this lake and a tiny model."""
    settings = tiny_settings(folder)
    lake = Lake(load(CONFIG, settings).store.lake)
    for table, frame in (("catalogue", catalogue()), ("histories", tribes()), ("people", users())):
        lake.commit(table, DAY, {"all": [lake.write_part(table, DAY, frame)]}, fingerprint=DAY, code_version="test")
    return settings
