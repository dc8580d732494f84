"""The warehouse in Postgres: schema `artrec`, a partition a day.

A day is loaded into a table of its own, which nobody knows; it becomes visible together with its publication when the
one transaction around both commits. A publisher that dies leaves nothing behind.
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
from artrec_core.stores import Place, advised
from artrec_core.urls import redacted
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
    removal,
    sql_type,
    views,
)

# Any number will do, as long as every publisher of this schema takes the same.
_PUBLISHER_LOCK = 0x61727472
# A reader that is in the way is waited for this long; everybody behind us in the queue waits as long.
_SWAP_LOCK_SECONDS = 2
_SWAP_TRIES = 15

_CHECK_SECONDS = 5

# What a publisher alters without owning it is refused to it. A member of the owning role counts as the owner.
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
        """`lock_seconds` is how long a publisher waits for another one, `swap_tries` how often it asks readers to let go."""
        self._url = url
        self._place = Place("the warehouse", url, "store.warehouse")
        self._lock_seconds = lock_seconds
        self._swap_tries = swap_tries

    def publish(
        self, publication: pl.DataFrame, tables: Tables, audit: Audit, *, keep_days: int | None = None
    ) -> list[str]:
        """See `Warehouse.publish`."""
        check_tables(tables)
        day = str(publication[RUN_DATE].item())
        with self._publishing() as connection:
            held = _partitions(connection)
            stale = days_to_remove({key[1] for key in held}, day, keep_days)
            for table in tables:
                _create_staged(connection, table, day)
            audit({table: _load(connection, table, day, frames) for table, frames in tables.items()})
            gone = [name for (_, old), name in sorted(held.items()) if old in stale]
            if gone or any((table, day) not in held for table in tables):
                _lock_readers_out(connection, self._swap_tries)
            for table in tables:
                _swap_in(connection, table, day, held.get((table, day)))
            for partition in gone:
                _run(connection, f"DROP TABLE {SCHEMA}.{partition}")
            for row in [*(removal(publication, old) for old in stale), publication]:
                _copy(connection, PUBLICATIONS, PUBLICATION, row)
        return stale

    def record(self, publication: pl.DataFrame) -> None:
        """See `Warehouse.record`."""
        with self._publishing() as connection:
            _copy(connection, PUBLICATIONS, PUBLICATION, publication)

    def publications(self) -> pl.DataFrame:
        """See `Warehouse.publications`."""
        with self._connected() as connection:
            if not _exists(connection):
                return empty_frame(PUBLICATION)
            everything = f"SELECT * FROM {SCHEMA}.{PUBLICATIONS} ORDER BY {PUBLISHED_AT}, {RUN_DATE}, {STATUS} DESC"
            return conform(_frame(connection, everything, ()), PUBLICATION)

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
            found = ", ".join(f"{relation} of {owner}" for relation, owner in owners[:3])
            raise ArtrecError(
                f"{self._place.shown} cannot be published to: in the schema {SCHEMA} this role does not own {found};"
                " publish as that role, or make this one a member of it"
            )

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """One transaction; what PostgreSQL refuses becomes advice (`stores.advised`)."""
        with advised(self._place), self._connect() as connection:
            yield connection

    def _connect(self) -> Connection:
        try:
            # PGCLIENTENCODING of this user's shell may name an encoding that lacks most titles' letters.
            connection = psycopg.connect(self._url, connect_timeout=10, client_encoding="utf8")
        except (psycopg.Error, ValueError) as error:
            why = " ".join(redacted(str(error), self._url).split())
            if isinstance(error, psycopg.OperationalError):
                raise ArtrecError(f"cannot reach the warehouse ({why}); start it or correct store.warehouse") from None
            raise ArtrecError(
                f"store.warehouse is no URL that PostgreSQL's client can read ({why}); in its user and password write % as"
                " %25, @ as %40, / as %2F, : as %3A"
            ) from None
        encoding = connection.info.parameter_status("server_encoding")
        if encoding not in ("UTF8", None):
            database = connection.info.dbname
            connection.close()
            raise ArtrecError(
                f"the database {database} is encoded in {encoding}, which cannot hold every title; make another with"
                " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 and name it in store.warehouse"
            )
        return connection

    @contextmanager
    def _publishing(self) -> Iterator[Connection]:
        """One transaction, in a schema that is ready, with every other publisher waiting."""
        # Two transactions: what sets up the schema must not stay locked while a day is loaded.
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
    # psycopg takes only literals, against injection; ours are made of names that stand in columns.py and of days.
    return connection.execute(pgsql.SQL(statement))


def _lift_time_limits(connection: Connection) -> None:
    """A day is loaded in one transaction, which waits while the audit reads: no limit meant for apps may end it."""
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    names = ", ".join(f"'{name}'" for name in limits)
    # From pg_settings, for servers before 17 know no transaction_timeout.
    _run(connection, f"SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN ({names})")


def _exists(connection: Connection) -> bool:
    return _run(connection, f"SELECT to_regclass('{SCHEMA}.served')").fetchone() != (None,)


def _prepare(connection: Connection) -> None:
    """Tables, columns that were added since, views; nothing is locked where all that is there already."""
    creations = [create_table(table, partitioned=True) for table in TABLES]
    stamp = f"artrec {digest_of([creations, views()])}"
    found = _run(connection, f"SELECT obj_description(to_regnamespace('{SCHEMA}'), 'pg_namespace')").fetchone()
    if found == (stamp,):
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
    # IF NOT EXISTS asks for the right to create one even where there is one, which its owner need not have.
    if _run(connection, f"SELECT to_regnamespace('{SCHEMA}')").fetchone() == (None,):
        _run(connection, f"CREATE SCHEMA {SCHEMA}")


def _partitions(connection: Connection) -> dict[tuple[str, str], str]:
    """(table, day) -> the name of the partition that holds it."""
    attached = (
        "SELECT p.relname, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace"
        f" WHERE n.nspname = '{SCHEMA}' AND p.relkind = 'p'"
    )
    names = {(str(table), str(name)) for table, name in _run(connection, attached).fetchall()}
    return {(table, _day_in(name)): name for table, name in names}


def _partition(table: str, day: str) -> str:
    return f"{table}_{day.replace('-', '')}"


def _day_in(partition: str) -> str:
    digits = partition[-8:]
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def _staged(table: str, day: str) -> str:
    return f"{_partition(table, day)}_staged"


def _create_staged(connection: Connection, table: str, day: str) -> None:
    """The table a day is loaded into; its CHECK spares ATTACH a look at every row."""
    check = f"CHECK ({RUN_DATE} IS NOT NULL AND {RUN_DATE} = '{day}')"
    name = _staged(table, day)
    _run(connection, f"CREATE TABLE {SCHEMA}.{name} (LIKE {SCHEMA}.{table}, CONSTRAINT of_the_day {check})")


def _load(connection: Connection, table: str, day: str, frames: Iterable[pl.DataFrame]) -> int:
    """Copy a table's rows into its staged table and index it; how many it then holds."""
    schema, key = WAREHOUSE[table]
    name = _staged(table, day)
    try:
        for frame in frames:
            _copy(connection, name, schema, frame)
        # After the rows: an index that grows with them costs twice as much.
        _run(connection, f"ALTER TABLE {SCHEMA}.{name} ADD PRIMARY KEY ({', '.join(key)})")
    except psycopg.errors.IntegrityError as error:
        raise key_violation(table, day, error) from error
    _run(connection, f"ANALYZE {SCHEMA}.{name}")
    counted = _run(connection, f"SELECT count(*) FROM {SCHEMA}.{name}").fetchone()
    return int(counted[0]) if counted else 0


