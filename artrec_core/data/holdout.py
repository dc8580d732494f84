"""What is kept from training to measure it: each person's last positive works."""

from dataclasses import dataclass

import polars as pl

from artrec_core.columns import ARTWORK_ID, POSITIVE, USER_ID

MIN_POSITIVES = 3

_ROW = "_row"
_HELD_ROW = "_held_row"
_HELD_WORK = "_held_work"


@dataclass(frozen=True)
class Holdout:
    """Leave-one-out by time: the last positive work of a person tests, the one before validates.

    `train` holds the events before the validation work, `before_test` those before the test work (HISTORY columns);
    neither holds any event with the work that is held out. `validation` and `test` hold USER_ID and ARTWORK_ID.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    before_test: pl.DataFrame
    test: pl.DataFrame


def leave_one_out(histories: pl.DataFrame, min_positives: int = MIN_POSITIVES) -> Holdout:
    """Hold out the last two positive works of everyone with at least `min_positives` of them; others are all training.

    `histories` has HISTORY's columns in its order: (user, time, event).
    """
    enough = (
        histories.filter(POSITIVE)
        .group_by(USER_ID)
        .agg(pl.col(ARTWORK_ID).n_unique().alias("works"))
        .filter(pl.col("works") >= min_positives)[USER_ID]
    )
    before_test, test = _hold_last(histories, enough)
    train, validation = _hold_last(before_test, enough)
    return Holdout(train, validation, before_test, test)


def _hold_last(histories: pl.DataFrame, people: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events before each of these people's last positive one, without its work; and that work."""
    rows = histories.with_row_index(_ROW)
    held = (
        rows.filter(pl.col(POSITIVE) & pl.col(USER_ID).is_in(people.implode()))
        .group_by(USER_ID)
        .agg(pl.col(_ROW).max().alias(_HELD_ROW), pl.col(ARTWORK_ID).sort_by(_ROW).last().alias(_HELD_WORK))
        .sort(USER_ID)
    )
    kept = rows.join(held, on=USER_ID, how="left", maintain_order="left").filter(
        pl.col(_HELD_ROW).is_null()
        | ((pl.col(_ROW) < pl.col(_HELD_ROW)) & pl.col(ARTWORK_ID).ne_missing(pl.col(_HELD_WORK)))
    )
    return kept.select(histories.columns), held.select(USER_ID, pl.col(_HELD_WORK).alias(ARTWORK_ID))
