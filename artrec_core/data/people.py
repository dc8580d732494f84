"""Who the users are: what their sources last said of them, merged, and whether they refuse consent."""

import polars as pl

from artrec_core.columns import CONSENT, INTERESTS, LOCALE, SIMULATED, USER, USER_ID, conform


def resolve_consents(consents: pl.DataFrame) -> pl.DataFrame:
    """Everybody who answered, once: USER_ID, CONSENT, sorted by USER_ID.

    `consents` (CONSENTS) hold the last answer that each source gave of a user. A refusal by one source is lifted by that
    source alone: another that goes on sending an old agreement does not know of it.
    """
    return consents.group_by(USER_ID).agg(pl.col(CONSENT).all()).sort(USER_ID)


def refusing(consents: pl.DataFrame) -> pl.Series:
    """The ids of those who refuse, of CONSENTS as in `resolve_consents`."""
    return resolve_consents(consents).filter(~pl.col(CONSENT))[USER_ID]


def merge_people(states: pl.DataFrame, consents: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Every known user once (USER), by id.

    `states` (SOURCE + USER) hold the last row of each user in each source, the newest last: of locale and interests the
    newest that is filled counts. `consents` are as in `resolve_consents`; interests of those who refuse are taken out.
    Somebody known from `events` (EVENT) alone is simulated where all those events are, and else where all states are.
    """
    simulated = pl.col(SIMULATED).fill_null(False).all()
    newest_filled = [pl.col(name).drop_nulls().last() for name in (LOCALE, INTERESTS)]
    stated = states.group_by(USER_ID, maintain_order=True).agg(*newest_filled, simulated)
    met = events.filter(pl.col(USER_ID).is_not_null()).group_by(USER_ID).agg(simulated)
    answers = resolve_consents(consents)
    everybody = pl.concat(
        [
            stated,
            met.join(stated, on=USER_ID, how="anti"),
            # Only a quarantined row tells of them.
            answers.select(USER_ID, pl.lit(False).alias(SIMULATED))
            .join(stated, on=USER_ID, how="anti")
            .join(met, on=USER_ID, how="anti"),
        ],
        how="diagonal",
    ).join(answers, on=USER_ID, how="left")
    agrees = pl.col(CONSENT).fill_null(True)
    return conform(everybody.with_columns(pl.when(agrees).then(INTERESTS).alias(INTERESTS)), USER).sort(USER_ID)
