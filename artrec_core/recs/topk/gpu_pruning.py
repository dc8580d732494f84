"""Which pairs may still be among a user's k best, found on a torch device from rounded products."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from artrec_core.recs.topk.gpu_items import DeviceItems
from artrec_core.recs.topk.gpu_rounding import RoundedVectors

# The first floor comes from this many first items: from the best of each group of eight.
SAMPLE = 16_384
GROUP = 8
# Each pass reaches this many times as far as the passes before it. So it should find k * (4 - 1) entries a user.
GROWTH = 4
# An H100 has 132 multiprocessors; two programs run on each.
PROGRAMS = 264
# The floor of padding rows: no score reaches it. It is not infinity, because infinity minus infinity is NaN.
HIGHEST = 3e38


@dataclass(frozen=True)
class Bounds:
    """How far rounded scores can be from canonical scores, in scaled units: float32 (n,) each, rounded up.

    Take an item of length L whose rounding lost M. Its rounded score is off by at most by_length * L + by_lost * M +
    always. With u' and v' the rounded vectors, u v - u' v' = (u - u') v + u' (v - v'). By Cauchy-Schwarz this is at
    most |u - u'| |v| + |u'| |v - v'|. Sums in float32 add at most (d + 16) 2^-24 |u'| |v'|, in any order (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.1). Matrix units truncate instead of rounding, and align a few
    terms at a time (Fasi et al., Numerical behavior of NVIDIA tensor cores, 2021); four times that bound covers this.
    `always` covers what is too small for float32.
    """

    by_length: Tensor
    by_lost: Tensor
    always: Tensor

    @classmethod
    def of(cls, users: RoundedVectors, item_scale: float, dim: int) -> "Bounds":
        """The bounds of rounded users, for items multiplied by `item_scale`, with `dim` dimensions before padding."""
        slack = (dim + 16) * 2.0**-22
        max_lengths = users.lengths + users.lost
        by_length = users.lost + slack * max_lengths + 2.0**-23 * users.lengths
        by_lost = max_lengths * (1 + slack)
        # Canonical scores are rounded to float32 unscaled. This may lose half the smallest float32 number.
        always = (users.scales * (item_scale * 2.0**-149) + (4 * dim + 16) * 2.0**-124).clamp_max(1e30)
        return cls(*((bound * (1 + 2.0**-20)).float() for bound in (by_length, by_lost, always)))

    def at(self, length: Tensor, lost: Tensor) -> Tensor:
        """The bounds (n, ...) for items of these lengths and losses, broadcast over the users."""
        shape = (-1, *(1,) * (length.dim() - 1))
        bound = self.by_length.view(shape) * length + self.by_lost.view(shape) * lost + self.always.view(shape)
        return bound * (1 + 1e-6)


@dataclass(frozen=True)
class PossiblePairs:
    """Pairs (P,) of users and items that are still possible, as rows of the given vectors.

    `is_complete` (n,) says for which users all their possible pairs are here.
    """

    rows: Tensor
    ids: Tensor
    is_complete: Tensor


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products in float32, and sum 16-bit products in float32, whatever torch is allowed to do."""
    precision, matmul = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul
    reduced = matmul.allow_bf16_reduced_precision_reduction, matmul.allow_fp16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_bf16_reduced_precision_reduction = matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        matmul.allow_bf16_reduced_precision_reduction, matmul.allow_fp16_reduced_precision_reduction = reduced


def select_floors(best: Tensor, ranks: Tensor) -> Tensor:
    """The bound of the given rank (n,) in each row of sorted lower bounds (n, K); minus infinity if there are fewer."""
    column = (ranks - 1).clamp_max(best.shape[1] - 1)
    return torch.where(ranks <= best.shape[1], best.gather(1, column[:, None])[:, 0], -torch.inf)


def merge_bounds(best: Tensor, lows: Tensor, limit: int) -> Tensor:
    """The `limit` highest bounds of both tensors (n, ...), sorted."""
    all_bounds = torch.cat([best, lows], dim=1)
    return torch.topk(all_bounds, min(limit, all_bounds.shape[1]), dim=1).values


def find_pairs_by_torch(
    users: Tensor, bounds: Bounds, items: DeviceItems, ranks: Tensor, max_pairs: int
) -> PossiblePairs:
    """The possible pairs, found in blocks of float32 scores, on any device and for any dtype of the rounded vectors.

    Parameters
    ----------
    users
        (n, width), rounded.
    bounds
        How far their scores may be off.
    items
        The items on the same device.
    ranks
        (n,). A user's floor is the lower bound of this rank.
    max_pairs
        A user with more pairs is not complete.
    """
    item_count, max_rank = len(items.order), int(ranks.max())
    best = users.new_empty((len(users), 0), dtype=torch.float32)
    row_parts, position_parts, reach_parts = [], [], []
    pair_counts = torch.zeros(len(users), dtype=torch.int64, device=users.device)
    is_complete = torch.ones_like(pair_counts, dtype=torch.bool)
    for tile, first in enumerate(range(0, item_count, items.items_in_tile)):
        tile_items = items.rounded[first : min(first + items.items_in_tile, item_count)].float()
        with full_precision():
            scores = users.float() @ tile_items.T
        error = bounds.at(items.lengths[tile : tile + 1], items.lost[tile : tile + 1])[:, None]
        lows = torch.topk(scores, min(max_rank, scores.shape[1]), dim=1).values - error
        best = merge_bounds(best, lows - lows.abs() * 1e-6, max_rank)
        reach = scores + error
        hit = (reach + reach.abs() * 1e-6 >= select_floors(best, ranks)[:, None]) & is_complete[:, None]
        pair_counts += hit.sum(1)
        is_complete &= pair_counts <= max_pairs
        rows, positions = torch.nonzero(hit & is_complete[:, None], as_tuple=True)
        row_parts.append(rows)
        position_parts.append(positions + first)
        reach_parts.append(reach[rows, positions])
    rows, positions, reach = torch.cat(row_parts), torch.cat(position_parts), torch.cat(reach_parts)
    is_possible = (reach + reach.abs() * 1e-6 >= select_floors(best, ranks)[rows]) & is_complete[rows]
    return PossiblePairs(rows[is_possible], items.order[positions[is_possible]], is_complete)


def find_pairs_by_kernel(
    users: Tensor, bounds: Bounds, items: DeviceItems, ranks: Tensor, max_pairs: int
) -> PossiblePairs:
    """The possible pairs, found by the fused kernel in passes of growing size; the floors rise between the passes.

    The parameters are those of `find_pairs_by_torch`.
    """
    from artrec_core.recs.topk.gpu_kernel import find_entries

    assert items.tile is not None
    user_count, max_rank = len(users), int(ranks.max())
    padding = -user_count % items.tile.users
    padded_users = torch.cat([users, users.new_zeros((padding, users.shape[1]))])
    by_length, by_lost, always = (
        _pad_users(bound, padding, 0.0) for bound in (bounds.by_length, bounds.by_lost, bounds.always)
    )
    floors = select_floors(_sample_bounds(users, bounds, items, max_rank), ranks)
    # The passes start with no bounds, because an item may count only once towards a floor.
    best = floors.new_empty((user_count, 0))
    is_complete = torch.ones(user_count, dtype=torch.bool, device=users.device)
    passes = []
    for span in tile_spans(len(items.lengths), items.items_in_tile, max(SAMPLE, 2 * GROUP * max_rank)):
        entries = find_entries(
            padded_users, items.rounded, _pad_users(floors, padding, HIGHEST), (by_length, by_lost, always),
            (items.lengths, items.lost), span, items.pieces, items.tile, 2 * GROWTH * max_rank, PROGRAMS,
            len(items.order) // items.items_in_tile,
        ).of(user_count)  # fmt: skip
        best = merge_bounds(best, entries.lows, max_rank)
        floors = torch.maximum(floors, select_floors(best, ranks))
        is_complete &= ~entries.overflowed
        passes.append((entries.groups, entries.hits, entries.reaches))
    return _unpack_entries(passes, floors, items, is_complete, max_pairs)


def tile_spans(tiles: int, items_in_tile: int, first_items: int) -> list[tuple[int, int]]:
    """Ranges of tiles that cover all tiles; each ends `GROWTH` times as far as the range before.

    The first range covers `GROWTH` times `first_items`.
    """
    ends = [min(tiles, -(-first_items * GROWTH // items_in_tile))]
    while ends[-1] < tiles:
        next_end = ends[-1] * GROWTH
        # A short last range is joined to the one before, to save a pass.
        ends.append(tiles if next_end * 1.5 > tiles else next_end)
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _sample_bounds(users: Tensor, bounds: Bounds, items: DeviceItems, limit: int) -> Tensor:
    """Sorted lower bounds (n, at most `limit`) of canonical scores of different items, from a sample of items."""
    item_count = min(max(SAMPLE, 2 * GROUP * limit), len(items.order)) // GROUP * GROUP
    sample = items.rounded[:item_count].T
    with full_precision():
        # A GPU can return 16-bit products as float32. A CPU cannot, so the vectors are converted first.
        scores = torch.mm(users, sample, out_dtype=torch.float32) if users.is_cuda else users.float() @ sample.float()
    group_maxima = scores.view(len(users), -1, GROUP).amax(2)
    tiles = -(-item_count // items.items_in_tile)
    error = bounds.at(items.lengths[:tiles].max()[None], items.lost[:tiles].max()[None])[:, None]
    lows = group_maxima - error - group_maxima.abs() * 1e-6
    return torch.topk(lows, min(limit, lows.shape[1]), dim=1).values


def _pad_users(values: Tensor, padding: int, value: float) -> Tensor:
    return torch.cat([values, values.new_full((padding,), value)])


def _unpack_entries(
    passes: list[tuple[Tensor, Tensor, Tensor]],
    floors: Tensor,
    items: DeviceItems,
    is_complete: Tensor,
    max_pairs: int,
) -> PossiblePairs:
    """The items in every entry that still reaches its user's floor."""
    row_parts, position_parts = [], []
    for pass_groups, pass_hits, reaches in passes:
        # An unused entry reaches no floor, not even minus infinity, because it is NaN.
        rows, entries = torch.nonzero((reaches >= floors[:, None]) & is_complete[:, None], as_tuple=True)
        hits, groups = pass_hits[rows, entries].long() & 0xFFFFFFFF, pass_groups[rows, entries].long()
        while len(rows):
            lowest = hits & -hits
            bit = torch.log2(lowest.double()).long()
            column = bit // 2 * 8 + groups % 4 * 2 + bit % 2
            row_parts.append(rows)
            position_parts.append(groups // 4 * items.items_in_tile + column)
            hits = hits ^ lowest
            has_hits = hits != 0
            rows, groups, hits = rows[has_hits], groups[has_hits], hits[has_hits]
    empty = is_complete.new_empty(0, dtype=torch.int64)
    rows, positions = torch.cat([empty, *row_parts]), torch.cat([empty, *position_parts])
    is_complete = is_complete & (torch.bincount(rows, minlength=len(floors)) <= max_pairs)
    is_valid = (positions < len(items.order)) & is_complete[rows]
    return PossiblePairs(rows[is_valid], items.order[positions[is_valid]], is_complete)
