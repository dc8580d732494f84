"""Held-out splits: the events that are kept from training to evaluate a model.

Held out are each user's last positive artworks, all events after a point in time, or some artworks altogether.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, OCCURRED_AT, POSITIVE, SEEN, USER_ID
from artrec_core.errors import ArtrecError

MIN_POSITIVES = 3
# The share of the positive events that come after the cut of a time split.
SHARE_AFTER = 0.1

_ROW = "_row"
_HELD_ROW = "_held_row"
_HELD_ARTWORK = "_held_work"


@dataclass(frozen=True)
class Holdout:
    """A split into training, validation and test.

    For each user, one artwork is held out for the test and an earlier one for validation.

    Attributes
    ----------
    train : frame of HISTORY, the events before the validation artwork
    before_test : frame of HISTORY, the events before the test artwork
    validation, test : frames of USER_ID and ARTWORK_ID, one row for each user, sorted by USER_ID

    `train` and `before_test` hold no event of a user with the artwork that is held out for that user.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    before_test: pl.DataFrame
    test: pl.DataFrame


def leave_one_out(histories: pl.DataFrame, min_positives: int = MIN_POSITIVES) -> Holdout:
    """Hold out the last two positive artworks of each user with at least `min_positives` different ones.

    All events of the other users go into training. `histories` has the columns and the order of HISTORY: (user, time,
    event).
    """
    eligible_users = (
        histories.filter(POSITIVE)
        .group_by(USER_ID)
        .agg(pl.col(ARTWORK_ID).n_unique().alias("artworks"))
        .filter(pl.col("artworks") >= min_positives)[USER_ID]
    )
    before_test, test = _hold_out_last(histories, eligible_users)
    train, validation = _hold_out_last(before_test, eligible_users)
    return Holdout(train, validation, before_test, test)


def time_split(histories: pl.DataFrame, share: float = SHARE_AFTER) -> Holdout:
    """Split all histories at one point in time.

    The events before the cut are for training. A user's first positive artwork after the cut is for the test.

    Parameters
    ----------
    histories : frame of HISTORY, in its order: (user, time, event)
    share : share (0 to 1) of the positive events that come after the cut
        The validation split cuts the events before the test in the same way, with the same share.

    An artwork is a user's test only if it is new to that user: artworks seen before the cut are left out of the ranking.

    Raises
    ------
    ArtrecError
        If all events have the same time, so that none comes before a cut.
    """
    before_test, test = _split_by_time(histories, share)
    train, validation = _split_by_time(before_test, share)
    return Holdout(train, validation, before_test, test)


def _split_by_time(histories: pl.DataFrame, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events before the cut, and each user's first new positive artwork after it.

    `share` of the positive events come after the cut.
    """
    times = histories.filter(POSITIVE)[OCCURRED_AT].sort()
    if len(times) == 0:
        return histories, histories.select(USER_ID, ARTWORK_ID).clear()
    cut_time = times[min(int(len(times) * (1 - share)), len(times) - 1)]
    before = histories.filter(pl.col(OCCURRED_AT) < cut_time)
    if not before.height:
        raise ArtrecError(
            f"a time split needs events at different times, but no event comes before {cut_time:%Y-%m-%d %H:%M:%S}; "
            "evaluate with `--protocol leave-one-out`"
        )
    after = histories.filter(pl.col(POSITIVE) & (pl.col(OCCURRED_AT) >= cut_time))
    new = after.join(before.filter(SEEN), on=[USER_ID, ARTWORK_ID], how="anti", maintain_order="left")
    return before, new.unique(USER_ID, keep="first", maintain_order=True).select(USER_ID, ARTWORK_ID).sort(USER_ID)


def sample_artworks_to_hide(held_out: Holdout, share: float, seed: int = 0) -> list[str]:
    """Sample a share of the artworks with positive events before the test; the ids are sorted.

    The sample depends on the seed and on these artworks. The test artworks do not influence it.
    """
    candidates = held_out.before_test.filter(POSITIVE)[ARTWORK_ID].unique().sort().to_list()
    rows = np.random.default_rng(seed).choice(len(candidates), round(share * len(candidates)), replace=False)
    return sorted(candidates[row] for row in rows)


def restrict_test(held_out: Holdout, artwork_ids: list[str]) -> Holdout:
    """The same split, with only the users whose test artwork is one of `artwork_ids` in the test."""
    return replace(held_out, test=held_out.test.filter(pl.col(ARTWORK_ID).is_in(artwork_ids)))


def remove_artworks(held_out: Holdout, artwork_ids: list[str]) -> Holdout:
    """The same split without any event of these artworks, except in the test: no user has seen them before."""
    other_artworks = ~pl.col(ARTWORK_ID).is_in(artwork_ids)
    return replace(
        held_out,
        train=held_out.train.filter(other_artworks),
        validation=held_out.validation.filter(other_artworks),
        before_test=held_out.before_test.filter(other_artworks),
    )


def _hold_out_last(histories: pl.DataFrame, user_ids: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hold out the last positive artwork of each of these users.

    Returns the events before it, without any event of that artwork, and (USER_ID, ARTWORK_ID) of the artworks.
    """
    rows = histories.with_row_index(_ROW)
    held_out = (
        rows.filter(pl.col(POSITIVE) & pl.col(USER_ID).is_in(user_ids.implode()))
        .group_by(USER_ID)
        .agg(pl.col(_ROW).max().alias(_HELD_ROW), pl.col(ARTWORK_ID).sort_by(_ROW).last().alias(_HELD_ARTWORK))
        .sort(USER_ID)
    )
    earlier = rows.join(held_out, on=USER_ID, how="left", maintain_order="left").filter(
        pl.col(_HELD_ROW).is_null()
        | ((pl.col(_ROW) < pl.col(_HELD_ROW)) & pl.col(ARTWORK_ID).ne_missing(pl.col(_HELD_ARTWORK)))
    )
    return earlier.select(histories.columns), held_out.select(USER_ID, pl.col(_HELD_ARTWORK).alias(ARTWORK_ID))


def in_catalogue(histories: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """Keep the events with artworks that can be recommended: others cannot be found again, so they measure nothing."""
    return histories.join(catalogue.select(ARTWORK_ID), on=ARTWORK_ID, how="semi", maintain_order="left")


def hold_nothing_out(histories: pl.DataFrame) -> Holdout:
    """A split that trains on every event and measures nothing."""
    nothing = histories.select(USER_ID, ARTWORK_ID).clear()
    return Holdout(histories, nothing, histories, nothing)
