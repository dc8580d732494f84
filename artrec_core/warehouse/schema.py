"""The SQL of the warehouse, generated from `columns.WAREHOUSE`, the same for DuckDB and PostgreSQL."""

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

# Status of a publication. A removed day was published earlier and was deleted after later days came.
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

# Table -> its columns and primary key. Publications are a log without a key.
TABLES: dict[str, tuple[Schema, tuple[str, ...]]] = {**WAREHOUSE, PUBLICATIONS: (PUBLICATION, ())}


def sql_type(dtype: pl.DataType) -> str:
    """The SQL type of a column."""
    return _SQL_TYPES[dtype]


def create_table(table: str, *, partitioned: bool = False) -> str:
    """The CREATE TABLE IF NOT EXISTS statement of a table; with `partitioned`, for partitions by day."""
    schema, key = TABLES[table]
    lines = [f"{column} {sql_type(dtype)}" for column, dtype in schema.items()]
    if key:
        lines.append(f"PRIMARY KEY ({', '.join(key)})")
    suffix = f" PARTITION BY LIST ({RUN_DATE})" if partitioned and key else ""
    return f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{table} ({', '.join(lines)}){suffix}"


def views() -> dict[str, str]:
    """View -> its SELECT, in the order of creation.

    `served` is the publication of the latest published day, which the `..._current` views show. A backfill of an older
    day does not change it. `freshness` compares it with the latest attempt; `stale` means that a newer attempt failed.
    """
    newest = f"ORDER BY {RUN_DATE} DESC, {PUBLISHED_AT} DESC LIMIT 1"
    columns = ", ".join(PUBLICATION)
    selects = {
        "served": f"SELECT {columns} FROM {SCHEMA}.{PUBLICATIONS} WHERE {STATUS} = '{PUBLISHED}' {newest}",
        "attempted": f"SELECT {columns} FROM {SCHEMA}.{PUBLICATIONS} WHERE {STATUS} <> '{REMOVED}' {newest}",
    }
    selects["freshness"] = (
        f"SELECT s.{RUN_DATE} AS served_run_date, s.{PUBLISHED_AT} AS served_published_at, s.model_version,"
        f" s.checksum, s.simulated, a.{RUN_DATE} AS attempted_run_date, a.{PUBLISHED_AT} AS attempted_at,"
        f" a.{STATUS} AS attempted_status, a.{STATUS} <> '{PUBLISHED}' AS stale"
        f" FROM {SCHEMA}.attempted a LEFT JOIN {SCHEMA}.served s ON 1 = 1"
    )
    # A scalar subquery, not a join, so that PostgreSQL reads the partition of the served day only.
    for table, (schema, _) in WAREHOUSE.items():
        name = table.removesuffix("_v1")
        selects[f"{name}_by_strategy_current" if STRATEGY in schema else f"{name}_current"] = (
            f"SELECT {', '.join(schema)} FROM {SCHEMA}.{table}"
            f" WHERE {RUN_DATE} = (SELECT {RUN_DATE} FROM {SCHEMA}.served)"
        )
        if STRATEGY in schema:
            selects[f"{name}_current"] = (
                selects[f"{name}_by_strategy_current"] + f" AND {STRATEGY} = (SELECT {STRATEGY} FROM {SCHEMA}.served)"
            )
    return selects


def days_to_remove(days: Iterable[str], published: str, keep_days: int | None) -> list[str]:
    """The days to remove when a day is published, oldest first.

    Parameters
    ----------
    days
        The days in the warehouse.
    published
        The day that is published now. It is never removed.
    keep_days
        Number of latest days to keep, with `published`. None: keep all.
    """
    if keep_days is None:
        return []
    return [day for day in sorted({*days, published})[:-keep_days] if day != published]


def check_tables(tables: Iterable[str]) -> None:
    """Raise `ArtrecError` unless a publication has exactly the tables of the warehouse."""
    missing_tables = sorted(WAREHOUSE.keys() - set(tables))
    unknown_tables = sorted(set(tables) - WAREHOUSE.keys())
    if missing_tables or unknown_tables:
        raise ArtrecError(
            f"a publication needs every table of the warehouse: missing {missing_tables}, unknown {unknown_tables}"
        )


def removal_entry(publication: pl.DataFrame, day: str) -> pl.DataFrame:
    """The row of PUBLICATION that records the removal of `day` by this publication."""
    zero_counts = (pl.lit(0, dtype=pl.Int64()).alias(count) for count in (ROWS, PEOPLE))
    return publication.with_columns(pl.lit(day).alias(RUN_DATE), pl.lit(REMOVED).alias(STATUS), *zero_counts)


def key_violation(table: str, day: str, error: object) -> GateFailed:
    """The error to raise if the database rejects a row of a table."""
    key = ", ".join(WAREHOUSE[table][1])
    reason = str(error).strip().splitlines()[0]
    return GateFailed(
        f"{table} of {day} cannot be published: every row must be of that day and have its own ({key}): {reason}"
    )
