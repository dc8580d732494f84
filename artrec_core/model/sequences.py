"""People's histories as arrays, and the batches both phases of training take from them."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from artrec_core.arrays import Int64Array
from artrec_core.columns import ARTWORK_ID, EVENT_KINDS, KIND, NEGATIVE, OCCURRED_AT, POSITIVE, SEEN, USER_ID

# What an event says: its kind, and whether it counted as positive (a long view, a rating of 4), negative or neither.
SIGNALS = 3 * len(EVENT_KINDS)
# Gaps in seconds that bound the buckets: half a minute within a session, up to months between visits.
GAP_BOUNDS = np.array([1, 10, 30, 120, 600, 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400])
GAPS = len(GAP_BOUNDS) + 2
NO_WORK = -1


@dataclass(frozen=True)
class Sequences:
    """What each person did, oldest first; person i owns [starts[i], starts[i + 1]).

    `works` are rows of the catalogue, `signals` and `gaps` what the user tower embeds, `positive` whether the work ever
    got a positive event of this person, `new` whether this is the person's first event with it.
    """

    starts: Int64Array
    works: Int64Array
    signals: Int64Array
    gaps: Int64Array
    positive: NDArray[np.bool_]
    new: NDArray[np.bool_]

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> Int64Array:
        """How many events each person has."""
        return np.diff(self.starts)

    def take(self, people: Int64Array) -> "Sequences":
        """The sequences of these people, in this order."""
        rows = _ranges(self.starts[people], self.lengths[people])
        starts = np.concatenate([[0], np.cumsum(self.lengths[people])])
        return Sequences(
            starts, self.works[rows], self.signals[rows], self.gaps[rows], self.positive[rows], self.new[rows]
        )

    def shuffled(self, random: np.random.Generator) -> "Sequences":
        """The same people with their events in random order, and no gaps between them."""
        owners = np.repeat(np.arange(self.people), self.lengths)
        order = np.lexsort((random.random(len(owners)), owners))
        works = self.works[order]
        new = np.zeros(len(works), bool)
        # `unique` returns the first place of each (person, work).
        pairs = owners * (int(works.max(initial=0)) + 1) + works
        new[np.unique(pairs, return_index=True)[1]] = True
        return Sequences(self.starts, works, self.signals[order], np.zeros_like(self.gaps), self.positive[order], new)

    def targets(self, *, positive: bool) -> Int64Array:
        """For each position of each person (before the first event, after each one): the next work not yet seen there.

        Flat, a person's positions in a row: lengths + 1 each; NO_WORK where none follows. With `positive`, only works
        the person gave a positive event.
        """
        wanted = self.new & self.positive if positive else self.new
        out = np.full(len(self.works) + self.people, NO_WORK)
        # An event e of person i follows position e + i; what follows it is carried back to the positions before.
        owners = np.repeat(np.arange(self.people), self.lengths)
        events = np.flatnonzero(wanted)
        out[events + owners[events]] = self.works[events]
        return _filled_backward(out, np.repeat(np.arange(self.people), self.lengths + 1))


def sequences(histories: pl.DataFrame, people: list[str], artwork_ids: list[str]) -> Sequences:
    """HISTORY rows (in its order) as arrays; works outside the catalogue and events that do not make a work seen are left out.

    Events in a row on the same work become one, the strongest: a view and the like that follows it say one thing.
    """
    work_rows = pl.DataFrame(
        {ARTWORK_ID: artwork_ids, "work": np.arange(len(artwork_ids))}, schema_overrides={ARTWORK_ID: pl.String}
    )
    person_rows = pl.DataFrame(
        {USER_ID: people, "person": np.arange(len(people))}, schema_overrides={USER_ID: pl.String}
    )
    kinds = pl.DataFrame({KIND: EVENT_KINDS, "kind_row": np.arange(len(EVENT_KINDS))})
    rows = (
        histories.lazy()
        .filter(pl.col(SEEN))
        .join(work_rows.lazy(), on=ARTWORK_ID, maintain_order="left")
        .join(person_rows.lazy(), on=USER_ID, maintain_order="left")
        .join(kinds.lazy(), on=KIND, maintain_order="left")
        .sort("person", maintain_order=True)
        .with_columns(pl.struct("person", "work").rle_id().alias("run"), _strength().alias("strength"))
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("person", "work").first(),
            pl.col(OCCURRED_AT).first().dt.epoch("s").alias("seconds"),
            (3 * pl.col("kind_row") + pl.col("strength"))
            .sort_by("strength", maintain_order=True)
            .last()
            .alias("signal"),
        )
        .with_columns(
            (pl.col("seconds") - pl.col("seconds").shift(1).over("person")).alias("gap"),
            (pl.col("signal") % 3 == 2).max().over("person", "work").alias("positive"),
            pl.struct("person", "work").is_first_distinct().alias("new"),
        )
        .collect()
    )
    counts = np.bincount(rows["person"].to_numpy(), minlength=len(people))
    gaps = np.where(
        rows["gap"].is_null().to_numpy(),
        0,
        1 + np.searchsorted(GAP_BOUNDS, rows["gap"].fill_null(0).to_numpy(), "right"),
    )
    return Sequences(
        starts=np.concatenate([[0], np.cumsum(counts)]),
        works=rows["work"].to_numpy().astype(np.int64),
        signals=rows["signal"].to_numpy().astype(np.int64),
        gaps=gaps.astype(np.int64),
        positive=rows["positive"].to_numpy().astype(bool),
        new=rows["new"].to_numpy().astype(bool),
    )


def _strength() -> pl.Expr:
    """0 neither, 1 negative, 2 positive."""
    return pl.when(POSITIVE).then(2).when(NEGATIVE).then(1).otherwise(0)


def _ranges(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """The ranges [start, start + length), one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _filled_backward(values: Int64Array, owners: Int64Array) -> Int64Array:
    """Each NO_WORK takes the next value of the same owner."""
    positions = np.arange(len(values))
    following = np.where(values == NO_WORK, len(values), positions)
    following = np.minimum.accumulate(following[::-1])[::-1]
    there = following < len(values)
    out = np.full(len(values), NO_WORK)
    same = there.copy()
    same[there] = owners[following[there]] == owners[there]
    out[same] = values[following[same]]
    return out