def _copy(connection: Connection, table: str, schema: Schema, frame: pl.DataFrame) -> None:
    statement = f"COPY {SCHEMA}.{table} ({', '.join(schema)}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(pgsql.SQL(statement)) as copy:
        copy.set_types([_COPY_TYPES[sql_type(dtype)] for dtype in schema.values()])
        for row in conform(frame, schema).iter_rows():
            copy.write_row(row)


def _lock_readers_out(connection: Connection, tries: int) -> None:
    """Wait until nobody reads, and let nobody begin until the commit, which is a moment away.

    ATTACH alone would let readers go on. But one that had planned its query before, and looks for the served day after
    the commit, would find the new day in `publications` and no partition of it in its plan: an empty night.
    """
    names = ", ".join(f"{SCHEMA}.{table}" for table in WAREHOUSE)
    for attempt in range(tries):
        try:
            with connection.transaction():
                _run(connection, f"SET LOCAL lock_timeout = {_SWAP_LOCK_SECONDS * 1000}")
                _run(connection, f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
            return
        except psycopg.errors.LockNotAvailable:
            # Whoever queued behind us may read before we ask again.
            time.sleep(min(0.2 * 2**attempt, 5))
    raise ArtrecError(
        f"readers did not let go of the warehouse's tables in {tries} tries ({_readers(connection)}); end their"
        " transactions and run publish again"
    )


def _readers(connection: Connection) -> str:
    held = (
        "SELECT DISTINCT l.pid, coalesce(a.application_name, ''), a.state FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_stat_activity a ON a.pid = l.pid"
        f" WHERE n.nspname = '{SCHEMA}' AND l.granted AND l.pid <> pg_backend_pid() ORDER BY 1"
    )
    found = _run(connection, held).fetchall()
    return ", ".join(f"pid {pid} {name} {state}".replace("  ", " ") for pid, name, state in found) or "now gone"


def _swap_in(connection: Connection, table: str, day: str, partition: str | None) -> None:
    """Make the staged day the table's day."""
    staged = _staged(table, day)
    if partition is None:
        name = _partition(table, day)
        _run(connection, f"ALTER TABLE {SCHEMA}.{staged} RENAME TO {name}")
        _run(connection, f"ALTER INDEX {SCHEMA}.{staged}_pkey RENAME TO {name}_pkey")
        _run(connection, f"ALTER TABLE {SCHEMA}.{table} ATTACH PARTITION {SCHEMA}.{name} FOR VALUES IN ('{day}')")
        return
    # Rows, not partitions, are swapped: a transaction that reads still sees the rows it began with.
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
