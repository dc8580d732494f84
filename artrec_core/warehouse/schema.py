"""The SQL of the warehouse, made from `columns.WAREHOUSE`; the same text for DuckDB and Postgres."""

from collections.abc import Iterable

import polars as pl

from artrec_core.columns import (
    PEOPLE,
    PUBLICATION,
    PUBLISHED_AT,
    ROWS,
    RUN_DATE,
    STATUS,
    STRATEGY,
    WAREHOUSE,
    Schema,
)
from artrec_core.errors import ArtrecError, GateFailed

SCHEMA = "artrec"
PUBLICATIONS = "publications"

# What became of a publication. A removed day was published once and then made room for later ones.
PUBLISHED = "published"
FAILED = "failed"
REMOVED = "removed"

NOTHING_PUBLISHED = "nothing is published in {where} yet; run `artrec nightly` (or `artrec publish`) first"

_SQL_TYPES: dict[pl.DataType, str] = {
    pl.String(): "TEXT",
    pl.Int32(): "INTEGER",
    pl.Int64(): "BIGINT",
    pl.Float32(): "REAL",
    pl.Float64(): "DOUBLE PRECISION",
    pl.Boolean(): "BOOLEAN",
    pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}

# Every table with its columns and primary key; publications are a log and have none.
TABLES: dict[str, tuple[Schema, tuple[str, ...]]] = {**WAREHOUSE, PUBLICATIONS: (PUBLICATION, ())}


def sql_type(dtype: pl.DataType) -> str:
    """The SQL type that holds a column of the warehouse."""
    return _SQL_TYPES[dtype]


def create_table(table: str, *, partitioned: bool = False) -> str:
    """CREATE TABLE IF NOT EXISTS; partitioned by day where the backend can."""
    schema, key = TABLES[table]
    lines = [f"{column} {sql_type(dtype)}" for column, dtype in schema.items()]
    if key:
        lines.append(f"PRIMARY KEY ({', '.join(key)})")
    tail = f" PARTITION BY LIST ({RUN_DATE})" if partitioned and key else ""
    return f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{table} ({', '.join(lines)}){tail}"


def views() -> dict[str, str]:
    """View -> its SELECT, in the order they are created.

    `served` is the publication whose day the `..._current` views hold: the latest day that was published, so that a
    backfill of an older one changes nothing. `freshness` sets it beside the latest attempt: `stale` says that a newer
    attempt failed.
    """
    newest = f"ORDER BY {RUN_DATE} DESC, {PUBLISHED_AT} DESC LIMIT 1"
    everything = ", ".join(PUBLICATION)
    made = {
        "served": f"SELECT {everything} FROM {SCHEMA}.{PUBLICATIONS} WHERE {STATUS} = '{PUBLISHED}' {newest}",
        "attempted": f"SELECT {everything} FROM {SCHEMA}.{PUBLICATIONS} WHERE {STATUS} <> '{REMOVED}' {newest}",
    }
    made["freshness"] = (
        f"SELECT s.{RUN_DATE} AS served_run_date, s.{PUBLISHED_AT} AS served_published_at, s.model_version,"
        f" s.checksum, s.simulated, a.{RUN_DATE} AS attempted_run_date, a.{PUBLISHED_AT} AS attempted_at,"
        f" a.{STATUS} AS attempted_status, a.{STATUS} <> '{PUBLISHED}' AS stale"
        f" FROM {SCHEMA}.attempted a LEFT JOIN {SCHEMA}.served s ON 1 = 1"
    )
    # A scalar subquery, not a join: Postgres then looks into the served day's partition alone.
    for table, (schema, _) in WAREHOUSE.items():
        name = table.removesuffix("_v1")
        made[f"{name}_by_strategy_current" if STRATEGY in schema else f"{name}_current"] = (
            f"SELECT {', '.join(schema)} FROM {SCHEMA}.{table}"
            f" WHERE {RUN_DATE} = (SELECT {RUN_DATE} FROM {SCHEMA}.served)"
        )
        if STRATEGY in schema:
            made[f"{name}_current"] = (
                made[f"{name}_by_strategy_current"] + f" AND {STRATEGY} = (SELECT {STRATEGY} FROM {SCHEMA}.served)"
            )
    return made


def days_to_remove(days: Iterable[str], published: str, keep_days: int | None) -> list[str]:
    """The days that make room when `published` joins `days`: all but the latest `keep_days`, oldest first."""
    if keep_days is None:
        return []
    return [day for day in sorted({*days, published})[:-keep_days] if day != published]


def check_tables(tables: Iterable[str]) -> None:
    """`ArtrecError` unless a publication brings every table."""
    missing = sorted(WAREHOUSE.keys() - set(tables))
    unknown = sorted(set(tables) - WAREHOUSE.keys())
    if missing or unknown:
        raise ArtrecError(f"a publication holds every table of the warehouse: missing {missing}, unknown {unknown}")


def removal(publication: pl.DataFrame, day: str) -> pl.DataFrame:
    """The entry that says `day` made room for this publication."""
    nothing = (pl.lit(0, dtype=pl.Int64()).alias(count) for count in (ROWS, PEOPLE))
    return publication.with_columns(pl.lit(day).alias(RUN_DATE), pl.lit(REMOVED).alias(STATUS), *nothing)


def key_violation(table: str, day: str, error: object) -> GateFailed:
    """What to raise where the database refuses a row of a table."""
    key = ", ".join(WAREHOUSE[table][1])
    why = str(error).strip().splitlines()[0]
    return GateFailed(f"{table} of {day} cannot be published: rows must be of that day, and one a ({key}): {why}")