@dataclass(frozen=True)
class Padded:
    """Latest events of some people, padded at the end; all arrays (people, longest), `lengths` (people,)."""

    works: Int64Array
    signals: Int64Array
    gaps: Int64Array
    lengths: Int64Array


def padded(sequences: Sequences, people: Int64Array, max_history: int) -> Padded:
    """The latest `max_history` events of these people; padding is row 0 of everything and is never read."""
    lengths = np.minimum(sequences.lengths[people], max_history)
    columns = np.arange(max(int(lengths.max(initial=0)), 1))
    there = columns < lengths[:, None]
    rows = np.where(there, (sequences.starts[people + 1] - lengths)[:, None] + columns, 0)
    if len(sequences.works) == 0:
        nothing = np.zeros(rows.shape, np.int64)
        return Padded(nothing, nothing, nothing, lengths)
    works, signals, gaps = (
        np.where(there, values[rows], 0) for values in (sequences.works, sequences.signals, sequences.gaps)
    )
    return Padded(works, signals, gaps, lengths)


def padded_targets(targets: Int64Array, sequences: Sequences, people: Int64Array, max_history: int) -> Int64Array:
    """(people, longest + 1) targets of the same positions as `padded`; NO_WORK where there is none."""
    lengths = np.minimum(sequences.lengths[people], max_history)
    columns = np.arange(max(int(lengths.max(initial=0)), 1) + 1)
    there = columns <= lengths[:, None]
    # Positions of person i start at starts[i] + i: one more than events for everyone before.
    last = sequences.starts[people + 1] + people
    return np.where(there, targets[np.where(there, (last - lengths)[:, None] + columns, 0)], NO_WORK)


def length_batches(lengths: Int64Array, batch: int, random: np.random.Generator) -> list[Int64Array]:
    """Everyone once, in batches of like lengths (so that padding is small), the batches in random order."""
    order = np.argsort(lengths * random.uniform(0.9, 1.1, len(lengths)), kind="stable")
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return [batches[at] for at in random.permutation(len(batches))]
