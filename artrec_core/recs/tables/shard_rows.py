"""Where in the lake the rows of some people lie, so that whoever scores them reads these and not whole tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from artrec_core.columns import LAKE, USER_ID, empty_frame
from artrec_core.lake import Lake, Part

# Parts of a table, and in each the first and the last row of these people.
Stretches: TypeAlias = list[tuple[Part, int, int]]


@dataclass(frozen=True)
class SomePeople:
    """People from an id to another, in the order of ids, and where each table has rows of them."""

    first_id: str
    last_id: str
    stretches: dict[str, Stretches]

    def read(self, lake: Lake, table: str, day: str) -> pl.DataFrame:
        """The rows of these people, in the table's order."""
        found = [lake.read_rows(table, day, part, first, last) for part, first, last in self.stretches[table]]
        rows = pl.concat(found) if found else empty_frame(LAKE[table])
        return rows.filter(pl.col(USER_ID).is_between(pl.lit(self.first_id), pl.lit(self.last_id)))


class PeopleRows:
    """The rows of all people, who are cut into shards of one size by their sorted ids."""

    def __init__(self, user_ids: pl.Series, size: int) -> None:
        """`user_ids` are sorted and distinct."""
        self.user_ids, self.size = user_ids, size
        self._stretches: dict[str, dict[int, Stretches]] = {}

    def add(self, table: str, ids: pl.Series, parts: Iterable[Part]) -> None:
        """A table by the USER_ID of each of its rows and the parts these lie in, in their order."""
        listed = list(parts)
        starts = np.cumsum([0, *(part.rows for part in listed)])
        people = self.user_ids.rename(USER_ID).to_frame().with_row_index("person")
        rows = ids.rename(USER_ID).to_frame().with_row_index("row").join(people, on=USER_ID)
        number = np.searchsorted(starts, rows["row"].to_numpy(), side="right") - 1
        found = (
            rows.select("row", (pl.col("person") // self.size).alias("shard"), pl.Series("part", number, pl.Int64))
            .group_by("shard", "part")
            .agg(pl.col("row").min().alias("first"), pl.col("row").max().alias("last"))
            .sort("shard", "part")
        )
        stretches: dict[int, Stretches] = {}
        for shard, at, first, last in found.iter_rows():
            begin = int(starts[at])
            stretches.setdefault(shard, []).append((listed[at], first - begin, last - begin))
        self._stretches[table] = stretches

    def of(self, shard: int) -> SomePeople:
        """The people of a shard."""
        some = self.user_ids[shard * self.size : (shard + 1) * self.size]
        return SomePeople(some[0], some[-1], {name: all_of.get(shard, []) for name, all_of in self._stretches.items()})
