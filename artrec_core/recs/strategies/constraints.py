"""Caps and floors of a strategy as arrays over the artworks of a catalogue."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import polars as pl

from artrec_core.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from artrec_core.columns import CLASSIFICATION, CREATORS, CULTURE, MOVEMENT, MUSEUM, SOURCE
from artrec_core.config import Strategy
from artrec_core.recs.inputs.reasons import UNKNOWN_CREATORS
from artrec_core.recs.strategies.filters import creator_keys, normalise
from artrec_core.recs.strategies.reranking import Constraints

_FIRST_CREATOR = pl.col(CREATORS).list.first()
# A group is written `kind:value`; each kind is read from these columns.
GROUP_KINDS = {
    "source": pl.coalesce(SOURCE, MUSEUM),
    "museum": pl.col(MUSEUM),
    "gender": _FIRST_CREATOR.struct.field("gender"),
    "nationality": _FIRST_CREATOR.struct.field("nationality"),
    "movement": pl.col(MOVEMENT),
    "culture": pl.col(CULTURE),
    "classification": pl.col(CLASSIFICATION),
}


@dataclass(frozen=True)
class RaggedArray:
    """Lists of numbers in one array: list i is values[starts[i] : starts[i + 1]]."""

    starts: Int64Array
    values: Int32Array

    def row(self, index: int) -> Int32Array:
        """The list at this index."""
        return self.values[self.starts[index] : self.starts[index + 1]]

    def invert(self) -> "RaggedArray":
        """For each value 0, 1, ...: the indices of the lists that hold it. Values below 0 are left out."""
        owners = np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))
        order = np.argsort(self.values, kind="stable")
        count = max(int(self.values.max(initial=-1)) + 1, 0)
        starts = np.searchsorted(self.values[order], np.arange(count + 1)).astype(np.int64)
        return RaggedArray(starts, owners[order])


def creators_by_artwork(catalogue: pl.DataFrame) -> RaggedArray:
    """The numbers of each artwork's creators, each once. "Unknown artist" and the like are no creators."""
    unknown_names = pl.Series([*sorted(UNKNOWN_CREATORS), ""]).implode()
    names = creator_keys(catalogue).list.eval(pl.element().filter(~pl.element().is_in(unknown_names)))
    lists = names.list.unique(maintain_order=True)
    starts = np.concatenate([[0], np.cumsum(lists.list.len().fill_null(0).to_numpy())]).astype(np.int64)
    return RaggedArray(starts, _number_values(lists.explode().drop_nulls()))


def sources_by_artwork(catalogue: pl.DataFrame) -> RaggedArray:
    """The number of each artwork's source, -1 where it is unknown."""
    sources = _number_values(catalogue.select(GROUP_KINDS["source"]).to_series())
    return RaggedArray(np.arange(catalogue.height + 1), sources)


def group_mask(catalogue: pl.DataFrame, group: str) -> BoolArray:
    """Whether each artwork is in a group such as `gender:female`, (I,). Letter case and extra blanks do not matter."""
    kind, _, value = group.partition(":")
    values = GROUP_KINDS[kind].str.strip_chars().str.replace_all(r"\s+", " ").str.to_lowercase()
    return catalogue.select((values == normalise(value)).fill_null(False)).to_series().to_numpy().astype(bool)


def build_constraints(catalogue: pl.DataFrame, strategy: Strategy, k: int, vectors: Float32Array) -> Constraints:
    """Turn a strategy's caps, floors and diversity into the arrays that re-ranking takes.

    Parameters
    ----------
    catalogue
        The artworks, I rows.
    strategy
        The strategy, as the recipe holds it.
    k
        Length of the lists; a floor's share becomes a number of places of k.
    vectors
        Unit vectors (I, d) by whose cosine artworks are alike.
    """
    creators, sources = creators_by_artwork(catalogue), sources_by_artwork(catalogue)
    group_bits = np.zeros(catalogue.height, np.uint64)
    for bit, floor in enumerate(strategy.floors):
        group_bits |= group_mask(catalogue, floor.group).astype(np.uint64) << np.uint64(bit)
    diversity = strategy.diversity
    return Constraints(
        creator_starts=creators.starts,
        creators=creators.values,
        creator_cap=strategy.caps.creator or 0,
        sources=sources.values,
        source_cap=strategy.caps.source or 0,
        group_bits=group_bits,
        floor_places=np.array([places_for_share(floor.share, k) for floor in strategy.floors], np.int64),
        vectors=vectors if diversity is not None else vectors[:, :0].copy(),
        mmr_lambda=1.0 if diversity is None else diversity.mmr_lambda,
    )


def places_for_share(share: float, k: int) -> int:
    """The fewest of k places that make up at least this share."""
    # 0.1 of 20 is 2.0000000000000004 in some orders of rounding, and 2 is meant.
    return ceil(share * k - 1e-9)


def _number_values(values: pl.Series) -> Int32Array:
    """0, 1, ... for the distinct values in sorted order, -1 for null."""
    return (values.rank("dense").cast(pl.Int32) - 1).fill_null(-1).to_numpy().astype(np.int32)
