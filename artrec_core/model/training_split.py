"""A night's frozen future: everyone's histories before the test, and the works that were held out of them.

Training and the gate look at the same one: it follows from the night's tables alone. Imported where it is needed: polars is heavy.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from artrec_core.arrays import Int64Array
from artrec_core.columns import ARTWORK_ID, DOCUMENT, USER_ID
from artrec_core.data.holdout import Holdout, leave_one_out
from artrec_core.model.sequences import Sequences, build_sequences
from jobs.step import Night
from jobs.train import in_catalogue


@dataclass(frozen=True)
class Future:
    """`catalogue` is sorted by artwork id, `people` (everyone) by user id: what rows mean below."""

    catalogue: pl.DataFrame
    people: pl.DataFrame
    held_out: Holdout

    @cached_property
    def artwork_ids(self) -> list[str]:
        """The works, a row each."""
        return self.catalogue[ARTWORK_ID].to_list()

    @cached_property
    def user_ids(self) -> list[str]:
        """The people, a row each."""
        return self.people[USER_ID].to_list()

    @cached_property
    def documents(self) -> list[str]:
        """The works' texts."""
        return self.catalogue[DOCUMENT].to_list()

    @cached_property
    def before(self) -> Sequences:
        """Everyone's histories before the test."""
        return build_sequences(self.held_out.before_test, self.user_ids, self.artwork_ids)

    @cached_property
    def tested(self) -> Int64Array:
        """Rows of the people whose work is held out for the test."""
        return self._people(self.held_out.test)

    @cached_property
    def targets(self) -> Int64Array:
        """Rows of the works that are held out for them."""
        return self._works(self.held_out.test)

    @cached_property
    def validation(self) -> Int64Array:
        """(people, 2) rows of people and of the works that validate."""
        return np.stack([self._people(self.held_out.validation), self._works(self.held_out.validation)], 1)

    def _people(self, held: pl.DataFrame) -> Int64Array:
        return _rows(held[USER_ID], self.user_ids)

    def _works(self, held: pl.DataFrame) -> Int64Array:
        return _rows(held[ARTWORK_ID], self.artwork_ids)


def future_of(night: Night) -> Future:
    """The future of a night's tables; nothing is held out where the recipe trains on everything."""
    from jobs.embed import everyone

    catalogue = night.lake.read("catalogue", night.day).sort(ARTWORK_ID)
    histories = night.lake.read("histories", night.day)
    known = in_catalogue(histories, catalogue)
    held_out = leave_one_out(known) if night.recipe.train.holdout else nothing_held_out(known)
    return Future(catalogue, everyone(night.lake.read("people", night.day), histories), held_out)


def nothing_held_out(histories: pl.DataFrame) -> Holdout:
    """Every event is there to learn from, and nothing to be measured by."""
    nobody = histories.select(USER_ID, ARTWORK_ID).clear()
    return Holdout(histories, nobody, histories, nobody)


def trained_on(histories: pl.DataFrame, catalogue: pl.DataFrame, *, holdout: bool, refit: bool) -> pl.DataFrame:
    """(USER_ID, ARTWORK_ID) pairs that a training on these tables was shown, with repeats."""
    known = in_catalogue(histories, catalogue)
    if holdout:
        held_out = leave_one_out(known)
        known = held_out.before_test if refit else held_out.train
    return known.select(USER_ID, ARTWORK_ID)


def _rows(values: pl.Series, among: list[str]) -> Int64Array:
    where = {one: row for row, one in enumerate(among)}
    return np.array([where[one] for one in values.to_list()], np.int64)
