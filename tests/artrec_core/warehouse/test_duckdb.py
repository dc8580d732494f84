"""What only a DuckDB file does."""

from pathlib import Path

import duckdb
import pytest

from artrec_core.errors import ArtrecError
from artrec_core.warehouse.duckdb import STORAGE_VERSION, DuckDBWarehouse
from tests.artrec_core.warehouse.small_day import day_tables, no_audit, publication

DAY, NEXT_DAY = "2026-03-30", "2026-03-31"
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
    with pytest.raises(ArtrecError, match=r"warehouse\.duckdb cannot be read as a DuckDB file"):
        DuckDBWarehouse(str(path)).query(SERVED)


def test_the_file_can_be_read_by_the_version_before(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    DuckDBWarehouse(str(path)).record(publication(DAY, status="failed"))
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
    with pytest.raises(ArtrecError, match="clashes"):
        DuckDBWarehouse(str(tmp_path / "artrec.duckdb"))
