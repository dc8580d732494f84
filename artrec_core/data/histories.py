"""What users did: their histories, in order of time."""

import polars as pl

from artrec_core.columns import (
    DWELL_SECONDS,
    EVENT_ID,
    HISTORY,
    KIND,
    NEGATIVE,
    OCCURRED_AT,
    POSITIVE,
    SEEN,
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
    refusing: pl.Series | None = None,
    max_history: int | None = None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """HISTORY in order of (user, time, event), and where the rows went.

    `events` (EVENT) are in the order in which they came to be known, the newest last: of an event id the last state
    counts. Left out, in this order: events after the end of the day (UTC), those of the users in `refusing` (user ids of
    those who refuse consent), and of each user all but the `max_history` latest. The counts add up:
    rows_in = kept + duplicates + later + without_consent + over_max_history.
    """
    known = last_of(events, EVENT_ID)
    in_time = known.filter(pl.col(OCCURRED_AT) < end_of(day))
    refused = in_time.clear()[USER_ID] if refusing is None else refusing
    allowed = in_time.filter(~pl.col(USER_ID).is_in(refused.implode())).sort(USER_ID, OCCURRED_AT, EVENT_ID)
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


def last_of(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The last row of every key, in the rows' order; rows without a key are left out."""
    return rows.filter(pl.col(key).is_not_null()).unique(key, keep="last", maintain_order=True)
