"""The held-out split of a night's tables: what training may read, and the test artworks.

Training and the gate read the same split: it follows from the night's tables alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from artrec_core.arrays import Int64Array
from artrec_core.columns import ARTWORK_ID, USER_ID
from artrec_core.data.holdout import Holdout, hold_nothing_out, in_catalogue, leave_one_out
from artrec_core.data.people import all_users
from artrec_core.data.queries import artwork_queries
from artrec_core.data.rows import row_numbers
from artrec_core.lake import Lake
from artrec_core.model.training_data import TrainingData


@dataclass(frozen=True)
class TrainingSplit:
    """A night's tables, split. `catalogue` is sorted by artwork id, `people` (all users) by user id: they number the rows."""

    catalogue: pl.DataFrame
    people: pl.DataFrame
    held_out: Holdout

    @cached_property
    def artwork_ids(self) -> list[str]:
        """Ids of the artworks, in the order of their rows."""
        return self.catalogue[ARTWORK_ID].to_list()

    @cached_property
    def user_ids(self) -> list[str]:
        """Ids of the users, in the order of their rows."""
        return self.people[USER_ID].to_list()

    @cached_property
    def queries(self) -> list[tuple[str, int]]:
        """Pairs of a text and the row of the artwork that it is a query for."""
        return artwork_queries(self.catalogue)

    @cached_property
    def test_users(self) -> Int64Array:
        """Rows of the users who have a test artwork, (n,)."""
        return row_numbers(self.held_out.test[USER_ID], self.user_ids)

    @cached_property
    def test_artworks(self) -> Int64Array:
        """Rows of their test artworks, (n,)."""
        return row_numbers(self.held_out.test[ARTWORK_ID], self.artwork_ids)

    def training_data(self, *, refit: bool) -> TrainingData:
        """The texts and histories that a training reads. They hold nothing about the test artworks."""
        return TrainingData.from_frames(
            self.catalogue,
            self.people,
            self.queries,
            train=self.held_out.train,
            validation=self.held_out.validation,
            before_test=self.held_out.before_test if refit else None,
        )


def read_training_split(lake: Lake, day: str, *, holdout: bool) -> TrainingSplit:
    """Split a night's tables as training does; without `holdout` nothing is held out."""
    return read_split(lake, day, leave_one_out if holdout else hold_nothing_out)


def read_split(lake: Lake, day: str, hold_out: Callable[[pl.DataFrame], Holdout]) -> TrainingSplit:
    """Split a night's tables.

    Parameters
    ----------
    lake, day
        The night's tables `catalogue`, `histories` and `people`.
    hold_out
        Makes the holdout of the histories, which hold no artwork outside the catalogue.

    Raises
    ------
    MissingPartition
        If the night has no such tables.
    """
    catalogue = lake.read("catalogue", day).sort(ARTWORK_ID)
    histories = lake.read("histories", day)
    held_out = hold_out(in_catalogue(histories, catalogue))
    return TrainingSplit(catalogue, all_users(lake.read("people", day), histories), held_out)


def training_pairs(histories: pl.DataFrame, catalogue: pl.DataFrame, *, holdout: bool, refit: bool) -> pl.DataFrame:
    """(USER_ID, ARTWORK_ID) pairs that a training on these tables was shown, with repeats."""
    usable = in_catalogue(histories, catalogue)
    if holdout:
        split = leave_one_out(usable)
        usable = split.before_test if refit else split.train
    return usable.select(USER_ID, ARTWORK_ID)
