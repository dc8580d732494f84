"""What people did and who they are: histories in order of time, and everybody once."""

import polars as pl

from artrec_core.columns import (
    CONSENT,
    DWELL_SECONDS,
    EVENT_ID,
    HISTORY,
    INTERESTS,
    KIND,
    NEGATIVE,
    OCCURRED_AT,
    POSITIVE,
    SEEN,
    SIMULATED,
    USER,
    USER_ID,
    VALUE,
    conform,
)
from artrec_core.config import Signals
from artrec_core.data.events import end_of


def histories(
    events: pl.DataFrame,
    signals: Signals,
    day: str,
    *,
    users: pl.DataFrame | None = None,
    max_history: int | None = None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """HISTORY in order of (user, time, event), and where the rows went.

    `events` (EVENT) are in the order in which they came to be known, the newest last: of an event id the last state
    counts. Left out, in this order: events after the end of the day (UTC), those of people whose last state in `users`
    (USER, the newest last) refuses consent, and of each person all but the `max_history` latest. The counts add up:
    rows_in = kept + duplicates + later + without_consent + over_max_history.
    """
    known = last_of(events, EVENT_ID)
    in_time = known.filter(pl.col(OCCURRED_AT) < end_of(day))
    refused = [] if users is None else last_of(users, USER_ID).filter(~pl.col(CONSENT))[USER_ID].to_list()
    allowed = in_time.filter(~pl.col(USER_ID).is_in(refused)).sort(USER_ID, OCCURRED_AT, EVENT_ID)
    kept = allowed if max_history is None else allowed.group_by(USER_ID, maintain_order=True).tail(max_history)
    counts = {
        "rows_in": events.height,
        "kept": kept.height,
        "duplicates": events.height - known.height,
        "later": known.height - in_time.height,
        "without_consent": in_time.height - allowed.height,
        "over_max_history": allowed.height - kept.height,
    }
    return conform(kept.with_columns(*flags(signals)), HISTORY), counts


def flags(signals: Signals) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Whether an event (EVENT) is positive, is negative, and makes its work seen. What is both is negative only."""
    rating = pl.col(KIND) == "rating"
    liked = pl.col(KIND).is_in(signals.positive) | (rating & (pl.col(VALUE) >= signals.rating_positive_from))
    if signals.long_view_seconds is not None:
        liked |= (pl.col(KIND) == "view") & (pl.col(DWELL_SECONDS) >= signals.long_view_seconds)
    disliked = pl.col(KIND).is_in(signals.negative) | (rating & (pl.col(VALUE) <= signals.rating_negative_to))
    negative = disliked.fill_null(False)
    return (
        (liked.fill_null(False) & ~negative).alias(POSITIVE),
        negative.alias(NEGATIVE),
        (~pl.col(KIND).is_in(signals.unseen)).fill_null(True).alias(SEEN),
    )


def people(users: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Every known person once (USER), by id: the last state in `users` (the newest last), and whom only events know.

    Interests of people who refuse consent are taken out. Somebody known from events alone is simulated where all those
    events are.
    """
    stated = last_of(conform(users, USER), USER_ID).with_columns(
        pl.when(pl.col(CONSENT).fill_null(True)).then(pl.col(INTERESTS)).alias(INTERESTS)
    )
    met = (
        events.filter(pl.col(USER_ID).is_not_null())
        .group_by(USER_ID)
        .agg(pl.col(SIMULATED).all())
        .join(stated, on=USER_ID, how="anti")
    )
    return pl.concat([stated.select(*USER), conform(met, USER)]).sort(USER_ID)


def last_of(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The last row of every key, in the rows' order; rows without a key are left out."""
    return rows.filter(pl.col(key).is_not_null()).unique(key, keep="last", maintain_order=True)
