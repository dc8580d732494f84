"""What only Postgres does."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from artrec_core.errors import ArtrecError
from artrec_core.warehouse.postgres import PostgresWarehouse
from tests.artrec_core.warehouse.small_day import day_tables, no_audit, publication
from tests.small_disk import small_disk

DAY, NEXT_DAY = "2026-03-30", "2026-03-31"
SERVED = "SELECT DISTINCT run_date, model_version FROM artrec.recommendations_current"


def test_each_day_is_a_partition_and_nothing_else_is_left(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    for day, version in ((DAY, "1"), (NEXT_DAY, "1"), (DAY, "2")):
        warehouse.publish(publication(day, version), day_tables(day, version), no_audit)
    rows = warehouse.query(
        "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'artrec' AND c.relkind = 'r' AND c.relname LIKE 'recommendations%' ORDER BY 1"
    )
    assert rows.get_column("name").to_list() == ["recommendations_v1_20260330", "recommendations_v1_20260331"]


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


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3c%zzret@127.0.0.1:9/none",
        "postgresql://app:zzret@[::1/none",
        "postgresql://app:zzret@127.0.0.1:9/none?pass=1",
    ],
)
def test_a_url_that_cannot_be_read_is_said_in_one_line_without_its_password(url: str) -> None:
    with pytest.raises(ArtrecError, match=r"store\.warehouse is not a URL .* write % as %25") as caught:
        PostgresWarehouse(url).publications()
    assert "zzret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def small_rights(postgres_url: str) -> Iterator[tuple[str, str]]:
    """URLs of a new database: as its owner, and as a role that may only connect."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE visitor LOGIN")
        connection.execute("CREATE DATABASE small")
        owner = postgres_url.replace("/postgres?", "/small?")
        yield owner, owner.replace("//postgres:@", "//visitor:@")
        connection.execute("DROP DATABASE small (FORCE)")
        connection.execute("DROP ROLE visitor")


def refused(warehouse: PostgresWarehouse, advice: str) -> None:
    """Publishing and checking end in the same advice, one line each."""
    for use in (lambda: warehouse.publish(publication(DAY), day_tables(DAY), no_audit), warehouse.check):
        with pytest.raises(ArtrecError, match=advice) as caught:
            use()
        assert "\n" not in str(caught.value)


def test_a_role_that_may_create_nothing_is_told_what_it_needs(small_rights: tuple[str, str]) -> None:
    refused(PostgresWarehouse(small_rights[1]), "permission denied for database small.*needs CREATE on the database")


def test_a_role_that_owns_nothing_is_told_what_it_needs(small_rights: tuple[str, str]) -> None:
    owner, visitor = map(PostgresWarehouse, small_rights)
    owner.publish(publication(DAY), day_tables(DAY), no_audit)
    refused(visitor, "permission denied for schema artrec.*must own the schema artrec")
    with pytest.raises(ArtrecError, match="a reader needs USAGE on the schema and SELECT"):
        visitor.publications()
    with psycopg.connect(small_rights[0]) as connection:
        connection.execute("GRANT ALL ON SCHEMA artrec TO visitor")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA artrec TO visitor")
    with pytest.raises(ArtrecError, match="this role does not own artwork_audiences_current of postgres"):
        visitor.check()
    with pytest.raises(ArtrecError, match="must be owner of"):
        visitor.publish(publication(NEXT_DAY), day_tables(NEXT_DAY), no_audit)


def test_the_owner_of_a_schema_needs_no_right_to_make_another(small_rights: tuple[str, str]) -> None:
    with psycopg.connect(small_rights[0]) as connection:
        connection.execute("CREATE SCHEMA artrec AUTHORIZATION visitor")
    warehouse = PostgresWarehouse(small_rights[1])
    warehouse.check()
    warehouse.publish(publication(DAY), day_tables(DAY), no_audit)
    warehouse.check()
    assert warehouse.query(SERVED).rows() == [(DAY, "1")]


def test_checking_leaves_nothing_behind(postgres_url: str) -> None:
    PostgresWarehouse(postgres_url).check()
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT to_regnamespace('artrec')").fetchone() == (None,)


def test_a_database_that_takes_no_writes_is_said(postgres_url: str) -> None:
    read_only = f"{postgres_url}&options=-c%20default_transaction_read_only%3Don"
    refused(PostgresWarehouse(read_only), "the database is read-only; use the primary")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_title_is_refused(postgres_url: str, encoding: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        create = f"CREATE DATABASE latin ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        connection.execute(create)  # type: ignore[arg-type]
        try:
            refused(PostgresWarehouse(postgres_url.replace("/postgres?", "/latin?")), f"latin is encoded in {encoding}")
        finally:
            connection.execute("DROP DATABASE latin (FORCE)")


def test_the_encoding_of_a_shell_does_not_matter(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    PostgresWarehouse(postgres_url).publish(publication(DAY), day_tables(DAY), no_audit)


def test_time_limits_meant_for_apps_do_not_end_a_publication(postgres_url: str) -> None:
    limits = "-c%20idle_in_transaction_session_timeout%3D50%20-c%20transaction_timeout%3D900"
    warehouse = PostgresWarehouse(f"{postgres_url}&options={limits}")
    warehouse.publish(publication(DAY), day_tables(DAY), lambda loaded: time.sleep(1))
    assert PostgresWarehouse(postgres_url).query(SERVED).rows() == [(DAY, "1")]


def test_a_transaction_that_the_server_ends_is_said(postgres_url: str) -> None:
    idle = PostgresWarehouse(f"{postgres_url}&options=-c%20idle_in_transaction_session_timeout%3D20")
    with pytest.raises(ArtrecError, match="ended an idle transaction; raise"), idle._connected() as connection:
        _wait_in_transaction(connection)


def _wait_in_transaction(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    connection.execute("SELECT 1")
    time.sleep(0.2)
    connection.execute("SELECT 1")


def test_a_full_disk_of_the_server_is_said(postgres_url: str) -> None:
    # Where the server, which is another user if root started it, may go.
    folder = Path(tempfile.mkdtemp(prefix="artrec-disk-"))
    try:
        with small_disk(folder, "40k"), psycopg.connect(postgres_url, autocommit=True) as connection:
            home = connection.execute("SHOW data_directory").fetchone()
            assert home is not None
            owner = Path(str(home[0])).stat()
            os.chown(folder, owner.st_uid, owner.st_gid)
            connection.execute(f"CREATE TABLESPACE tiny LOCATION '{folder}'")  # type: ignore[arg-type]
            tiny = PostgresWarehouse(f"{postgres_url}&options=-c%20default_tablespace%3Dtiny")
            with pytest.raises(ArtrecError, match="the database server's disk is full; free space on it"):
                tiny.publish(publication(DAY), day_tables(DAY), no_audit)
            connection.execute("DROP SCHEMA artrec CASCADE")
            connection.execute("DROP TABLESPACE tiny")
    finally:
        folder.rmdir()
