"""Raw rows become quarantine rows: with one text for all, or with what an expression says of each."""

from datetime import UTC, datetime

import polars as pl

from artrec_core.columns import QUARANTINE, RAW
from artrec_core.data.mapped_rows import quarantine_rows

RAW_ROWS = pl.DataFrame(
    [("shop", 7, '{"id": 1}', datetime(2026, 3, 30, tzinfo=UTC)), ("shop", 9, "null", None)], schema=RAW, orient="row"
)


def test_a_text_is_the_same_for_every_row() -> None:
    rows = quarantine_rows("artworks", RAW_ROWS, rule="is_json", reason="the line is empty")
    assert rows.schema == pl.Schema(QUARANTINE)
    assert rows.select("table", "source", "line", "key", "rule", "reason", "record").rows() == [
        ("artworks", "shop", 7, None, "is_json", "the line is empty", '{"id": 1}'),
        ("artworks", "shop", 9, None, "is_json", "the line is empty", "null"),
    ]


def test_an_expression_is_evaluated_on_each_row() -> None:
    rows = quarantine_rows(
        "events",
        RAW_ROWS.with_columns(pl.Series("id", ["first", None])),
        rule=pl.when(pl.col("record") == "null").then(pl.lit("is_record")).otherwise(pl.lit("mappable")),
        reason=pl.format("line {}", "line"),
        key=pl.col("id"),
    )
    assert rows.select("key", "rule", "reason").rows() == [
        ("first", "mappable", "line 7"),
        (None, "is_record", "line 9"),
    ]


def test_no_rows_have_the_columns_as_well() -> None:
    rows = quarantine_rows("events", RAW_ROWS.clear(), rule="is_json", reason=pl.col("record"))
    assert (rows.height, rows.schema) == (0, pl.Schema(QUARANTINE))
