"""Rows for the gates that break no rule. Tests change one value at a time."""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from artrec_core.columns import ARTWORK, EVENT, LINE, QUARANTINE, SOURCE, USER, conform, empty_frame
from artrec_core.config import Rules

DAY = "2026-03-30"
RULES = Rules(min_rows=2)
NONE_UNMAPPED = empty_frame(QUARANTINE)

Row = dict[str, Any]


def creator(**changes: Any) -> Row:
    defaults = {"name": "Ann Maker", "role": "artist", "nationality": None, "gender": None, "born": 1800, "died": 1870}
    return {**defaults, **changes}


def artwork(number: int, **changes: Any) -> Row:
    row = {
        LINE: number,
        "artwork_id": f"museum:{number}",
        "source": "museum",
        "title": f"Work {number}",
        "creators": [creator()],
        "year_from": 1840,
        "year_to": 1841,
        "subjects": ["river"],
        "url": f"https://museum.org/{number}",
        "image_url": f"http://museum.org/{number}.jpg",
        "licence": "CC0",
        "price": 10.0,
        "currency": "EUR",
        "movement": None,
    }
    return {**row, **changes}


def event(number: int, **changes: Any) -> Row:
    row = {
        LINE: number,
        SOURCE: "visits",
        "event_id": f"e{number}",
        "user_id": f"u{number % 5}",
        "artwork_id": "museum:1",
        "kind": "view",
        "dwell_seconds": 12.0,
        "occurred_at": datetime(2026, 3, 30, 23, 59, 59, 999999, tzinfo=UTC),
        "simulated": True,
    }
    return {**row, **changes}


def user(number: int, **changes: Any) -> Row:
    row = {LINE: number, SOURCE: "people", "user_id": f"u{number}", "locale": "en", "interests": "rivers"}
    return {**row, "consent": True, "simulated": True, **changes}


def artworks(rows: list[Row]) -> pl.DataFrame:
    return _frame(rows, {LINE: pl.Int64(), **ARTWORK})


def events(rows: list[Row]) -> pl.DataFrame:
    return _frame(rows, {SOURCE: pl.String(), LINE: pl.Int64(), **EVENT})


def users(rows: list[Row]) -> pl.DataFrame:
    return _frame(rows, {SOURCE: pl.String(), LINE: pl.Int64(), **USER})


def _frame(rows: list[Row], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    given_schema = {name: dtype for name, dtype in schema.items() if rows and name in rows[0]}
    return conform(pl.DataFrame(rows, schema=given_schema), schema) if rows else empty_frame(schema)
