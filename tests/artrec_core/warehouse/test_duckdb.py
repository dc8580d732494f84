"""What only a DuckDB file does."""

import shutil
from pathlib import Path

import duckdb
import pytest

from artrec_core.errors import ArtrecError
from artrec_core.stores import StoreAddress, explain_errors
from artrec_core.warehouse.duckdb import STORAGE_VERSION, DuckDBWarehouse
from artrec_core.warehouse.schema import TABLES, views
from tests.artrec_core.warehouse.small_day import day_tables, no_audit, publication
from tests.small_disk import small_disk

DAY, NEXT_DAY = "2026-03-30", "2026-03-31"
PLACE = StoreAddress("the warehouse", "w.duckdb", "store.warehouse")
SERVED = "SELECT DISTINCT run_date FROM artrec.recommendations_current"


def test_a_reader_with_an_old_handle_keeps_the_old_day(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    warehouse = DuckDBWarehouse(str(path))
    warehouse.publish(publication(DAY), day_tables(DAY), no_audit)
    with duckdb.connect(path, read_only=True) as old:
        warehouse.publish(publication(NEXT_DAY), day_tables(NEXT_DAY), no_audit)
        assert old.execute(SERVED).fetchall() == [(DAY,)]
    with duckdb.connect(path, read_only=True) as new:
        assert new.execute(SERVED).fetchall() == [(NEXT_DAY,)]


def test_a_day_that_is_published_while_a_reader_opens_the_file_does_not_mix_with_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, connect = tmp_path / "warehouse.duckdb", duckdb.connect
    warehouse = DuckDBWarehouse(str(path))
    warehouse.publish(publication(DAY), day_tables(DAY), no_audit)

    def publish_first() -> duckdb.DuckDBPyConnection:
        monkeypatch.setattr(duckdb, "connect", connect)
        warehouse.publish(publication(NEXT_DAY), day_tables(NEXT_DAY), no_audit)
        return connect()

    monkeypatch.setattr(duckdb, "connect", publish_first)
    assert warehouse.query(SERVED).rows() == [(DAY,)]
    assert warehouse.query(SERVED).rows() == [(NEXT_DAY,)]


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(ArtrecError, match=r"warehouse\.duckdb cannot be used .*cannot be read as a DuckDB file"):
        DuckDBWarehouse(str(path)).query(SERVED)


def test_the_file_can_be_read_by_the_version_before(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    for day in (DAY, NEXT_DAY):
        DuckDBWarehouse(str(path)).record(publication(day, status="failed"))
    with duckdb.connect(path, read_only=True) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'warehouse'").fetchall()
    assert tags[0][0]["storage_version"].startswith(STORAGE_VERSION)


def test_nothing_but_the_warehouse_and_its_lock_is_left(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(str(tmp_path / "new" / "warehouse.duckdb"))
    warehouse.publish(publication(DAY), day_tables(DAY), no_audit)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"warehouse.duckdb", ".warehouse.duckdb.lock"}


def test_a_publisher_that_waits_too_long_says_why(tmp_path: Path) -> None:
    path = str(tmp_path / "warehouse.duckdb")
    with DuckDBWarehouse(path)._locked(), pytest.raises(ArtrecError, match="another publisher"):
        DuckDBWarehouse(path, lock_seconds=0.1).record(publication(DAY))


def test_a_file_named_like_the_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtrecError, match="has the name of the schema artrec; choose another name"):
        DuckDBWarehouse(str(tmp_path / "artrec.duckdb"))


def test_plain_duckdb_reads_every_table_and_view(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    DuckDBWarehouse(str(path)).publish(publication(DAY), day_tables(DAY), no_audit)
    with duckdb.connect(path, read_only=True) as connection:
        for name in (*TABLES, *views()):
            assert len(connection.sql(f"SELECT * FROM artrec.{name}").fetchall()) > 0, name


def test_a_database_of_something_else_has_nothing_published_and_keeps_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS x")
    warehouse = DuckDBWarehouse(str(path))
    assert warehouse.publications().height == 0
    with pytest.raises(ArtrecError, match="nothing is published"):
        warehouse.query(SERVED)
    warehouse.publish(publication(DAY), day_tables(DAY), no_audit)
    assert warehouse.query("SELECT x FROM main.mine").rows() == [(1,)]


def test_a_full_and_a_read_only_disk_are_said_and_what_was_served_stays(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    warehouse = DuckDBWarehouse(str(path))
    with small_disk(tmp_path, "8M") as disk:
        warehouse.publish(publication(DAY), day_tables(DAY), no_audit)
        (tmp_path / "fill").write_bytes(b"1" * (shutil.disk_usage(tmp_path).free - path.stat().st_size))
        with pytest.raises(ArtrecError, match=r"is full; free space there or set store\.warehouse"):
            warehouse.publish(publication(NEXT_DAY), day_tables(NEXT_DAY), no_audit)
        assert warehouse.query(SERVED).rows() == [(DAY,)]
        assert not list(tmp_path.glob(".*.building*"))
        disk.make_read_only()
        for use in (lambda: warehouse.record(publication(NEXT_DAY)), warehouse.check):
            with pytest.raises(ArtrecError, match=r"Read-only file system.*give this user read and write access"):
                use()
        assert warehouse.query(SERVED).rows() == [(DAY,)]


def test_a_file_that_another_process_writes_is_said(tmp_path: Path) -> None:
    error = duckdb.IOException('IO Error: Could not set lock on file "w.duckdb": Conflicting lock is held')
    with (
        pytest.raises(ArtrecError, match="another process has it open for writing; close it there"),
        explain_errors(PLACE),
    ):
        raise error


def test_a_folder_in_the_place_of_the_file_is_said(tmp_path: Path) -> None:
    for use in (lambda: DuckDBWarehouse(str(tmp_path)).publications(), DuckDBWarehouse(str(tmp_path)).check):
        with pytest.raises(ArtrecError, match=r"correct store\.warehouse"):
            use()


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    DuckDBWarehouse(str(tmp_path / "new" / "warehouse.duckdb")).check()
    assert list((tmp_path / "new").iterdir()) == []
