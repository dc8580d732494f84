"""What filters and re-ranking constraints change in users' lists: cost in score, gain in variety and exposure.

Measured on a sample of users with personal lists, the same however users are sharded. Scores have no natural zero, so
they are measured from the user's mean score over the catalogue. A list drawn at random then keeps nothing, and the
list with the best scores keeps everything.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from artrec_core.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from artrec_core.config import Block, Caps, Filters
from artrec_core.recs.inputs.similarity import list_diversity
from artrec_core.recs.strategies.constraints import GROUP_KINDS, group_mask
from artrec_core.recs.strategies.exploration import hash_texts
from artrec_core.recs.strategies.lists import ListBuilder, RankedLists
from artrec_core.recs.tables.scored_tables import ScoredTables

USERS_IN_SAMPLE = 2000
MAX_GROUPS = 8
EXPOSURE_KINDS = ("source", "gender", "nationality")
NO_CONSTRAINTS: dict[str, Any] = {"caps": Caps(), "diversity": None, "exploration": None, "floors": []}
# Shares of places (before, after), by group.
Shares = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class StrategyImpact:
    """What one section of a strategy (`what`), or all of them, change in the lists of `people` sampled users.

    `score_kept` is the mean share of the lists' score that is kept. `overlap` is the mean share of places whose
    artwork stays in the list.

    The other fields are pairs (before, after). `diversity` is the mean of 1 - cosine (of artwork vectors) over pairs
    of artworks in a list. `works` counts the distinct artworks in all lists. `exposure` holds shares of all places by
    kind and group, for the largest groups; `floors` the same for the groups that floors name.
    """

    strategy: str
    what: str
    people: int
    score_kept: float
    overlap: float
    diversity: tuple[float, float]
    works: tuple[int, int]
    exposure: dict[str, Shares]
    floors: Shares

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON holds them, rounded."""
        return {name: _round_floats(value) for name, value in asdict(self).items()}


def measure_impacts(tables: ScoredTables, sample_size: int = USERS_IN_SAMPLE) -> Iterator[StrategyImpact]:
    """Measure what each strategy's filters and constraints change.

    Filters and block lists are compared with the best K of all artworks. Each constraint alone, and all together, are
    compared with the best K that filters and block lists leave.

    Parameters
    ----------
    tables
        The tables of the run.
    sample_size
        Most users to measure on.
    """
    for strategy in sorted(tables.strategies, key=lambda strategy: strategy.name):
        builder = tables.list_builders[strategy.name]
        unconstrained = strategy.model_copy(update={**NO_CONSTRAINTS})
        is_filtered = bool(strategy.filters.model_fields_set) or builder.is_blocked.any()
        if not is_filtered and not strategy.reranks:
            continue
        users = _sample_users(builder, sample_size)
        if len(users) == 0:
            continue
        before = tables.list_builder(unconstrained).build(users)
        if is_filtered:
            unfiltered = tables.list_builder(
                unconstrained.model_copy(update={"filters": Filters(), "block": Block()}), unblocked=True
            )
            yield _compare(builder, "filters and block lists", users, unfiltered.build(users), before)
        variants = {name: unconstrained.model_copy(update={name: getattr(strategy, name)}) for name in NO_CONSTRAINTS}
        variants = {name: variant for name, variant in variants.items() if variant.reranks}
        for name, variant in variants.items():
            yield _compare(builder, name, users, before, tables.list_builder(variant).build(users))
        if len(variants) > 1:
            yield _compare(builder, "all of these", users, before, builder.build(users))


def _sample_users(builder: ListBuilder, limit: int) -> Int64Array:
    """Rows of up to `limit` users with personal lists, drawn by a hash of their ids."""
    own = np.flatnonzero(builder.has_own_list(np.arange(builder.data.shape[0])))
    order = np.argsort(hash_texts(builder.data.user_ids.gather(own), "asked"), kind="stable")[:limit]
    return np.sort(own[order])


def _compare(
    builder: ListBuilder, what: str, users: Int64Array, before: RankedLists, after: RankedLists
) -> StrategyImpact:
    catalogue, artwork_count = builder.data.catalogue, len(builder.allowed.mask)
    counts = [_count_places(lists.ids, artwork_count) for lists in (before, after)]
    floor_groups = {floor.group: group_mask(catalogue, floor.group) for floor in builder.strategy.floors}
    exposure = {kind: _exposure(catalogue, kind, counts) for kind in EXPOSURE_KINDS}
    vectors = builder.data.unit_items
    return StrategyImpact(
        strategy=builder.strategy.name,
        what=what,
        people=len(users),
        score_kept=_score_kept(builder, users, before, after),
        overlap=_overlap(before.ids, after.ids),
        diversity=(_diversity(vectors, before.ids), _diversity(vectors, after.ids)),
        works=(int((counts[0] > 0).sum()), int((counts[1] > 0).sum())),
        exposure={kind: shares for kind, shares in exposure.items() if shares},
        floors={group: (_share(counts[0], mask), _share(counts[1], mask)) for group, mask in floor_groups.items()},
    )


def _overlap(before: Int32Array, after: Int32Array) -> float:
    """The mean over lists of the share of artworks that stay."""
    shares = []
    for before_ids, after_ids in zip(before, after, strict=True):
        common = np.intersect1d(before_ids[before_ids >= 0], after_ids[after_ids >= 0])
        shares.append(len(common) / max(1, (before_ids >= 0).sum()))
    return float(np.mean(shares))


def _score_kept(builder: ListBuilder, users: Int64Array, before: RankedLists, after: RankedLists) -> float:
    """The mean over users of (sum after) / (sum before), with scores measured from the mean over the catalogue."""
    mean_item = builder.folding.items.mean(axis=0, dtype=np.float64)
    zero = builder.folding.users_of(users).astype(np.float64) @ mean_item
    sums = [
        np.where(lists.ids >= 0, lists.scores.astype(np.float64) - zero[:, None], 0).sum(axis=1)
        for lists in (before, after)
    ]
    # A user whose filters left nothing gets popular artworks, which have no score.
    has_score = (sums[0] > 0) & before.is_personal & after.is_personal
    return float(np.mean(sums[1][has_score] / sums[0][has_score])) if has_score.any() else 1.0


def _diversity(unit_vectors: Float32Array, ids: Int32Array) -> float:
    """The mean over lists of at least two artworks; 0 if there are none."""
    diversities = list_diversity(ids, unit_vectors)
    return float(diversities.mean()) if len(diversities) else 0.0


def _count_places(ids: Int32Array, artwork_count: int) -> Int64Array:
    return np.bincount(ids[ids >= 0], minlength=artwork_count)


def _exposure(catalogue: pl.DataFrame, kind: str, counts: list[Int64Array]) -> Shares:
    """Shares of all places by group, (before, after); groups with the most places, before or after, come first."""
    groups = catalogue.select(GROUP_KINDS[kind].fill_null("not known").alias("group")).with_columns(
        pl.Series("before", counts[0]), pl.Series("after", counts[1])
    )
    sums = (
        groups.group_by("group")
        .agg(pl.sum("before", "after"))
        .sort(pl.max_horizontal("before", "after"), "group", descending=[True, False])
    )
    if sums.height < 2:
        return {}
    total_before, total_after = max(1, int(counts[0].sum())), max(1, int(counts[1].sum()))
    return {
        group: (before / total_before, after / total_after)
        for group, before, after in sums.head(MAX_GROUPS).iter_rows()
    }


def _share(counts: Int64Array, mask: BoolArray) -> float:
    return float(counts[mask].sum() / max(1, counts.sum()))


def _round_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _round_floats(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_round_floats(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
