"""User histories as arrays, and the padded batches that training takes from them."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from artrec_core.arrays import BoolArray, Int64Array
from artrec_core.columns import ARTWORK_ID, EVENT_KINDS, KIND, NEGATIVE, OCCURRED_AT, POSITIVE, SEEN, USER_ID

# A signal is an event kind and a strength: neither, negative or positive (`_strength`).
SIGNAL_COUNT = 3 * len(EVENT_KINDS)
# Bounds of the buckets for the time between two events: from half a minute within a session to months between visits.
GAP_BOUNDS_SECONDS = np.array([1, 10, 30, 120, 600, 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400])
# Bucket 0 is for events without an event before them.
GAP_COUNT = len(GAP_BOUNDS_SECONDS) + 2
# Marks a missing row: a position without a target, a user without stated interests.
NO_ROW = -1


@dataclass(frozen=True)
class Sequences:
    """Events of each user, oldest first; the events of user i are [starts[i], starts[i + 1]).

    Training data is saved under these field names.

    Attributes
    ----------
    starts
        (users + 1,) first event of each user.
    artworks
        (events,) rows of the artworks in the catalogue.
    signals
        (events,) event kind and strength, below `SIGNAL_COUNT`.
    gaps
        (events,) bucket of the time since the user's previous event, below `GAP_COUNT`.
    positive
        (events,) whether this user has any positive event with the artwork.
    new
        (events,) whether this is the user's first event with the artwork.
    """

    starts: Int64Array
    artworks: Int64Array
    signals: Int64Array
    gaps: Int64Array
    positive: BoolArray
    new: BoolArray

    @property
    def user_count(self) -> int:
        """Number of users."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> Int64Array:
        """(users,) number of events of each user."""
        return np.diff(self.starts)

    def take(self, users: Int64Array) -> "Sequences":
        """The sequences of these users (row numbers), in this order."""
        rows = _ranges(self.starts[users], self.lengths[users])
        starts = np.concatenate([[0], np.cumsum(self.lengths[users])])
        return Sequences(
            starts, self.artworks[rows], self.signals[rows], self.gaps[rows], self.positive[rows], self.new[rows]
        )

    def shuffle_events(self, random: np.random.Generator) -> "Sequences":
        """The same users with their events in random order; all gaps become bucket 0."""
        owners = np.repeat(np.arange(self.user_count), self.lengths)
        order = np.lexsort((random.random(len(owners)), owners))
        artworks = self.artworks[order]
        new = np.zeros(len(artworks), bool)
        # `unique` returns the first place of each (user, artwork).
        pairs = owners * (int(artworks.max(initial=0)) + 1) + artworks
        new[np.unique(pairs, return_index=True)[1]] = True
        return Sequences(
            self.starts, artworks, self.signals[order], np.zeros_like(self.gaps), self.positive[order], new
        )

    def targets(self, *, positive: bool) -> Int64Array:
        """The next artwork that the user has not seen yet, at each position of each history.

        Position 0 is before the first event, position j after event j.

        Parameters
        ----------
        positive
            Only artworks with a positive event of the user are targets.

        Returns
        -------
        Int64Array
            (events + users,) rows of artworks, the positions of one user after those of another; `NO_ROW` where no
            target follows.
        """
        is_target = self.new & self.positive if positive else self.new
        targets = np.full(len(self.artworks) + self.user_count, NO_ROW)
        # Event e of user i follows position e + i. Its artwork is also the target of the positions before, up to the
        # previous target.
        owners = np.repeat(np.arange(self.user_count), self.lengths)
        events = np.flatnonzero(is_target)
        targets[events + owners[events]] = self.artworks[events]
        return _fill_backward(targets, np.repeat(np.arange(self.user_count), self.lengths + 1))


