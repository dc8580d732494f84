"""The held-out split of a night's tables: what training may read, and the test artworks.

Training and the gate read the same split: it follows from the night's tables alone.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from artrec_core.arrays import Int64Array
from artrec_core.columns import ARTWORK_ID, DOCUMENT, USER_ID
from artrec_core.data.holdout import Holdout, hold_nothing_out, in_catalogue, leave_one_out
from artrec_core.data.people import all_users, distinct_interests
from artrec_core.data.queries import artwork_queries
from artrec_core.lake import Lake
from artrec_core.model.sequences import Sequences, build_sequences
from artrec_core.model.training_data import TrainingData


@dataclass(frozen=True)
class TrainingSplit:
    """A night's tables, split. `catalogue` is sorted by artwork id, `people` (all users) by user id: they number the rows."""

    catalogue: pl.DataFrame
    people: pl.DataFrame
    held_out: Holdout

    @cached_property
    def artwork_ids(self) -> list[str]:
        """The artworks, a row each."""
        return self.catalogue[ARTWORK_ID].to_list()

    @cached_property
    def user_ids(self) -> list[str]:
        """The users, a row each."""
        return self.people[USER_ID].to_list()

    @cached_property
    def documents(self) -> list[str]:
        """The artworks' texts."""
        return self.catalogue[DOCUMENT].to_list()

    @cached_property
    def before_test(self) -> Sequences:
        """All users' histories before the test."""
        return build_sequences(self.held_out.before_test, self.user_ids, self.artwork_ids)

    @cached_property
    def test_users(self) -> Int64Array:
        """Rows of the users who have a test artwork, (n,)."""
        return self._user_rows(self.held_out.test)

    @cached_property
    def test_artworks(self) -> Int64Array:
        """Rows of their test artworks, (n,)."""
        return self._artwork_rows(self.held_out.test)

    @cached_property
    def validation(self) -> Int64Array:
        """Rows of users and of their validation artworks, (n, 2)."""
        held_out = self.held_out.validation
        return np.stack([self._user_rows(held_out), self._artwork_rows(held_out)], 1)

    def training_data(self, *, refit: bool) -> TrainingData:
        """The texts and histories that a training reads. Nothing in it tells of the test artworks."""
        interests, interest_of = distinct_interests(self.people)
        return TrainingData(
            artwork_ids=self.artwork_ids,
            documents=self.documents,
            interests=interests,
            interest_of=interest_of,
            queries=artwork_queries(self.catalogue),
            histories=build_sequences(self.held_out.train, self.user_ids, self.artwork_ids),
            validation=self.validation,
            user_ids=self.user_ids,
            refit=self.before_test if refit else None,
        )

    def _user_rows(self, held_out: pl.DataFrame) -> Int64Array:
        return _rows(held_out[USER_ID], self.user_ids)

    def _artwork_rows(self, held_out: pl.DataFrame) -> Int64Array:
        return _rows(held_out[ARTWORK_ID], self.artwork_ids)


def read_training_split(lake: Lake, day: str, *, holdout: bool) -> TrainingSplit:
    """Split a night's tables; without `holdout` nothing is held out."""
    catalogue = lake.read("catalogue", day).sort(ARTWORK_ID)
    histories = lake.read("histories", day)
    usable = in_catalogue(histories, catalogue)
    split = leave_one_out(usable) if holdout else hold_nothing_out(usable)
    return TrainingSplit(catalogue, all_users(lake.read("people", day), histories), split)


def training_pairs(histories: pl.DataFrame, catalogue: pl.DataFrame, *, holdout: bool, refit: bool) -> pl.DataFrame:
    """(USER_ID, ARTWORK_ID) pairs that a training on these tables was shown, with repeats."""
    usable = in_catalogue(histories, catalogue)
    if holdout:
        split = leave_one_out(usable)
        usable = split.before_test if refit else split.train
    return usable.select(USER_ID, ARTWORK_ID)


def _rows(ids: pl.Series, order: list[str]) -> Int64Array:
    row_of = {identifier: row for row, identifier in enumerate(order)}
    return np.array([row_of[identifier] for identifier in ids.to_list()], np.int64)
