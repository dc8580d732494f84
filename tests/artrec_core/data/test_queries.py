"""Queries of three artworks: one with everything, one with gaps, one with nothing."""

from typing import Any

import polars as pl

from artrec_core.columns import CATALOGUE, conform
from artrec_core.data.queries import artwork_queries


def queries(*rows: dict[str, Any]) -> list[tuple[str, int]]:
    return artwork_queries(conform(pl.DataFrame(rows, infer_schema_length=None), CATALOGUE))


FULL = {
    "artwork_id": "a", "title": "Guitar", "movement": "Cubism", "culture": "Spanish", "classification": "painting",
    "medium": "oil", "subjects": ["guitar", None, "table"], "creators": [{"name": "Ann"}, {"name": "Bo"}, {"name": "Ann"}, {"name": None}],
}  # fmt: skip


def test_an_artwork_is_found_by_each_of_its_texts() -> None:
    assert queries(FULL) == [
        ("Guitar", 0),
        ("Ann, Bo", 0),
        ("guitar, table", 0),
        ("Cubism, Spanish", 0),
        ("painting, oil", 0),
    ]


def test_what_is_not_known_gives_no_query_and_rows_keep_their_numbers() -> None:
    nothing = {"artwork_id": "b"}
    gaps = {
        "artwork_id": "c",
        "title": "",
        "culture": "Persian",
        "medium": "ink",
        "subjects": [],
        "creators": [{"name": None}],
    }
    assert queries(nothing, gaps) == [("Persian", 1), ("ink", 1)]
    assert queries(nothing) == []
