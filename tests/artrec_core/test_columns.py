"""Columns and schemas: frames get exactly the columns of their table."""

import polars as pl
import pytest

from artrec_core.columns import (
    CATALOGUE,
    DOCUMENT,
    LAKE,
    PUBLICATION,
    RECOMMENDATION,
    VOLATILE,
    WAREHOUSE,
    conform,
    empty_frame,
)
from artrec_core.lake import WRITERS

SCHEMA = {"id": pl.String(), "n": pl.Int32(), "score": pl.Float32()}


def test_a_frame_gets_the_columns_of_the_schema_in_order_and_their_types() -> None:
    frame = conform(pl.DataFrame({"score": [0.5], "extra": [1], "n": [7], "id": ["a"]}), SCHEMA)
    assert frame.schema == SCHEMA
    assert frame.columns == list(SCHEMA)
    assert frame.rows() == [("a", 7, 0.5)]


def test_a_column_that_the_frame_lacks_is_null() -> None:
    frame = conform(pl.DataFrame({"id": ["a", "b"]}), SCHEMA)
    assert frame.schema == SCHEMA
    assert frame.rows() == [("a", None, None), ("b", None, None)]


def test_a_value_that_does_not_fit_its_type_is_an_error() -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError):
        conform(pl.DataFrame({"n": ["seven"]}), SCHEMA)


def test_an_empty_frame_has_all_columns_and_no_rows() -> None:
    frame = empty_frame(CATALOGUE)
    assert frame.schema == CATALOGUE
    assert frame.height == 0
    assert DOCUMENT in frame.columns


def test_every_table_of_the_lake_has_a_step_that_writes_it() -> None:
    assert LAKE.keys() == WRITERS.keys()


@pytest.mark.parametrize("table", WAREHOUSE)
def test_the_key_of_a_warehouse_table_starts_with_the_run_date_and_names_columns(table: str) -> None:
    schema, key = WAREHOUSE[table]
    assert key[0] == "run_date"
    assert set(key) <= schema.keys()
    assert {"run_date", "model_version", "simulated"} <= schema.keys()


def test_scored_tables_have_the_same_columns_in_the_lake_and_in_the_warehouse() -> None:
    assert LAKE["recommendations"] is WAREHOUSE["recommendations_v1"][0] is RECOMMENDATION


def test_times_of_processing_are_volatile_and_the_time_of_an_event_is_not() -> None:
    assert {"crawled_at", "published_at"} == VOLATILE
    assert "published_at" in PUBLICATION
