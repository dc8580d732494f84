"""The SQL of the warehouse: statements, the days that are removed, and the errors about tables and keys."""

import polars as pl
import pytest

from artrec_core.columns import WAREHOUSE
from artrec_core.errors import ArtrecError
from artrec_core.warehouse.schema import (
    TABLES,
    check_tables,
    create_table,
    days_to_remove,
    key_violation,
    removal_entry,
    sql_type,
    views,
)
from tests.artrec_core.warehouse.small_day import publication

DAYS = ["2026-03-28", "2026-03-30", "2026-03-29"]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_has_a_sql_type(table: str) -> None:
    schema, _ = TABLES[table]
    statement = create_table(table)
    assert [f"{name} {sql_type(dtype)}" in statement for name, dtype in schema.items()] == [True] * len(schema)


def test_a_table_is_created_with_its_key_and_partitioned_by_day_on_request() -> None:
    statement = create_table("artworks_v1")
    assert statement.startswith("CREATE TABLE IF NOT EXISTS artrec.artworks_v1 (artwork_id TEXT, title TEXT,")
    assert statement.endswith("PRIMARY KEY (run_date, artwork_id))")
    assert create_table("artworks_v1", partitioned=True) == f"{statement} PARTITION BY LIST (run_date)"


def test_publications_have_no_key_and_no_partitions() -> None:
    statement = create_table("publications", partitioned=True)
    assert "PRIMARY KEY" not in statement
    assert "PARTITION" not in statement


def test_views_follow_those_they_read() -> None:
    names = list(views())
    assert names[:3] == ["served", "attempted", "freshness"]
    assert {
        "recommendations_current",
        "recommendations_by_strategy_current",
        "similar_artworks_current",
        "artwork_audiences_current",
        "popular_artworks_current",
        "artworks_current",
    } == set(names[3:])


def test_only_recommendations_current_is_limited_to_the_default_strategy() -> None:
    limit = "AND strategy = (SELECT strategy FROM artrec.served)"
    assert [name for name, select in views().items() if limit in select] == ["recommendations_current"]


@pytest.mark.parametrize(
    ("published", "keep_days", "removed"),
    [
        ("2026-03-31", None, []),
        ("2026-03-31", 4, []),
        ("2026-03-31", 2, ["2026-03-28", "2026-03-29"]),
        ("2026-03-30", 2, ["2026-03-28"]),  # published again
        ("2026-03-01", 1, ["2026-03-28", "2026-03-29"]),  # a backfill: the published day stays, though it is the oldest
    ],
)
def test_the_oldest_days_are_removed_but_never_the_published_one(
    published: str, keep_days: int | None, removed: list[str]
) -> None:
    assert days_to_remove(DAYS, published, keep_days) == removed


def test_a_publication_needs_exactly_the_tables_of_the_warehouse() -> None:
    check_tables(WAREHOUSE)
    tables = [*(WAREHOUSE.keys() - {"artworks_v1"}), "extra"]
    with pytest.raises(ArtrecError, match=r"missing \['artworks_v1'\], unknown \['extra'\]"):
        check_tables(tables)


def test_the_entry_of_a_removed_day_has_its_date_and_no_rows() -> None:
    entry = removal_entry(publication("2026-03-31", "7"), "2026-03-28")
    values = entry.select("run_date", "status", "rows", "people", "model_version").row(0)
    assert values == ("2026-03-28", "removed", 0, 0, "7")
    assert entry.schema["rows"] == pl.Int64()


def test_a_violated_key_is_named_with_the_first_line_of_the_databases_error() -> None:
    error = key_violation("artworks_v1", "2026-03-31", "\nduplicate key\nDETAIL: all of it")
    assert str(error) == (
        "artworks_v1 of 2026-03-31 cannot be published: every row must be of that day and have its own"
        " (run_date, artwork_id): duplicate key"
    )
