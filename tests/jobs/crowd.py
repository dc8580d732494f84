"""A crowd and a catalogue of any size, drawn from a seed, as the score step reads them; rows lie about in several parts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from artrec_core.columns import LAKE, conform
from artrec_core.lake import Lake

DAY = "2026-03-30"


def write_crowd(lake: Lake, people: int, works: int, dim: int = 8, events: int = 6, seed: int = 0) -> None:
    """A night in which each of `people` has about so many `events` with `works`, some of nobody's liking."""
    rng = np.random.default_rng(seed)
    work_ids = pl.Series([f"w{row:07d}" for row in range(works)])
    user_ids = pl.Series([f"u{row:07d}" for row in range(people)])
    movements = [f"movement {row % 5}" for row in range(works)]
    stated = [f"interest {row % 3}" if row % 4 == 0 else None for row in range(people)]
    met = rng.integers(0, works, people * events)
    liked = rng.random(len(met)) < 0.6
    tables = {
        "catalogue": pl.DataFrame(
            {
                "artwork_id": work_ids,
                "title": [f"Work {row}" for row in range(works)],
                "source": [f"source{row % 3}" for row in range(works)],
                "museum": [f"Museum {row % 3}" for row in range(works)],
                "movement": movements,
                "content_hash": work_ids,
            }
        ),
        "people": pl.DataFrame(
            {"user_id": user_ids, "interests": stated, "simulated": [row % 7 == 0 for row in range(people)]},
            schema_overrides={"interests": pl.String},
        ),
        "histories": pl.DataFrame(
            {
                "user_id": user_ids.gather(rng.integers(0, people, len(met))),
                "artwork_id": work_ids.gather(met),
                "kind": "like",
                "positive": liked,
                "negative": False,
                "seen": True,
                "occurred_at": [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=row) for row in range(len(met))],
                "simulated": False,
            }
        ),
        "item_vectors": vectors(rng, "artwork_id", work_ids, dim).with_columns(pl.lit("3").alias("model_version")),
        "user_vectors": vectors(rng, "user_id", user_ids, dim).with_columns(pl.lit("3").alias("model_version")),
        "text_vectors": vectors(rng, "content_hash", work_ids, 4).with_columns(pl.lit("t").alias("text_tower")),
        "interest_vectors": vectors(
            rng, "interests", pl.Series(sorted({one for one in stated if one})), 4
        ).with_columns(pl.lit("t").alias("text_tower")),
    }
    for table, frame in tables.items():
        parts = [lake.write_part(table, DAY, conform(some, LAKE[table])) for some in _laid_about(table, frame)]
        lake.commit(table, DAY, {"all": parts}, fingerprint="f", code_version="c")


def vectors(rng: np.random.Generator, key: str, ids: pl.Series, dim: int) -> pl.DataFrame:
    drawn = rng.standard_normal((len(ids), dim)).astype(np.float32)
    return pl.DataFrame(
        {key: ids, "vector": pl.Series(drawn, dtype=pl.Array(pl.Float32, dim)).cast(pl.List(pl.Float32))}
    )


def _laid_about(table: str, frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """As embed writes vectors: those taken over in one part, those made anew in others, each sorted."""
    if table == "user_vectors":
        taken = pl.int_range(pl.len()) % 3 == 0
        yield frame.filter(taken)
        frame = frame.filter(~taken)
    yield from frame.iter_slices(max(1, -(-frame.height // 2)))
