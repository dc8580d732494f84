"""Histories: what each user did, in order of time."""

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
from artrec_core.data.events import end_of_day


def build_histories(
    events: pl.DataFrame,
    signals: Signals,
    day: str,
    *,
    refusing_users: pl.Series | None = None,
    max_history: int | None = None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Build the histories of a run date.

    Parameters
    ----------
    events : frame of EVENT
        In the order in which they were received, the newest last. Only the last state of an event id counts.
    signals : Signals
        The section of the recipe that says which events are positive, negative or unseen.
    day : str
        The run date. Events after its end (UTC) are left out.
    refusing_users : series of user ids, optional
        Users who refuse consent. Their events are left out.
    max_history : int, optional
        Only so many of each user's latest events are kept.

    Returns
    -------
    frame of HISTORY
        Sorted by (user, time, event).
    dict of str to int
        Number of rows received, kept and left out, in the order above:
        rows_in = kept + duplicates + later + without_consent + over_max_history.
    """
    last_states = last_by_key(events, EVENT_ID)
    in_time = last_states.filter(pl.col(OCCURRED_AT) < end_of_day(day))
    excluded_users = in_time.clear()[USER_ID] if refusing_users is None else refusing_users
    with_consent = in_time.filter(~pl.col(USER_ID).is_in(excluded_users.implode()))
    with_consent = with_consent.sort(USER_ID, OCCURRED_AT, EVENT_ID)
    kept_rows = (
        with_consent if max_history is None else with_consent.group_by(USER_ID, maintain_order=True).tail(max_history)
    )
    counts = {
        "rows_in": events.height,
        "kept": kept_rows.height,
        "duplicates": events.height - last_states.height,
        "later": last_states.height - in_time.height,
        "without_consent": in_time.height - with_consent.height,
        "over_max_history": with_consent.height - kept_rows.height,
    }
    return conform(kept_rows.with_columns(*signal_flags(signals)), HISTORY), counts


def signal_flags(signals: Signals) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Expressions over EVENT: is the event positive, is it negative, and does it make its artwork seen.

    An event that would be both positive and negative is negative only.
    """
    rating = pl.col(KIND) == "rating"
    likes = pl.col(KIND).is_in(signals.positive) | (rating & (pl.col(VALUE) >= signals.rating_positive_from))
    if signals.long_view_seconds is not None:
        likes |= (pl.col(KIND) == "view") & (pl.col(DWELL_SECONDS) >= signals.long_view_seconds)
    dislikes = pl.col(KIND).is_in(signals.negative) | (rating & (pl.col(VALUE) <= signals.rating_negative_to))
    negative = dislikes.fill_null(False)
    return (
        (likes.fill_null(False) & ~negative).alias(POSITIVE),
        negative.alias(NEGATIVE),
        (~pl.col(KIND).is_in(signals.unseen)).fill_null(True).alias(SEEN),
    )


def last_by_key(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The last row of every key, in the order of the rows. Rows without a key are left out."""
    return rows.filter(pl.col(key).is_not_null()).unique(key, keep="last", maintain_order=True)
