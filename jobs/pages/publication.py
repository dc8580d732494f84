"""Whether the night was published, and which night applications read."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from artrec_core.columns import CHECKSUM, MODEL_VERSION, PEOPLE, PUBLISHED_AT, ROWS, RUN_DATE, STATUS
from artrec_core.errors import ArtrecError
from artrec_core.warehouse import open_warehouse
from artrec_core.warehouse.schema import PUBLISHED


@dataclass(frozen=True)
class Publication:
    """The latest attempt to publish a night.

    Attributes
    ----------
    status : `published`, `failed` or `removed`; None if nobody tried to publish the night, as for the next five
    model_version : version that made the rows
    rows, users : number of published rows and of served users
    checksum : checksum of the rows
    published_at : time of the attempt
    served_day : latest published day up to this one, None if there is none; if it is an older day, the tables are stale
    """

    status: str | None
    model_version: str | None
    rows: int | None
    users: int | None
    checksum: str | None
    published_at: datetime | None
    served_day: str | None


def read_publications(url: str, day: str) -> pl.DataFrame:
    """The publications of the nights up to `day`, the oldest first; no rows if the warehouse cannot be reached."""
    try:
        return open_warehouse(url).publications().filter(pl.col(RUN_DATE) <= day)
    except (ArtrecError, OSError, ImportError):
        return pl.DataFrame()


def publication_of(publications: pl.DataFrame, day: str) -> Publication | None:
    """The publication of a night; None if nothing was published up to it."""
    if publications.is_empty():
        return None
    published_days = publications.filter(pl.col(STATUS) == PUBLISHED).get_column(RUN_DATE)
    served_day = str(published_days.max()) if len(published_days) else None
    attempts = publications.filter(pl.col(RUN_DATE) == day)
    if attempts.is_empty():
        return Publication(None, None, None, None, None, None, served_day)
    latest = attempts.row(-1, named=True)
    return Publication(
        status=latest[STATUS],
        model_version=latest[MODEL_VERSION],
        rows=latest[ROWS],
        users=latest[PEOPLE],
        checksum=latest[CHECKSUM],
        published_at=latest[PUBLISHED_AT],
        served_day=served_day,
    )
