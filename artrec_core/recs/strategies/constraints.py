"""The kinds that caps and floors go by, as arrays over the works of a catalogue."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.columns import CLASSIFICATION, CREATORS, CULTURE, MOVEMENT, MUSEUM, SOURCE
from artrec_core.config import Strategy
from artrec_core.recs.inputs.reasons import UNKNOWN_CREATORS
from artrec_core.recs.strategies.filters import creator_keys, key_of
from artrec_core.recs.strategies.reranking import Lines

_FIRST = pl.col(CREATORS).list.first()
KINDS = {
    "source": pl.coalesce(SOURCE, MUSEUM),
    "museum": pl.col(MUSEUM),
    "gender": _FIRST.struct.field("gender"),
    "nationality": _FIRST.struct.field("nationality"),
    "movement": pl.col(MOVEMENT),
    "culture": pl.col(CULTURE),
    "classification": pl.col(CLASSIFICATION),
}


@dataclass(frozen=True)
class Rows:
    """Lists of numbers: list i is numbers[starts[i] : starts[i + 1]]."""

    starts: npt.NDArray[np.int64]
    numbers: Int32Array

    def of(self, one: int) -> Int32Array:
        """List `one`."""
        return self.numbers[self.starts[one] : self.starts[one + 1]]

    def turned(self) -> "Rows":
        """The lists that hold 0, 1, ..., in order; a number below 0 is in none."""
        holders = np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))
        order = np.argsort(self.numbers, kind="stable")
        many = max(int(self.numbers.max(initial=-1)) + 1, 0)
        starts = np.searchsorted(self.numbers[order], np.arange(many + 1)).astype(np.int64)
        return Rows(starts, holders[order])


def creators_of(catalogue: pl.DataFrame) -> Rows:
    """The numbers of each work's named creators, each once; "unknown artist" and the like are nobody."""
    nobody = pl.Series([*sorted(UNKNOWN_CREATORS), ""]).implode()
    names = creator_keys(catalogue).list.eval(pl.element().filter(~pl.element().is_in(nobody)))
    lists = names.list.unique(maintain_order=True)
    starts = np.concatenate([[0], np.cumsum(lists.list.len().fill_null(0).to_numpy())]).astype(np.int64)
    return Rows(starts, _numbered(lists.explode().drop_nulls()))


def sources_of(catalogue: pl.DataFrame) -> Rows:
    """The number of each work's source, -1 where unknown."""
    return Rows(np.arange(catalogue.height + 1), _numbered(catalogue.select(KINDS["source"]).to_series()))


def in_group(catalogue: pl.DataFrame, group: str) -> npt.NDArray[np.bool_]:
    """Which works are in a group such as `gender:female`, (works,); letter case and blanks do not matter."""
    kind, _, value = group.partition(":")
    held = KINDS[kind].str.strip_chars().str.replace_all(r"\s+", " ").str.to_lowercase()
    return catalogue.select((held == key_of(value)).fill_null(False)).to_series().to_numpy().astype(bool)


def lines_of(catalogue: pl.DataFrame, strategy: Strategy, k: int, vectors: Float32Array) -> Lines:
    """What a strategy asks of lists of k, as `reranking` takes it; `vectors` (works, d) say how alike works are."""
    creators, sources = creators_of(catalogue), sources_of(catalogue)
    groups = np.zeros(catalogue.height, np.uint64)
    for bit, floor in enumerate(strategy.floors):
        groups |= in_group(catalogue, floor.group).astype(np.uint64) << np.uint64(bit)
    diversity = strategy.diversity
    return Lines(
        creators_from=creators.starts,
        creators=creators.numbers,
        creator_cap=strategy.caps.creator or 0,
        sources=sources.numbers,
        source_cap=strategy.caps.source or 0,
        groups=groups,
        needs=np.array([places(floor.share, k) for floor in strategy.floors], np.int64),
        vectors=vectors if diversity is not None else vectors[:, :0].copy(),
        mmr_lambda=1.0 if diversity is None else diversity.mmr_lambda,
    )


def places(share: float, k: int) -> int:
    """How many of k places are at least this share."""
    # 0.1 of 20 is 2.0000000000000004 in some orders of rounding, and is meant to be 2.
    return ceil(share * k - 1e-9)


def _numbered(values: pl.Series) -> Int32Array:
    """0, 1, ... for the distinct values in their order, -1 for null."""
    return (values.rank("dense").cast(pl.Int32) - 1).fill_null(-1).to_numpy().astype(np.int32)
