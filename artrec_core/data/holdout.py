"""What is kept from training to measure it: each person's last positive works, what came after a moment, or some works altogether."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, OCCURRED_AT, POSITIVE, SEEN, USER_ID
from artrec_core.errors import ArtrecError

MIN_POSITIVES = 3
# Share of the positive events that come after the moment a time split cuts at.
SHARE_AFTER = 0.1

_ROW = "_row"
_HELD_ROW = "_held_row"
_HELD_WORK = "_held_work"


@dataclass(frozen=True)
class Holdout:
    """One work a person tests, one before it validates.

    `train` holds the events before the validation work, `before_test` those before the test work (HISTORY columns);
    neither holds any event of the person with the work that is held out. `validation` and `test` hold USER_ID and
    ARTWORK_ID, a row a person, sorted by USER_ID.
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


def time_split(histories: pl.DataFrame, share: float = SHARE_AFTER) -> Holdout:
    """Cut time for everyone at once: what came before trains, a person's first positive work after the cut tests.

    `share` of the positive events come after the cut; of those before it, as large a share comes after the cut of the
    validation. A work tests only whom it was new to: works met before the cut are left out of the ranking. `histories` has HISTORY's
    columns in its order. Raises `ArtrecError` where everything happened at once, so that nothing comes before a cut.
    """
    before_test, test = _cut(histories, share)
    train, validation = _cut(before_test, share)
    return Holdout(train, validation, before_test, test)


def _cut(histories: pl.DataFrame, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events before the moment that leaves `share` of the positive ones; the first new positive work of each person after it."""
    moments = histories.filter(POSITIVE)[OCCURRED_AT].sort()
    if len(moments) == 0:
        return histories, histories.select(USER_ID, ARTWORK_ID).clear()
    cut = moments[min(int(len(moments) * (1 - share)), len(moments) - 1)]
    before = histories.filter(pl.col(OCCURRED_AT) < cut)
    if not before.height:
        raise ArtrecError(
            f"a time split needs events at different times, and nothing comes before {cut:%Y-%m-%d %H:%M:%S}; "
            "measure with `--protocol leave-one-out`"
        )
    after = histories.filter(pl.col(POSITIVE) & (pl.col(OCCURRED_AT) >= cut))
    new = after.join(before.filter(SEEN), on=[USER_ID, ARTWORK_ID], how="anti", maintain_order="left")
    return before, new.unique(USER_ID, keep="first", maintain_order=True).select(USER_ID, ARTWORK_ID).sort(USER_ID)


def works_to_hide(held_out: Holdout, share: float, seed: int = 0) -> list[str]:
    """A share of the works that people took up before the test, drawn by the seed alone, sorted: the test has no say in it."""
    taken = held_out.before_test.filter(POSITIVE)[ARTWORK_ID].unique().sort().to_list()
    drawn = np.random.default_rng(seed).choice(len(taken), round(share * len(taken)), replace=False)
    return sorted(taken[row] for row in drawn)


def with_tests_of(held_out: Holdout, works: list[str]) -> Holdout:
    """The same holdout for the people whose test work is one of these."""
    return replace(held_out, test=held_out.test.filter(pl.col(ARTWORK_ID).is_in(works)))


def without_works(held_out: Holdout, works: list[str]) -> Holdout:
    """The same holdout with every event of these works gone from all but the test: nobody has ever seen them."""
    kept = ~pl.col(ARTWORK_ID).is_in(works)
    return replace(
        held_out,
        train=held_out.train.filter(kept),
        validation=held_out.validation.filter(kept),
        before_test=held_out.before_test.filter(kept),
    )


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
