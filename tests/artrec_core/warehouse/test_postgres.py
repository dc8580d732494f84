"""What only Postgres does."""

import psycopg
import pytest

from artrec_core.errors import ArtrecError
from artrec_core.warehouse.postgres import PostgresWarehouse
from tests.artrec_core.warehouse.small_day import day_tables, no_audit, publication

DAY, NEXT_DAY = "2026-03-30", "2026-03-31"
SERVED = "SELECT DISTINCT run_date, model_version FROM artrec.recommendations_current"


def test_each_day_is_a_partition_and_nothing_else_is_left(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    for day, version in ((DAY, "1"), (NEXT_DAY, "1"), (DAY, "2")):
        warehouse.publish(publication(day, version), day_tables(day, version), no_audit)
    found = warehouse.query(
        "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'artrec' AND c.relkind = 'r' AND c.relname LIKE 'recommendations%' ORDER BY 1"
    )
    assert found.get_column("name").to_list() == ["recommendations_v1_20260330", "recommendations_v1_20260331"]


def test_a_transaction_that_reads_keeps_its_day_while_a_rerun_replaces_it(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    warehouse.publish(publication(DAY, "1"), day_tables(DAY, "1"), no_audit)
    with psycopg.connect(postgres_url) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert reader.execute("SELECT stale FROM artrec.freshness").fetchall() == [(False,)]
        warehouse.publish(publication(DAY, "2"), day_tables(DAY, "2"), no_audit)
        assert reader.execute(SERVED).fetchall() == [(DAY, "1")]
    assert warehouse.query(SERVED).rows() == [(DAY, "2")]


def test_a_reader_that_does_not_let_go_is_named_and_nothing_changes(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url, swap_tries=1)
    warehouse.publish(publication(DAY), day_tables(DAY), no_audit)
    with psycopg.connect(postgres_url, application_name="slow-app") as reader:
        reader.execute(SERVED)
        with pytest.raises(ArtrecError, match="slow-app idle in transaction"):
            warehouse.publish(publication(NEXT_DAY), day_tables(NEXT_DAY), no_audit)
        assert reader.execute(SERVED).fetchall() == [(DAY, "1")]
    assert warehouse.publications().height == 1
    warehouse.publish(publication(NEXT_DAY), day_tables(NEXT_DAY), no_audit)
    assert warehouse.query(SERVED).rows() == [(NEXT_DAY, "1")]


def test_a_persons_rows_are_found_by_the_index_of_one_day(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    for day in (DAY, NEXT_DAY):
        warehouse.publish(publication(day), day_tables(day), no_audit)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET enable_seqscan = off")
        explain = (
            "EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM artrec.recommendations_current WHERE user_id = 'visitor-1'"
        )
        plan = [str(line) for (line,) in connection.execute(explain)]
    scans = [line for line in plan if "Scan" in line and "recommendations_v1" in line]
    assert len(scans) == 2
    assert sum("never executed" in line for line in scans) == 1
    assert any("_pkey" in line for line in scans)


def test_a_database_that_is_not_there_is_said_without_its_password() -> None:
    with pytest.raises(ArtrecError, match=r"cannot reach the warehouse .*127\.0\.0\.1.*store\.warehouse") as caught:
        PostgresWarehouse("postgresql://app:secret@127.0.0.1:9/none").publications()
    assert "secret" not in str(caught.value)
