"""A night of twenty artworks and nine users, as `prepare` commits it, and the same night with something changed."""

from pathlib import Path

import polars as pl

from artrec_core.columns import CATALOGUE, USER, conform
from artrec_core.config import Recipe
from artrec_core.lake import Lake
from tests.artrec_core.model.worlds import WORDS, history

DAY, NEXT = "2026-03-30", "2026-03-31"


def commit_night(recipe: Recipe, day: str, artworks: int = 20, changed: str | None = None, users: int = 8) -> None:
    """Commit a catalogue, its histories, and one more user, who only states an interest.

    The artwork `changed` has another title and document than in the other nights.
    """
    lake = Lake(recipe.store.lake)
    rows = [
        {
            "artwork_id": f"w{row:02d}",
            "title": "new title" if f"w{row:02d}" == changed else WORDS[row % len(WORDS)],
            "content_hash": f"{row}{f'w{row:02d}' == changed}",
            "document": f"the {'blue boat' if row % 2 else 'red horse'} {row}{' new' if f'w{row:02d}' == changed else ''}",
        }
        for row in range(artworks)
    ]
    events = [
        (f"p{user}", f"w{(2 * event + user) % 20:02d}", "like", event, True)
        for user in range(users)
        for event in range(5)
    ]
    tables = {
        "catalogue": conform(pl.DataFrame(rows), CATALOGUE),
        "histories": history(events),
        "people": conform(pl.DataFrame({"user_id": ["quiet"], "interests": ["blue boat"], "simulated": [True]}), USER),
    }
    for table, frame in tables.items():
        lake.commit(table, day, {"all": [lake.write_part(table, day, frame)]}, fingerprint=day, code_version="test")


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed})})


def with_new_registry(recipe: Recipe, folder: Path) -> Recipe:
    """The registry is lost and begins again, with another version 1; the lake stays."""
    store = recipe.store.model_copy(update={"mlflow": f"sqlite:///{folder}/new.db"})
    return recipe.model_copy(update={"store": store})
