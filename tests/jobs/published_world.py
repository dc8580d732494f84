"""Three users and six artworks, scored: what publish reads of the lake."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from artrec_core.columns import LAKE, conform
from artrec_core.config import Recipe, load
from artrec_core.lake import Lake

DAY, NEXT_DAY = "2026-03-30", "2026-03-31"
WORKS = {
    "demo:1": "The [bold]Starry[/bold] Night",
    "demo:2": "Sunflowers",
    "demo:3": "神奈川沖浪裏",
    "demo:4": "The \x1b[31mScream",
    "demo:5": "Olympia",
    "demo:6": "Guernica",
}
SEEN = {"visitor-1": ["demo:1", "demo:2"], "visitor-2": ["demo:3"], "visitor-3": []}


def recipe_in(folder: object, *overrides: str) -> Recipe:
    """The demo recipe with its stores in a folder."""
    stores = [f"store.lake={folder}/lake", f"store.warehouse={folder}/warehouse.duckdb"]
    return load("infra/recipes/demo.toml", [*stores, *overrides])


def store_overrides(folder: Path, **addresses: str) -> list[str]:
    """Overrides that put every store and a base model into a folder, except the stores that `addresses` names."""
    model = folder / "base"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text("{}")
    values = {
        "store.lake": f"{folder}/lake",
        "store.warehouse": f"{folder}/warehouse.duckdb",
        "store.mlflow": f"sqlite:///{folder}/mlflow.db",
        "store.artifacts": f"{folder}/artifacts",
        "store.models": f"{folder}/models",
        "store.work": f"{folder}/work",
        "model.base": f"folder:{model}",
    } | {f"store.{name}": address for name, address in addresses.items()}
    return [f"{key}={value}" for key, value in values.items()]


def write_day(
    recipe: Recipe,
    day: str = DAY,
    model_version: str = "1",
    *,
    show_seen: bool = False,
    seen: dict[str, list[str]] = SEEN,
) -> None:
    """Commit a night's tables: of users who have `seen` these artworks; with `show_seen` these are recommended to them again."""
    stamp = {"run_date": day, "model_version": model_version, "simulated": True}
    recommendations = []
    for user, seen_works in seen.items():
        works = [work for work in WORKS if show_seen or work not in seen_works][:3]
        for rank, work in enumerate(works, 1):
            reason = f"because you liked {WORKS[seen_works[0]]}" if seen_works else "popular among visitors"
            row = {
                "strategy": "main",
                "user_id": user,
                "rank": rank,
                "artwork_id": work,
                "score": 1 / rank,
                "reason": reason,
            }
            recommendations.append({**row, "because_of": seen_works[0] if seen_works else None, **stamp})
    events = [
        {
            "user_id": user,
            "artwork_id": work,
            "event_id": f"{user}-{work}",
            "kind": "like",
            "occurred_at": datetime(2026, 3, 1 + number, tzinfo=UTC),
            "positive": True,
            "negative": False,
            "seen": True,
            "simulated": True,
        }
        for user, seen_works in seen.items()
        for number, work in enumerate(seen_works)
    ]
    users = [{"user_id": user, "simulated": True, "interests": None if seen[user] else "waves"} for user in seen]
    creator = {
        "name": "Vincent van Gogh",
        "role": None,
        "nationality": None,
        "gender": None,
        "born": None,
        "died": None,
    }
    catalogue = [
        {
            "artwork_id": work,
            "source": "demo",
            "title": title,
            "creators": [creator],
            "date_text": "1888",
            "document": title,
        }
        for work, title in WORKS.items()
    ]
    _commit(recipe, day, "recommendations", recommendations, model_version)
    _commit(recipe, day, "histories", events, model_version)
    _commit(recipe, day, "people", users, model_version)
    _commit(recipe, day, "catalogue", catalogue, model_version)
    similar = [{"artwork_id": "demo:1", "rank": 1, "other_artwork_id": "demo:2", "score": 0.9, **stamp}]
    _commit(recipe, day, "similar_artworks", similar, model_version)
    audience = [{"artwork_id": "demo:1", "rank": 1, "user_id": "visitor-2", "score": 0.9, **stamp}]
    _commit(recipe, day, "artwork_audiences", audience, model_version)
    # Segments as `popular_artworks` writes them; the first by name is not the one of all works.
    popular = [
        {"segment": "movement:Cubism", "rank": 1, "artwork_id": "demo:5", "score": 2.0, **stamp},
        {"segment": "overall", "rank": 1, "artwork_id": "demo:6", "score": 9.0, **stamp},
    ]
    _commit(recipe, day, "popular_artworks", popular, model_version)


def _commit(recipe: Recipe, day: str, table: str, rows: list[dict[str, Any]], model_version: str) -> None:
    lake = Lake(recipe.store.lake)
    frame = conform(pl.DataFrame(rows, infer_schema_length=None), LAKE[table])
    # Two parts, as big tables have.
    halves = (frame[: frame.height // 2], frame[frame.height // 2 :])
    parts = [lake.write_part(table, day, half) for half in halves if half.height]
    lake.commit(table, day, {"all": parts}, fingerprint="f", code_version="c", model_version=model_version)
