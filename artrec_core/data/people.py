"""The table of users: merges what the sources last said of each user, and decides who refuses consent."""

import numpy as np
import polars as pl

from artrec_core.arrays import Int64Array
from artrec_core.columns import CONSENT, INTERESTS, LOCALE, SIMULATED, USER, USER_ID, conform

# The row of a user who states no interests.
NO_INTEREST = -1


def resolve_consents(consents: pl.DataFrame) -> pl.DataFrame:
    """One answer for each user: USER_ID, CONSENT, sorted by USER_ID.

    `consents` (CONSENTS) holds the last answer that each source gave for a user. A user consents if no source says
    otherwise. Only the source that reported a refusal can lift it: another source may go on sending an old agreement
    because it does not know of the refusal.
    """
    return consents.group_by(USER_ID).agg(pl.col(CONSENT).all()).sort(USER_ID)


def refusing_users(consents: pl.DataFrame) -> pl.Series:
    """The ids of the users who refuse consent. `consents` is as in `resolve_consents`."""
    return resolve_consents(consents).filter(~pl.col(CONSENT))[USER_ID]


def merge_users(states: pl.DataFrame, consents: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Merge all known users into one row each.

    Parameters
    ----------
    states : frame of SOURCE + USER
        The last row of each user in each source, the newest last. For locale and interests, the newest value that is
        not null counts.
    consents : frame of CONSENTS
        As in `resolve_consents`. The interests of users who refuse are removed.
    events : frame of EVENT
        Users who are known from events alone are added.

    Returns
    -------
    frame of USER
        Sorted by USER_ID. A user is simulated if all of the user's states are; without states, if all events are.
    """
    all_simulated = pl.col(SIMULATED).fill_null(False).all()
    newest_values = [pl.col(name).drop_nulls().last() for name in (LOCALE, INTERESTS)]
    with_state = states.group_by(USER_ID, maintain_order=True).agg(*newest_values, all_simulated)
    with_events = events.filter(pl.col(USER_ID).is_not_null()).group_by(USER_ID).agg(all_simulated)
    answers = resolve_consents(consents)
    users = pl.concat(
        [
            with_state,
            with_events.join(with_state, on=USER_ID, how="anti"),
            # These users are known from a quarantined row alone.
            answers.select(USER_ID, pl.lit(False).alias(SIMULATED))
            .join(with_state, on=USER_ID, how="anti")
            .join(with_events, on=USER_ID, how="anti"),
        ],
        how="diagonal",
    ).join(answers, on=USER_ID, how="left")
    consents_or_unknown = pl.col(CONSENT).fill_null(True)
    interests = pl.when(consents_or_unknown).then(INTERESTS).alias(INTERESTS)
    return conform(users.with_columns(interests), USER).sort(USER_ID)


def all_users(people: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    """USER rows of all users who are known or have a history, sorted by USER_ID."""
    without_row = histories.select(USER_ID).unique().join(people, on=USER_ID, how="anti")
    return pl.concat([conform(people, USER), conform(without_row, USER)]).sort(USER_ID)


def distinct_interests(users: pl.DataFrame) -> tuple[list[str], Int64Array]:
    """The distinct stated interests, sorted, and for each user (USER_ID, INTERESTS) the row of theirs, or `NO_INTEREST`."""
    interests = [(text or "").strip() for text in users[INTERESTS].to_list()]
    distinct = sorted({text for text in interests if text})
    row_of = {text: row for row, text in enumerate(distinct)}
    return distinct, np.array([row_of.get(text, NO_INTEREST) for text in interests], np.int64)
