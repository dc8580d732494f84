"""The warehouse in PostgreSQL: the schema `artrec`, with one partition per day.

A day is loaded into staging tables. One transaction makes the day and its publication visible together. If a publisher
dies, nothing remains of its transaction.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg
from psycopg import sql as pgsql

from artrec_core.columns import PUBLICATION, PUBLISHED_AT, RUN_DATE, STATUS, WAREHOUSE, Schema, conform, empty_frame
from artrec_core.errors import ArtrecError
from artrec_core.lake import digest_of
from artrec_core.stores import StoreAddress, explain_errors
from artrec_core.urls import redact
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

# An arbitrary number, the same for all publishers of this schema.
_PUBLISHER_LOCK = 0x61727472
# How long to wait for readers. All new queries wait behind us for as long.
_SWAP_LOCK_SECONDS = 2
_SWAP_TRIES = 15

_CHECK_SECONDS = 5

# A publisher can change only relations that it owns. A member of the owning role counts as the owner.
_OF_OTHERS = (
    "SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    f" WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p', 'v') AND NOT pg_has_role(c.relowner, 'USAGE')"
    " ORDER BY c.relname"
)

_COPY_TYPES = {
    "TEXT": "text",
    "INTEGER": "int4",
    "BIGINT": "int8",
    "REAL": "float4",
    "DOUBLE PRECISION": "float8",
    "BOOLEAN": "bool",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
_POLARS_TYPES: dict[int, pl.DataType] = {
    16: pl.Boolean(),
    20: pl.Int64(),
    21: pl.Int16(),
    23: pl.Int32(),
    25: pl.String(),
    700: pl.Float32(),
    701: pl.Float64(),
    1043: pl.String(),
    1184: pl.Datetime("us", "UTC"),
}

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresWarehouse:
    """A warehouse in one database."""

    def __init__(self, url: str, *, lock_seconds: float = 600, swap_tries: int = _SWAP_TRIES) -> None:
        """Nothing is opened yet.

        Parameters
        ----------
        url
            A `postgresql://` URL.
        lock_seconds
            Time that a publisher waits for another one.
        swap_tries
            How often it tries to lock out readers.
        """
        self._url = url
        self._store = StoreAddress("the warehouse", url, "store.warehouse")
        self._lock_seconds = lock_seconds
        self._swap_tries = swap_tries

    def publish(
        self, publication: pl.DataFrame, tables: Tables, audit: Audit, *, keep_days: int | None = None
    ) -> list[str]:
        """See `Warehouse.publish`."""
        check_tables(tables)
        day = str(publication[RUN_DATE].item())
        with self._publishing() as connection:
            partitions = _partitions(connection)
            stale_days = days_to_remove({key[1] for key in partitions}, day, keep_days)
            for table in tables:
                _create_staged(connection, table, day)
            audit({table: _load(connection, table, day, frames) for table, frames in tables.items()})
            stale_partitions = [name for (_, old_day), name in sorted(partitions.items()) if old_day in stale_days]
            if stale_partitions or any((table, day) not in partitions for table in tables):
                _lock_readers_out(connection, self._swap_tries)
            for table in tables:
                _swap_in(connection, table, day, partitions.get((table, day)))
            for partition in stale_partitions:
                _run(connection, f"DROP TABLE {SCHEMA}.{partition}")
            for row in [*(removal_entry(publication, old_day) for old_day in stale_days), publication]:
                _copy(connection, PUBLICATIONS, PUBLICATION, row)
        return stale_days

    def record(self, publication: pl.DataFrame) -> None:
        """See `Warehouse.record`."""
        with self._publishing() as connection:
            _copy(connection, PUBLICATIONS, PUBLICATION, publication)

    def publications(self) -> pl.DataFrame:
        """See `Warehouse.publications`."""
        with self._connected() as connection:
            if not _exists(connection):
                return empty_frame(PUBLICATION)
            select = f"SELECT * FROM {SCHEMA}.{PUBLICATIONS} ORDER BY {PUBLISHED_AT}, {RUN_DATE}, {STATUS} DESC"
            return conform(_frame(connection, select, ()), PUBLICATION)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """See `Warehouse.query`."""
        with self._connected() as connection:
            if not _exists(connection):
                raise ArtrecError(NOTHING_PUBLISHED.format(where=connection.info.dbname))
            return _frame(connection, sql, parameters)

    def check(self) -> None:
        """See `Warehouse.check`."""
        with self._connected() as connection:
            _run(connection, f"SET LOCAL statement_timeout = {_CHECK_SECONDS * 1000}")
            with connection.transaction(force_rollback=True):
                _create_schema(connection)
                _run(connection, f"CREATE TABLE {SCHEMA}.check_{uuid.uuid4().hex} ()")
            owners = _run(connection, _OF_OTHERS).fetchall()
        if owners:
            examples = ", ".join(f"{relation} of {owner}" for relation, owner in owners[:3])
            raise ArtrecError(
                f"{self._store.label} cannot be published to: in the schema {SCHEMA} this role does not own {examples};"
                " publish as that role, or make this role a member of it"
            )

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """One transaction; errors of PostgreSQL are explained (`stores.explain_errors`)."""
        with explain_errors(self._store), self._connect() as connection:
            yield connection

    def _connect(self) -> Connection:
        try:
            # PGCLIENTENCODING in the user's shell may be an encoding without the letters of most titles.
            connection = psycopg.connect(self._url, connect_timeout=10, client_encoding="utf8")
        except (psycopg.Error, ValueError) as error:
            reason = " ".join(redact(str(error), self._url).split())
            if isinstance(error, psycopg.OperationalError):
                raise ArtrecError(
                    f"cannot reach the warehouse ({reason}); start it or correct store.warehouse"
                ) from None
            raise ArtrecError(
                f"store.warehouse is not a URL that PostgreSQL's client can read ({reason}); in its user and password write % as"
                " %25, @ as %40, / as %2F, : as %3A"
            ) from None
        encoding = connection.info.parameter_status("server_encoding")
        if encoding not in ("UTF8", None):
            database = connection.info.dbname
            connection.close()
            raise ArtrecError(
                f"the database {database} is encoded in {encoding}, which cannot store every title; create another with"
                " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 and set store.warehouse to it"
            )
        return connection

    @contextmanager
    def _publishing(self) -> Iterator[Connection]:
        """One transaction in a prepared schema, while all other publishers wait."""
        # Two transactions: the locks from setting up the schema must not be held while a day is loaded.
        with self._connected() as connection:
            self._wait_for_publishers(connection)
            _prepare(connection)
        with self._connected() as connection:
            self._wait_for_publishers(connection)
            yield connection

    def _wait_for_publishers(self, connection: Connection) -> None:
        _lift_time_limits(connection)
        _run(connection, f"SET LOCAL lock_timeout = {int(self._lock_seconds * 1000)}")
        try:
            _run(connection, f"SELECT pg_advisory_xact_lock({_PUBLISHER_LOCK})")
        except psycopg.errors.LockNotAvailable:
            raise ArtrecError(
                f"another publisher has held the warehouse for {self._lock_seconds:.0f} s; wait for it or end it"
            ) from None


def _run(connection: Connection, statement: str) -> psycopg.Cursor[tuple[Any, ...]]:
    # psycopg accepts only literals, against injection. Our statements consist of names in columns.py and of days.
    return connection.execute(pgsql.SQL(statement))


def _lift_time_limits(connection: Connection) -> None:
    """Remove time limits from the transaction: it is long and idle during the audit, and limits are meant for applications."""
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    names = ", ".join(f"'{name}'" for name in limits)
    # From pg_settings, because servers before 17 have no transaction_timeout.
    _run(connection, f"SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN ({names})")


def _exists(connection: Connection) -> bool:
    return _run(connection, f"SELECT to_regclass('{SCHEMA}.served')").fetchone() != (None,)


def _prepare(connection: Connection) -> None:
    """Create missing tables, missing columns and the views. Nothing is locked if all of them exist."""
    creations = [create_table(table, partitioned=True) for table in TABLES]
    stamp = f"artrec {digest_of([creations, views()])}"
    row = _run(connection, f"SELECT obj_description(to_regnamespace('{SCHEMA}'), 'pg_namespace')").fetchone()
    if row == (stamp,):
        return
    _create_schema(connection)
    for view in reversed(views()):
        _run(connection, f"DROP VIEW IF EXISTS {SCHEMA}.{view}")
    for creation, (table, (schema, _)) in zip(creations, TABLES.items(), strict=True):
        _run(connection, creation)
        for column, dtype in schema.items():
            _run(connection, f"ALTER TABLE {SCHEMA}.{table} ADD COLUMN IF NOT EXISTS {column} {sql_type(dtype)}")
    for view, select in views().items():
        _run(connection, f"CREATE VIEW {SCHEMA}.{view} AS {select}")
    _run(connection, f"COMMENT ON SCHEMA {SCHEMA} IS '{stamp}'")


def _create_schema(connection: Connection) -> None:
    # IF NOT EXISTS needs the right to create a schema, even if it exists; the owner of the schema may lack it.
    if _run(connection, f"SELECT to_regnamespace('{SCHEMA}')").fetchone() == (None,):
        _run(connection, f"CREATE SCHEMA {SCHEMA}")


def _partitions(connection: Connection) -> dict[tuple[str, str], str]:
    """(table, day) -> name of its partition."""
    select = (
        "SELECT p.relname, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace"
        f" WHERE n.nspname = '{SCHEMA}' AND p.relkind = 'p'"
    )
    names = {(str(table), str(name)) for table, name in _run(connection, select).fetchall()}
    return {(table, _day_of_partition(name)): name for table, name in names}


def _partition_name(table: str, day: str) -> str:
    return f"{table}_{day.replace('-', '')}"


def _day_of_partition(partition: str) -> str:
    digits = partition[-8:]
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def _staged_name(table: str, day: str) -> str:
    return f"{_partition_name(table, day)}_staged"


def _create_staged(connection: Connection, table: str, day: str) -> None:
    """Create the table that a day is loaded into. With its CHECK, ATTACH need not read all rows."""
    check = f"CHECK ({RUN_DATE} IS NOT NULL AND {RUN_DATE} = '{day}')"
    name = _staged_name(table, day)
    _run(connection, f"CREATE TABLE {SCHEMA}.{name} (LIKE {SCHEMA}.{table}, CONSTRAINT of_the_day {check})")


def _load(connection: Connection, table: str, day: str, frames: Iterable[pl.DataFrame]) -> int:
    """Copy the rows of a table into its staged table, index it, and return its number of rows."""
    schema, key = WAREHOUSE[table]
    name = _staged_name(table, day)
    try:
        for frame in frames:
            _copy(connection, name, schema, frame)
        # After the rows, because an index that grows with them takes twice the time.
        _run(connection, f"ALTER TABLE {SCHEMA}.{name} ADD PRIMARY KEY ({', '.join(key)})")
    except psycopg.errors.IntegrityError as error:
        raise key_violation(table, day, error) from error
    _run(connection, f"ANALYZE {SCHEMA}.{name}")
    row = _run(connection, f"SELECT count(*) FROM {SCHEMA}.{name}").fetchone()
    return int(row[0]) if row else 0


def _copy(connection: Connection, table: str, schema: Schema, frame: pl.DataFrame) -> None:
    statement = f"COPY {SCHEMA}.{table} ({', '.join(schema)}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(pgsql.SQL(statement)) as copy:
        copy.set_types([_COPY_TYPES[sql_type(dtype)] for dtype in schema.values()])
        for row in conform(frame, schema).iter_rows():
            copy.write_row(row)


def _lock_readers_out(connection: Connection, tries: int) -> None:
    """Wait until nobody reads, and block new readers until the commit, which follows at once.

    ATTACH alone does not block readers. A reader could then plan its query before the commit and look up the served day
    after it. Its plan would not contain the new day's partition, so it would read no rows.
    """
    names = ", ".join(f"{SCHEMA}.{table}" for table in WAREHOUSE)
    for attempt in range(tries):
        try:
            with connection.transaction():
                _run(connection, f"SET LOCAL lock_timeout = {_SWAP_LOCK_SECONDS * 1000}")
                _run(connection, f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
            return
        except psycopg.errors.LockNotAvailable:
            # The queries that wait behind us may run before the next attempt.
            time.sleep(min(0.2 * 2**attempt, 5))
    raise ArtrecError(
        f"readers held the warehouse's tables in all {tries} attempts ({_describe_readers(connection)}); end their"
        " transactions and run publish again"
    )


def _describe_readers(connection: Connection) -> str:
    select = (
        "SELECT DISTINCT l.pid, coalesce(a.application_name, ''), a.state FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_stat_activity a ON a.pid = l.pid"
        f" WHERE n.nspname = '{SCHEMA}' AND l.granted AND l.pid <> pg_backend_pid() ORDER BY 1"
    )
    readers = _run(connection, select).fetchall()
    return (
        ", ".join(f"pid {pid} {name} {state}".replace("  ", " ") for pid, name, state in readers)
        or "they have ended by now"
    )


def _swap_in(connection: Connection, table: str, day: str, partition: str | None) -> None:
    """Replace the table's rows of the day by the staged rows."""
    staged = _staged_name(table, day)
    if partition is None:
        name = _partition_name(table, day)
        _run(connection, f"ALTER TABLE {SCHEMA}.{staged} RENAME TO {name}")
        _run(connection, f"ALTER INDEX {SCHEMA}.{staged}_pkey RENAME TO {name}_pkey")
        _run(connection, f"ALTER TABLE {SCHEMA}.{table} ATTACH PARTITION {SCHEMA}.{name} FOR VALUES IN ('{day}')")
        return
    # Rows are replaced, not partitions, so that a reading transaction still sees the rows it began with.
    columns = ", ".join(WAREHOUSE[table][0])
    _run(connection, f"DELETE FROM {SCHEMA}.{partition}")
    _run(connection, f"INSERT INTO {SCHEMA}.{partition} ({columns}) SELECT {columns} FROM {SCHEMA}.{staged}")
    _run(connection, f"DROP TABLE {SCHEMA}.{staged}")


def _frame(connection: Connection, sql: str, parameters: Sequence[Any]) -> pl.DataFrame:
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(sql, list(parameters))
        description = cursor.description or []
        schema = {column.name: _POLARS_TYPES.get(column.type_code) for column in description}
        return pl.DataFrame(cursor.fetchall(), schema=schema, orient="row")
