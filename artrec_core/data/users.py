"""What people said of themselves: raw records from files or the simulator, and their mapping to USER."""

from collections.abc import Iterator

import polars as pl

from artrec_core.columns import SIMULATED, USER, USER_ID
from artrec_core.config import EventSource, UserSource
from artrec_core.data.demo.visitors import Simulation
from artrec_core.data.events import mapped_rows, raw_rows, simulated
from artrec_core.data.files import as_records, path_on, records
from artrec_core.data.mapped import Mapped


def read_raw_users(
    source: UserSource | EventSource,
    day: str,
    artworks: pl.DataFrame | None,
    simulation: Simulation | None = None,
) -> Iterator[pl.DataFrame]:
    """The source's records as received, in chunks of RAW rows; `crawled_at` is left to the caller.

    Of the sources of events, only simulated visitors tell of themselves. Raises `MissingInput` where a file is not there.
    """
    if isinstance(source, UserSource):
        return raw_rows(source.name, records(source.name, path_on(source.path, day)))
    if source.kind != "simulated":
        return iter(())
    return raw_rows(source.name, as_records((simulation or simulated(source, artworks)).users))


def to_users(source: UserSource | EventSource, raw: pl.DataFrame) -> Mapped:
    """Raw rows (RAW) as people: each ends in exactly one of `rows` (LINE + USER) and `unmapped`.

    Somebody of whom nothing says so is not simulated; consent that nobody was asked for stays null.
    """
    fields = source.fields if isinstance(source, UserSource) else {}
    mapped = mapped_rows("users", USER, fields, raw, key=USER_ID)
    return Mapped(mapped.rows.with_columns(pl.col(SIMULATED).fill_null(False)), mapped.unmapped)
