"""What apps read: whether the night was published, and which night is served."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from artrec_core.columns import CHECKSUM, MODEL_VERSION, PEOPLE, PUBLISHED_AT, ROWS, RUN_DATE, STATUS
from artrec_core.errors import ArtrecError
from artrec_core.warehouse import open_warehouse

PUBLISHED = "published"


@dataclass(frozen=True)
class Publication:
    """The latest attempt at a night; all but `served` is None where there was none.

    `served` is the night apps read, as far as the nights up to this one tell: this night, an older one (what is served
    is stale), or None.
    """

    status: str | None
    model_version: str | None
    rows: int | None
    people: int | None
    checksum: str | None
    at: datetime | None
    served: str | None


def publications(url: str, up_to: str) -> pl.DataFrame:
    """The warehouse's publications of the nights up to this one, oldest first; none where it cannot be reached."""
    try:
        return open_warehouse(url).publications().filter(pl.col(RUN_DATE) <= up_to)
    except (ArtrecError, OSError, ImportError):
        return pl.DataFrame()


def publication(rows: pl.DataFrame, day: str) -> Publication | None:
    """What became of the night; None where nothing was ever published up to it."""
    if rows.is_empty():
        return None
    good = rows.filter(pl.col(STATUS) == PUBLISHED).get_column(RUN_DATE)
    served = str(good.max()) if len(good) else None
    own = rows.filter(pl.col(RUN_DATE) == day).tail(1)
    if own.is_empty():
        return Publication(None, None, None, None, None, None, served)
    last = own.row(0, named=True)
    return Publication(
        last[STATUS], last[MODEL_VERSION], last[ROWS], last[PEOPLE], last[CHECKSUM], last[PUBLISHED_AT], served
    )
