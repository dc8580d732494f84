"""The warehouse as a DuckDB file: a publisher changes a copy, which then replaces the file.

While a process writes a DuckDB file, no other process can open it. Therefore the file that is read is never written: a
publisher copies it, changes the copy and renames it. A reader that has the old file open still sees the old days.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from artrec_core.columns import PUBLICATION, PUBLISHED_AT, RUN_DATE, STATUS, WAREHOUSE, conform, empty_frame
from artrec_core.errors import ArtrecError
from artrec_core.files import put_in_place
from artrec_core.stores import StoreAddress, check_folder, explain_errors
from artrec_core.warehouse import Audit, Tables
from artrec_core.warehouse.schema import (
    NOTHING_PUBLISHED,
    PUBLICATIONS,
    SCHEMA,
    TABLES,
    check_tables,
    create_table,
    days_to_remove,
    key_violation,
    removal_entry,
    sql_type,
    views,
)

# DuckDB 1.5 can also read the files that DuckDB 2 writes in this version.
STORAGE_VERSION = "v1.5.0"


class DuckDBWarehouse:
    """A warehouse in one file."""

    def __init__(self, path: str, *, lock_seconds: float = 600) -> None:
        """`path` is the file; `lock_seconds` is the time that a publisher waits for another one."""
        self._path = Path(path)
        self._store = StoreAddress("the warehouse", path, "store.warehouse")
        self._lock_seconds = lock_seconds
        if self._path.stem == SCHEMA:
            # DuckDB names a database after its file, so `artrec.x` would be ambiguous.
            raise ArtrecError(
                f"the DuckDB file {self._path.name} has the name of the schema {SCHEMA}; choose another name"
            )

    def publish(
        self, publication: pl.DataFrame, tables: Tables, audit: Audit, *, keep_days: int | None = None
    ) -> list[str]:
        """See `Warehouse.publish`."""
        check_tables(tables)
        day = str(publication[RUN_DATE].item())
        with self._building() as connection:
            stale_days = days_to_remove(_days(connection), day, keep_days)
            for old_day in [*stale_days, day]:
                _delete(connection, old_day)
            audit({table: _load(connection, table, day, frames) for table, frames in tables.items()})
            for stale_day in stale_days:
                _append(connection, removal_entry(publication, stale_day))
            _append(connection, publication)
        return stale_days

    def record(self, publication: pl.DataFrame) -> None:
        """See `Warehouse.record`."""
        with self._building() as connection:
            _append(connection, publication)

    def publications(self) -> pl.DataFrame:
        """See `Warehouse.publications`."""
        with self._reading() as connection:
            if connection is None:
                return empty_frame(PUBLICATION)
            select = f"SELECT * FROM {SCHEMA}.{PUBLICATIONS} ORDER BY {PUBLISHED_AT}, {RUN_DATE}, {STATUS} DESC"
            return conform(_frame(connection, select, ()), PUBLICATION)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """See `Warehouse.query`."""
        with self._reading() as connection:
            if connection is None:
                raise ArtrecError(NOTHING_PUBLISHED.format(where=self._path))
            return _frame(connection, sql, parameters)

    def check(self) -> None:
        """See `Warehouse.check`."""
        self.publications()
        check_folder(StoreAddress(self._store.kind, str(self._path.parent), self._store.setting))

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A connection to the present file; None if it does not exist or nothing was ever published in it."""
        with explain_errors(self._store):
            try:
                handle = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                yield None
                return
            try:
                # DuckDB opens a path twice. If the file is replaced in between, it would read the new file with the old header.
                with _open(f"/dev/fd/{handle}", "READ_ONLY") as connection:
                    yield connection if _exists(connection) else None
            finally:
                os.close(handle)

    @contextmanager
    def _building(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to a copy of the warehouse; the copy replaces the file if the block ends without an error."""
        with explain_errors(self._store), self._locked():
            building = self._path.with_name(f".{self._path.name}.building")
            # The lock is ours, so this is what a killed publisher left behind.
            _remove(building)
            if self._path.exists():
                shutil.copyfile(self._path, building)
            try:
                # An existing file keeps its version: DuckDB cannot lower it.
                version = "READ_WRITE" if building.exists() else f"STORAGE_VERSION '{STORAGE_VERSION}'"
                with _open(building, version) as connection:
                    _prepare(connection)
                    yield connection
                    _run(connection, "CHECKPOINT")
                put_in_place(building, self._path)
            finally:
                _remove(building)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock out other publishers. The operating system releases the lock of a killed process."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path.with_name(f".{self._path.name}.lock"), "a") as file:
            deadline = time.monotonic() + self._lock_seconds
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ArtrecError(
                            f"another publisher has held {self._path} for {self._lock_seconds:.0f} s; wait for it or end it"
                        ) from None
                    time.sleep(0.05)
            yield


def _open(path: Path | str, options: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    _run(connection, "SET TimeZone = 'UTC'")
    quoted = str(path).replace("'", "''")
    _run(connection, f"ATTACH '{quoted}' AS warehouse ({options})")
    _run(connection, "USE warehouse")
    return connection


def _exists(connection: duckdb.DuckDBPyConnection) -> bool:
    select = f"SELECT 1 FROM duckdb_views() WHERE database_name = 'warehouse' AND schema_name = '{SCHEMA}' AND view_name = 'served'"
    return bool(_run(connection, select))


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create missing tables, missing columns and all views."""
    _run(connection, f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    for table, (schema, _) in TABLES.items():
        _run(connection, create_table(table))
        for column, dtype in schema.items():
            _run(connection, f"ALTER TABLE {SCHEMA}.{table} ADD COLUMN IF NOT EXISTS {column} {sql_type(dtype)}")
    for view, select in views().items():
        _run(connection, f"CREATE OR REPLACE VIEW {SCHEMA}.{view} AS {select}")


def _days(connection: duckdb.DuckDBPyConnection) -> list[str]:
    union = " UNION ".join(f"SELECT {RUN_DATE} FROM {SCHEMA}.{table}" for table in WAREHOUSE)
    return [str(day) for (day,) in _run(connection, union)]


def _delete(connection: duckdb.DuckDBPyConnection, day: str) -> None:
    for table in WAREHOUSE:
        _run(connection, f"DELETE FROM {SCHEMA}.{table} WHERE {RUN_DATE} = $1", [day])


def _load(connection: duckdb.DuckDBPyConnection, table: str, day: str, frames: Iterable[pl.DataFrame]) -> int:
    """Insert the rows of a table and return the number of its rows of the day."""
    schema, _ = WAREHOUSE[table]
    for frame in frames:
        if frame.get_column(RUN_DATE).ne_missing(day).any():
            raise key_violation(table, day, "there are rows of other days")
        connection.register("incoming", conform(frame, schema).to_arrow())
        try:
            _run(connection, f"INSERT INTO {SCHEMA}.{table} BY NAME SELECT * FROM incoming")
        except duckdb.ConstraintException as error:
            raise key_violation(table, day, error) from error
        finally:
            connection.unregister("incoming")
    ((count,),) = _run(connection, f"SELECT count(*) FROM {SCHEMA}.{table} WHERE {RUN_DATE} = $1", [day])
    return int(count)


def _append(connection: duckdb.DuckDBPyConnection, publication: pl.DataFrame) -> None:
    connection.register("incoming", conform(publication, PUBLICATION).to_arrow())
    _run(connection, f"INSERT INTO {SCHEMA}.{PUBLICATIONS} BY NAME SELECT * FROM incoming")
    connection.unregister("incoming")


def _run(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    # DuckDB 2 rejects a statement until all rows of the previous one are fetched.
    rows: list[tuple[Any, ...]] = connection.execute(statement, list(parameters)).fetchall()
    return rows


def _frame(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any]) -> pl.DataFrame:
    frame = pl.from_arrow(connection.sql(sql, params=list(parameters)).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def _remove(building: Path) -> None:
    for leftover in (building, building.with_name(building.name + ".wal")):
        leftover.unlink(missing_ok=True)
