"""Six artworks and four people, scored: what the score step reads and writes of the lake."""

from pathlib import Path
from typing import Any

import polars as pl

from artrec_core.columns import LAKE, conform
from artrec_core.config import Recipe
from artrec_core.lake import Lake
from jobs.score import STEP, TABLES
from jobs.step import run_step
from tests.artrec_core.recs.scoring_worlds import ARTWORK_VECTORS, DAY, NOON, USER_VECTORS

# Ann likes the a's; Bob the b's, and he has looked at b3; Cleo only said what she likes; of Dan nothing is known.
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
                "artwork_id": list(ARTWORK_VECTORS)[::-1],
                "title": [f"Work {artwork_id}" for artwork_id in list(ARTWORK_VECTORS)[::-1]],
                "museum": ["Tate" if artwork_id[0] == "a" else "Prado" for artwork_id in list(ARTWORK_VECTORS)[::-1]],
                "movement": ["Cubism" if artwork_id[0] == "b" else "Realism" for artwork_id in list(ARTWORK_VECTORS)[::-1]],
                "content_hash": [f"hash {artwork_id}" for artwork_id in list(ARTWORK_VECTORS)[::-1]],
            }
        ),
        "people": pl.DataFrame({"user_id": list(USER_VECTORS), "interests": [None, None, "ballet, cubism", None], "simulated": [False] * 4}),
        "histories": pl.DataFrame(
            [
                {"user_id": u, "artwork_id": a, "kind": k, "positive": p, "negative": n, "seen": True, "occurred_at": NOON, "simulated": u == "bob"}
                for u, a, k, p, n in EVENTS
            ]
        ),
        "item_vectors": pl.DataFrame({"artwork_id": list(ARTWORK_VECTORS), "model_version": "3", "vector": [list(v) for v in ARTWORK_VECTORS.values()]}),
        "user_vectors": pl.DataFrame({"user_id": list(USER_VECTORS), "model_version": "3", "vector": [list(v) for v in USER_VECTORS.values()]}),
        "text_vectors": pl.DataFrame(
            {"text_tower": "t", "content_hash": [f"hash {artwork_id}" for artwork_id in ARTWORK_VECTORS], "vector": [[*v, 1.0] for v in ARTWORK_VECTORS.values()]}
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
