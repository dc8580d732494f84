"""A day of six artworks and four people; what a model version recommends can be told apart by its scores."""

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from artrec_core.columns import PUBLICATION, WAREHOUSE, conform

ARTWORKS = [f"demo:{n}" for n in range(6)]
PEOPLE = [f"visitor-{n}" for n in range(4)]
STRATEGIES = ("main", "fresh")
K = 3


def publication(
    day: str, model_version: str = "1", *, status: str = "published", strategy: str = "main", checksum: str = "c"
) -> pl.DataFrame:
    row = {
        "run_date": day,
        "strategy": strategy,
        "model_version": model_version,
        "rows": 51,
        "people": 4,
        "checksum": checksum,
        "status": status,
        "simulated": True,
        "published_at": datetime.now(UTC),
    }
    return conform(pl.DataFrame([row]), PUBLICATION)


def day_tables(day: str, model_version: str = "1") -> dict[str, list[pl.DataFrame]]:
    """The tables of a day; recommendations come in two frames."""
    stamp = {"run_date": day, "model_version": model_version, "simulated": True}
    recommendations = [
        {
            "strategy": strategy,
            "user_id": person,
            "rank": rank,
            "artwork_id": ARTWORKS[(place + rank) % 6],
            "score": float(model_version) + 1 / rank,
            "reason": "because you liked 'Nachtwache'" if rank > 1 else None,
            "because_of": ARTWORKS[place],
            **stamp,
        }
        for strategy in STRATEGIES
        for place, person in enumerate(PEOPLE)
        for rank in range(1, K + 1)
    ]
    artworks = [
        {
            "artwork_id": artwork_id,
            "title": f"[red]Work[/red] {artwork_id} 日本",
            "creators": "Anna; 'Bo'",
            "year_from": -400,
            **stamp,
        }
        for artwork_id in ARTWORKS
    ]
    similar = [
        {"artwork_id": artwork_id, "rank": 1, "other_artwork_id": ARTWORKS[0], "score": 0.5, **stamp}
        for artwork_id in ARTWORKS
    ]
    audiences = [
        {"artwork_id": artwork_id, "rank": 1, "user_id": PEOPLE[0], "score": -1.5, **stamp} for artwork_id in ARTWORKS
    ]
    popular = [{"segment": "overall", "rank": 1, "artwork_id": ARTWORKS[0], "score": 9.0, **stamp}]
    frames = {
        "recommendations_v1": [_frame(recommendations[:5]), _frame(recommendations[5:])],
        "similar_artworks_v1": [_frame(similar)],
        "artwork_audiences_v1": [_frame(audiences)],
        "popular_artworks_v1": [_frame(popular)],
        "artworks_v1": [_frame(artworks)],
    }
    return {table: [conform(frame, WAREHOUSE[table][0]) for frame in parts] for table, parts in frames.items()}


def _frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


ROWS = {table: sum(frame.height for frame in frames) for table, frames in day_tables("2026-03-30").items()}


def no_audit(loaded: Mapping[str, int]) -> None:
    assert loaded == ROWS
