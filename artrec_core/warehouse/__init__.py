"""The warehouse that applications read: one small interface to a DuckDB file or a PostgreSQL database."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from artrec_core.errors import ArtrecError
from artrec_core.urls import redact

# Warehouse table -> its rows of the day, in one or more frames.
Tables = Mapping[str, Iterable[pl.DataFrame]]
# Gets the number of rows of each table in the loaded day. An error that it raises stops the publication.
Audit = Callable[[Mapping[str, int]], None]

# At least two letters: one letter is a drive of Windows.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


class Warehouse(Protocol):
    """Days of tables in the schema `artrec`. Each day is published as a whole or not at all."""

    def publish(
        self, publication: pl.DataFrame, tables: Tables, audit: Audit, *, keep_days: int | None = None
    ) -> list[str]:
        """Publish a day; it replaces what was published of the day before.

        The audit runs on the loaded day before anyone can read it. If it raises an error, or the process dies, the
        warehouse does not change.

        Parameters
        ----------
        publication
            One row of PUBLICATION that describes the day.
        tables
            All tables of the warehouse with their rows of the day.
        audit
            Called with the number of rows of each loaded table.
        keep_days
            Number of latest days to keep. Older days are removed, but never the published one. None: keep all.

        Returns
        -------
        The removed days, oldest first.

        Raises
        ------
        GateFailed
            If two rows have the same key, or a row belongs to another day.
        ArtrecError
            If another publisher or a long transaction of a reader blocks the publication, or a table is missing.
        """
        ...

    def record(self, publication: pl.DataFrame) -> None:
        """Append a publication without tables, such as a failed one (one row of PUBLICATION)."""
        ...

    def publications(self) -> pl.DataFrame:
        """All publications, oldest first; no rows if the warehouse does not exist yet."""
        ...

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """The rows of a SELECT.

        Parameters
        ----------
        sql
            The statement, with `$1`, `$2`, … for the parameters.
        parameters
            Their values.

        Raises
        ------
        ArtrecError
            If nothing is published yet.
        """
        ...

    def check(self) -> None:
        """Try what a publication needs and undo it; `ArtrecError` if this fails or the warehouse cannot be reached."""
        ...


def open_warehouse(url: str) -> Warehouse:
    """The warehouse at a `postgresql://` URL or in a DuckDB file. Nothing is opened before the first use.

    Raises `ArtrecError` for other URLs, or if the PostgreSQL client is not installed.
    """
    if url.startswith(("postgresql://", "postgres://")):
        try:
            from artrec_core.warehouse.postgres import PostgresWarehouse
        except ImportError as error:
            raise ArtrecError(
                f"store.warehouse is in PostgreSQL, but its client is not installed ({error}); run pip install 'artrec[postgres]'"
            ) from error
        return PostgresWarehouse(url)
    if _SCHEME.match(url):
        raise ArtrecError(f"store.warehouse {redact(url)} is neither a path of a DuckDB file nor a postgresql:// URL")
    from artrec_core.warehouse.duckdb import DuckDBWarehouse

    return DuckDBWarehouse(url)
