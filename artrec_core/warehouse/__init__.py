"""The warehouse that apps read: one small interface, a DuckDB file or a Postgres database behind it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from artrec_core.errors import ArtrecError
from artrec_core.urls import redacted

# Warehouse table -> its rows of the day, in as many frames as they come in.
Tables = Mapping[str, Iterable[pl.DataFrame]]
# Told how many rows each table holds in the day that is about to be served; what it raises stops the publication.
Audit = Callable[[Mapping[str, int]], None]

# Of one letter it is a drive of Windows.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


class Warehouse(Protocol):
    """Days of tables in the schema `artrec`, each published whole or not at all."""

    def publish(
        self, publication: pl.DataFrame, tables: Tables, audit: Audit, *, keep_days: int | None = None
    ) -> list[str]:
        """Put a day in place of what there was of it, together with its `publication` (one row of PUBLICATION).

        The audit runs on the loaded day before anybody can read it; if it raises, or the process dies, the warehouse
        is as it was. With `keep_days`, the days older than the latest so many are removed (the published one never is);
        they are returned. Raises `GateFailed` where two rows have one key, `ArtrecError` where another publisher or
        a reader that does not let go is in the way.
        """
        ...

    def record(self, publication: pl.DataFrame) -> None:
        """Append a publication that serves nothing, such as a failed one."""
        ...

    def publications(self) -> pl.DataFrame:
        """Every publication, oldest first; no rows where the warehouse is not there yet."""
        ...

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """The rows of a SELECT; `$1`, `$2` stand for the parameters. `ArtrecError` where nothing is published yet."""
        ...

    def check(self) -> None:
        """Try what a publication needs and undo it; `ArtrecError` where it is refused, or the warehouse cannot be reached."""
        ...


def open_warehouse(url: str) -> Warehouse:
    """The warehouse at a `postgresql://` URL or in a DuckDB file; nothing is touched before it is used."""
    if url.startswith(("postgresql://", "postgres://")):
        try:
            from artrec_core.warehouse.postgres import PostgresWarehouse
        except ImportError as error:
            raise ArtrecError(
                f"store.warehouse is in PostgreSQL, whose client is missing ({error}); pip install 'artrec[postgres]'"
            ) from error
        return PostgresWarehouse(url)
    if _SCHEME.match(url):
        raise ArtrecError(f"store.warehouse {redacted(url)} is neither a path of a DuckDB file nor a postgresql:// URL")
    from artrec_core.warehouse.duckdb import DuckDBWarehouse

    return DuckDBWarehouse(url)
