"""Where the rows of a shard of users lie in the lake, so that a task reads only these rows and not whole tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from artrec_core.columns import LAKE, USER_ID, empty_frame
from artrec_core.lake import Lake, Part

# Parts of a table; in each, the first and the last row of the shard's users.
RowRanges: TypeAlias = list[tuple[Part, int, int]]


@dataclass(frozen=True)
class UserShard:
    """Users from `first_id` to `last_id`, and where each table has their rows."""

    first_id: str
    last_id: str
    row_ranges: dict[str, RowRanges]

    def read(self, lake: Lake, table: str, day: str) -> pl.DataFrame:
        """Read the rows of these users, in the table's order."""
        frames = [lake.read_rows(table, day, part, first, last) for part, first, last in self.row_ranges[table]]
        rows = pl.concat(frames) if frames else empty_frame(LAKE[table])
        return rows.filter(pl.col(USER_ID).is_between(pl.lit(self.first_id), pl.lit(self.last_id)))


class UserRowIndex:
    """Where the rows of all users lie. Users are cut into shards of equal size, in order of their ids."""

    def __init__(self, user_ids: pl.Series, size: int) -> None:
        """`user_ids` are sorted and distinct; a shard has `size` users."""
        self.user_ids, self.size = user_ids, size
        self._row_ranges: dict[str, dict[int, RowRanges]] = {}

    def add(self, table: str, ids: pl.Series, parts: Iterable[Part]) -> None:
        """Add a table.

        Parameters
        ----------
        table
            Name of the table.
        ids
            USER_ID of each of its rows.
        parts
            The parts that hold these rows, in the same order.
        """
        part_list = list(parts)
        starts = np.cumsum([0, *(part.rows for part in part_list)])
        users = self.user_ids.rename(USER_ID).to_frame().with_row_index("user")
        rows = ids.rename(USER_ID).to_frame().with_row_index("row").join(users, on=USER_ID)
        part_index = np.searchsorted(starts, rows["row"].to_numpy(), side="right") - 1
        bounds = (
            rows.select("row", (pl.col("user") // self.size).alias("shard"), pl.Series("part", part_index, pl.Int64))
            .group_by("shard", "part")
            .agg(pl.col("row").min().alias("first"), pl.col("row").max().alias("last"))
            .sort("shard", "part")
        )
        row_ranges: dict[int, RowRanges] = {}
        for shard, index, first, last in bounds.iter_rows():
            begin = int(starts[index])
            row_ranges.setdefault(shard, []).append((part_list[index], first - begin, last - begin))
        self._row_ranges[table] = row_ranges

    def shard(self, number: int) -> UserShard:
        """The shard of this number."""
        ids = self.user_ids[number * self.size : (number + 1) * self.size]
        ranges = {table: by_shard.get(number, []) for table, by_shard in self._row_ranges.items()}
        return UserShard(ids[0], ids[-1], ranges)