def build_sequences(histories: pl.DataFrame, user_ids: list[str], artwork_ids: list[str]) -> Sequences:
    """Turn HISTORY rows into arrays.

    Consecutive events of a user with the same artwork become one event, the strongest: a view and the like that follows
    it are one statement.

    Parameters
    ----------
    histories
        HISTORY rows; the events of each user stand oldest first. Rows that do not make an artwork seen, and rows of
        other users or artworks, are left out.
    user_ids
        Users of the result, in this order; users without rows get no events.
    artwork_ids
        The catalogue: `artworks` are places in this list.
    """
    artwork_rows = pl.DataFrame(
        {ARTWORK_ID: artwork_ids, "artwork": np.arange(len(artwork_ids))}, schema_overrides={ARTWORK_ID: pl.String}
    )
    user_rows = pl.DataFrame(
        {USER_ID: user_ids, "user": np.arange(len(user_ids))}, schema_overrides={USER_ID: pl.String}
    )
    kinds = pl.DataFrame({KIND: EVENT_KINDS, "kind_row": np.arange(len(EVENT_KINDS))})
    events = (
        histories.lazy()
        .filter(pl.col(SEEN))
        .join(artwork_rows.lazy(), on=ARTWORK_ID, maintain_order="left")
        .join(user_rows.lazy(), on=USER_ID, maintain_order="left")
        .join(kinds.lazy(), on=KIND, maintain_order="left")
        .sort("user", maintain_order=True)
        .with_columns(pl.struct("user", "artwork").rle_id().alias("run"), _strength().alias("strength"))
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("user", "artwork").first(),
            pl.col(OCCURRED_AT).first().dt.epoch("s").alias("seconds"),
            (3 * pl.col("kind_row") + pl.col("strength"))
            .sort_by("strength", maintain_order=True)
            .last()
            .alias("signal"),
        )
        .with_columns(
            (pl.col("seconds") - pl.col("seconds").shift(1).over("user")).alias("gap"),
            (pl.col("signal") % 3 == 2).max().over("user", "artwork").alias("positive"),
            pl.struct("user", "artwork").is_first_distinct().alias("new"),
        )
        .collect()
    )
    counts = np.bincount(events["user"].to_numpy(), minlength=len(user_ids))
    gaps = np.where(
        events["gap"].is_null().to_numpy(),
        0,
        1 + np.searchsorted(GAP_BOUNDS_SECONDS, events["gap"].fill_null(0).to_numpy(), "right"),
    )
    return Sequences(
        starts=np.concatenate([[0], np.cumsum(counts)]),
        artworks=events["artwork"].to_numpy().astype(np.int64),
        signals=events["signal"].to_numpy().astype(np.int64),
        gaps=gaps.astype(np.int64),
        positive=events["positive"].to_numpy().astype(bool),
        new=events["new"].to_numpy().astype(bool),
    )


def _strength() -> pl.Expr:
    """2 for a positive event, 1 for a negative one, 0 for neither."""
    return pl.when(POSITIVE).then(2).when(NEGATIVE).then(1).otherwise(0)


def _ranges(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """The ranges [start, start + length), one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _fill_backward(values: Int64Array, owners: Int64Array) -> Int64Array:
    """Replace each `NO_ROW` by the next value of the same owner, if there is one."""
    positions = np.arange(len(values))
    sources = np.where(values == NO_ROW, len(values), positions)
    sources = np.minimum.accumulate(sources[::-1])[::-1]
    has_source = sources < len(values)
    same_owner = has_source.copy()
    same_owner[has_source] = owners[sources[has_source]] == owners[has_source]
    result = np.full(len(values), NO_ROW)
    result[same_owner] = values[sources[same_owner]]
    return result


@dataclass(frozen=True)
class PaddedHistories:
    """The latest events of some users, padded at the end.

    `artworks`, `signals` and `gaps` are (users, longest); `lengths` (users,) counts the events before the padding.
    """

    artworks: Int64Array
    signals: Int64Array
    gaps: Int64Array
    lengths: Int64Array


def pad_histories(histories: Sequences, users: Int64Array, max_history: int) -> PaddedHistories:
    """The latest `max_history` events of these users (rows of `histories`).

    Padding has value 0 in every array. It stands after the events, so no position with an event attends to it.
    """
    lengths = np.minimum(histories.lengths[users], max_history)
    columns = np.arange(max(int(lengths.max(initial=0)), 1))
    is_event = columns < lengths[:, None]
    rows = np.where(is_event, (histories.starts[users + 1] - lengths)[:, None] + columns, 0)
    if len(histories.artworks) == 0:
        empty = np.zeros(rows.shape, np.int64)
        return PaddedHistories(empty, empty, empty, lengths)
    artworks, signals, gaps = (
        np.where(is_event, values[rows], 0) for values in (histories.artworks, histories.signals, histories.gaps)
    )
    return PaddedHistories(artworks, signals, gaps, lengths)


def pad_targets(targets: Int64Array, histories: Sequences, users: Int64Array, max_history: int) -> Int64Array:
    """Targets of the positions that `pad_histories` keeps.

    Parameters
    ----------
    targets
        (events + users,) what `histories.targets` returned.
    histories
        The histories of all users.
    users
        Rows of the users in `histories`.
    max_history
        The number of latest events kept for each user.

    Returns
    -------
    Int64Array
        (users, longest + 1) rows of artworks; `NO_ROW` where there is no target.
    """
    lengths = np.minimum(histories.lengths[users], max_history)
    columns = np.arange(max(int(lengths.max(initial=0)), 1) + 1)
    is_position = columns <= lengths[:, None]
    # The positions of user i start at starts[i] + i: each user before has one position more than events.
    last = histories.starts[users + 1] + users
    return np.where(is_position, targets[np.where(is_position, (last - lengths)[:, None] + columns, 0)], NO_ROW)


def length_batches(lengths: Int64Array, batch_size: int, random: np.random.Generator) -> list[Int64Array]:
    """Batches of users with similar history lengths, in random order; each user is in one batch.

    Similar lengths keep the padding small.

    Parameters
    ----------
    lengths
        (users,) number of events of each user.
    batch_size
        Number of users in a batch; the last one may be smaller.
    random
        Decides the order of the batches and, between similar lengths, who shares a batch.

    Returns
    -------
    list[Int64Array]
        Places in `lengths`, one array for each batch.
    """
    order = np.argsort(lengths * random.uniform(0.9, 1.1, len(lengths)), kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[number] for number in random.permutation(len(batches))]
