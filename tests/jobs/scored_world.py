"""Six artworks and four people, scored: what the score step reads and writes of the lake."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from artrec_core.columns import LAKE, conform
from artrec_core.config import Recipe
from artrec_core.lake import Lake
from jobs.score import STEP, TABLES
from jobs.step import run_step

DAY = "2026-03-30"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

WORKS = {"a1": (1.0, 0.0), "a2": (0.9, 0.1), "a3": (0.8, 0.3), "b1": (0.0, 1.0), "b2": (0.1, 0.9), "b3": (0.3, 0.8)}
# Ann likes the a's; Bob the b's, and he has looked at b3; Cleo only said what she likes; of Dan nothing is known.
PEOPLE = {"ann": (1.0, 0.0), "bob": (0.0, 1.0), "cleo": (0.1, 1.0), "dan": (0.5, 0.5)}
EVENTS = [
    ("ann", "a1", "like", True, False),
    ("bob", "b1", "purchase", True, False),
    ("bob", "b3", "view", False, False),
    ("bob", "gone", "like", True, False),
]


def write_world(lake: Lake, **changes: pl.DataFrame) -> None:
    tables: dict[str, Any] = {
        "catalogue": pl.DataFrame(
            {
                "artwork_id": list(WORKS)[::-1],
                "title": [f"Work {one}" for one in list(WORKS)[::-1]],
                "museum": ["Tate" if one[0] == "a" else "Prado" for one in list(WORKS)[::-1]],
                "movement": ["Cubism" if one[0] == "b" else "Realism" for one in list(WORKS)[::-1]],
                "content_hash": [f"hash {one}" for one in list(WORKS)[::-1]],
            }
        ),
        "people": pl.DataFrame({"user_id": list(PEOPLE), "interests": [None, None, "ballet, cubism", None], "simulated": [False] * 4}),
        "histories": pl.DataFrame(
            [
                {"user_id": u, "artwork_id": a, "kind": k, "positive": p, "negative": n, "seen": True, "occurred_at": NOON, "simulated": u == "bob"}
                for u, a, k, p, n in EVENTS
            ]
        ),
        "item_vectors": pl.DataFrame({"artwork_id": list(WORKS), "model_version": "3", "vector": [list(v) for v in WORKS.values()]}),
        "user_vectors": pl.DataFrame({"user_id": list(PEOPLE), "model_version": "3", "vector": [list(v) for v in PEOPLE.values()]}),
        "text_vectors": pl.DataFrame(
            {"text_tower": "t", "content_hash": [f"hash {one}" for one in WORKS], "vector": [[*v, 1.0] for v in WORKS.values()]}
        ),
        "interest_vectors": pl.DataFrame({"text_tower": "t", "interests": ["ballet, cubism"], "vector": [[0.1, 1.0, 1.0]]}),
    }  # fmt: skip
    for table, frame in (tables | changes).items():
        part = lake.write_part(table, DAY, conform(frame, LAKE[table]))
        lake.commit(table, DAY, {"all": [part]}, fingerprint="f", code_version="c")


def recipe_in(folder: Path, **sections: Any) -> Recipe:
    store = {name: str(folder / name) for name in ("lake", "warehouse", "artifacts", "work")}
    return Recipe.model_validate(
        {
            "name": "small",
            "store": {**store, "mlflow": "sqlite:///none.db"},
            "sources": [{"name": "demo", "kind": "demo"}],
            "score": {"k": 3, "similar_k": 2, "audience_k": 2, "popular_k": 2},
            **sections,
        }
    )


def scored(folder: Path, **sections: Any) -> dict[str, pl.DataFrame]:
    recipe = recipe_in(folder, **sections)
    lake = Lake(recipe.store.lake)
    if lake.find_manifest("catalogue", DAY) is None:
        write_world(lake)
    run_step(STEP, recipe, DAY)
    return {table: lake.read(table, DAY) for table in TABLES}


def lists(rows: pl.DataFrame, key: str, value: str) -> dict[str, list[str]]:
    return {name: part[value].to_list() for (name,), part in rows.group_by(key, maintain_order=True)}
