"""Exact top-K on a GPU: 16-bit products say which pairs are possible, canonical scores say which are the best.

Items are copied to the device once (`prepare_items`); users follow in blocks. Each user has a floor, which its k-th
best canonical score surely reaches. The first floor comes from a sample, and each of a few growing passes over the
items raises it. A pair is kept while its rounded score, plus a bound on the rounding error, reaches the floor. The
pairs kept at the end are scored canonically (float64 sums in the order of `float32_loops.canonical_score`) and ranked
by score and row. So the result equals that of the CPU engine.

A user may end with more pairs than there is room for, for instance when thousands have the same score. Such a user is
returned as open, and the CPU engine scores it. On a GPU with Triton, one kernel multiplies and selects
(`gpu_kernel.py`). Elsewhere torch does the same in two steps, with float32 products.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.recs.topk.arrays import CsrRows
from artrec_core.recs.topk.gpu_items import DeviceItems
from artrec_core.recs.topk.gpu_pruning import Bounds, PossiblePairs, find_pairs_by_kernel, find_pairs_by_torch
from artrec_core.recs.topk.gpu_rounding import (
    copy_to_device,
    length_scales,
    longest_first_order,
    round_vectors,
    row_lengths,
)

if TYPE_CHECKING:
    from artrec_core.recs.topk.gpu_kernel import Tile

# 16,384 users x about 3,000 entries x 12 bytes = 600 MB, besides the items.
USERS_IN_BLOCK = 16_384
# Without the kernel, torch stores all scores of a block: 2,048 x 8,192 x 4 bytes = 64 MB.
USERS_WITHOUT_KERNEL = 2_048
ITEMS_WITHOUT_KERNEL = 8_192
# The floor of a user must be that of k + seen items, because any seen item may be among the best. With more seen items
# the entries would not fit. Then the CPU engine, which looks up each pair, scores the user.
MAX_SEEN = 1_024
MAX_KERNEL_WIDTH = 512
# With more pairs allowed for a user, one tie of thousands would delay a whole block.
MAX_PAIRS = 4_096


def prepare_items(
    items: Float32Array,
    device: torch.device,
    *,
    fused: bool | None = None,
    tile: "Tile | None" = None,
    dtype: torch.dtype | None = None,
) -> DeviceItems:
    """Copy item vectors to a device, and round and sort them there.

    Parameters
    ----------
    items
        (I, d) float32, finite, one row or more.
    device
        Where to copy them.
    fused
        Whether to use the Triton kernel. None: on CUDA, if Triton is installed and d <= 512.
    tile
        The tile sizes of the kernel. None: the best ones for this width.
    dtype
        What to round vectors to. None: float16 for the kernel, otherwise float32. float16 is as fast as bfloat16 and,
        for scaled vectors, eight times more precise, so fewer pairs must be scored again.
    """
    pieces = split_dimensions(items.shape[1])
    if fused is None:
        fused = device.type == "cuda" and find_spec("triton") is not None and sum(pieces) <= MAX_KERNEL_WIDTH
    if fused:
        from artrec_core.recs.topk.gpu_kernel import tile_for

        tile = tile or tile_for(sum(pieces))
    dtype = dtype or (torch.float16 if fused else torch.float32)
    items_in_tile = tile.items if tile else ITEMS_WITHOUT_KERNEL
    vectors = copy_to_device(items, device)
    lengths = row_lengths(vectors)
    scale = length_scales(lengths.max())
    order = longest_first_order(lengths * scale)
    padded_count = -(-len(order) // items_in_tile) * items_in_tile
    width = sum(pieces) if fused else max(items.shape[1], 1)
    rounded = round_vectors(vectors[order], width, dtype, scales=scale.expand(len(order)))
    values = torch.zeros((padded_count, width), dtype=dtype, device=device)
    values[: len(order)] = rounded.values
    tile_lengths, tile_lost = (
        _tile_maxima(bounds, padded_count, items_in_tile) for bounds in (rounded.lengths, rounded.lost)
    )
    return DeviceItems(
        vectors, values, order, tile_lengths, tile_lost, float(scale), items_in_tile, pieces, tile if fused else None
    )


def split_dimensions(dim: int) -> tuple[int, int]:
    """The widths of a kernel's two blocks: powers of two (or 0 for the second), with the smallest sum to hold `dim`."""
    powers = [2**power for power in range(4, 20)]
    pairs = [(head, tail) for head in powers for tail in (0, *powers) if tail <= head and head + tail >= dim]
    return min(pairs, key=lambda pair: (sum(pair), -pair[0]))


def top_k_on_device(
    user_vectors: Float32Array, items: DeviceItems, k: int, seen: CsrRows | None = None
) -> tuple[Int32Array, Float32Array, Int32Array]:
    """The k best items of each user, and the users that this engine leaves open.

    Parameters
    ----------
    user_vectors
        (U, d) float32, finite. No vector may have length zero, or scores that overflow float32 (`top_k` sees to both).
    items
        From `prepare_items`.
    k
        How many items a user gets.
    seen
        Row starts and sorted item rows, left out before anything is selected.

    Returns
    -------
    ids, scores : (U, k)
        As `top_k` returns them. The rows of open users hold padding only: -1 and minus infinity.
    open_rows : (n,) int32
        The users that another engine must score.
    """
    users = len(user_vectors)
    ids, scores = np.full((users, k), -1, np.int32), np.full((users, k), -np.inf, np.float32)
    seen_starts, seen_ids = seen or (np.zeros(users + 1, np.int64), np.empty(0, np.int32))
    open_parts = [np.flatnonzero(np.diff(seen_starts) > MAX_SEEN)]
    for rows in _user_blocks(np.diff(seen_starts), USERS_IN_BLOCK if items.tile else USERS_WITHOUT_KERNEL):
        # If no user has seen an item, the list is None: 16,384 empty slices would take longer than the product.
        block_seen = [seen_ids[seen_starts[row] : seen_starts[row + 1]] for row in rows] if len(seen_ids) else None
        block = top_k_of_block(copy_to_device(user_vectors[rows], items.vectors.device), items, k, block_seen)
        block_ids, block_scores, is_complete = (part.cpu().numpy() for part in block)
        ids[rows[is_complete], : block_ids.shape[1]] = block_ids[is_complete]
        scores[rows[is_complete], : block_scores.shape[1]] = block_scores[is_complete]
        open_parts.append(rows[~is_complete])
    return ids, scores, np.sort(np.concatenate(open_parts)).astype(np.int32)


def select_device(device: str) -> torch.device | None:
    """The torch device of this name. "auto" is the first CUDA device, or None (the CPU engine) if there is none.

    Raises `ValueError` if the named device cannot be used.
    """
    if device == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else None
    torch_device = torch.device(device)
    if torch_device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f'device "{device}" needs a CUDA build of torch and a GPU; device="auto" uses a GPU only if there is one'
        )
    return torch_device


def fits_in_memory(items: int, dim: int, device: torch.device) -> bool:
    """Whether the items, as given and rounded, fit the device's free memory together with a block of users."""
    if device.type != "cuda":
        return True
    # 10 bytes a number: float32 as given, float16 rounded, and a float32 copy while the rows are sorted.
    return items * dim * 10 + 4 * 2**30 < torch.cuda.mem_get_info(device)[0]


def _user_blocks(seen_counts: np.ndarray, users_in_block: int) -> Iterator[np.ndarray]:
    """Rows of users, in blocks with similar counts of seen items: the highest count sets the cost of a block."""
    rows = np.flatnonzero(seen_counts <= MAX_SEEN)
    rows = rows[np.argsort(seen_counts[rows], kind="stable")]
    for top in range(0, len(rows), users_in_block):
        yield rows[top : top + users_in_block]


def top_k_of_block(
    users: Tensor, items: DeviceItems, k: int, seen: list[np.ndarray] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The k best items of one block of users.

    Parameters
    ----------
    users
        (n, d) float32, on the device of the items. The limits of `top_k_on_device` hold.
    items
        From `prepare_items`.
    k
        How many items a user gets.
    seen
        The rows of the seen items of each user. None: no user has seen any.

    Returns
    -------
    ids, scores : (n, k or fewer)
        As `top_k` returns them.
    is_complete : (n,)
        False for users that this engine leaves open.
    """
    rounded = round_vectors(users, items.rounded.shape[1], items.rounded.dtype)
    bounds = Bounds.of(rounded, items.scale, users.shape[1])
    device = users.device
    ranks = torch.full((len(users),), k, device=device)
    if seen is not None:
        ranks += torch.tensor([len(rows) for rows in seen], device=device)
    find_pairs = find_pairs_by_kernel if items.tile else find_pairs_by_torch
    possible = find_pairs(rounded.values, bounds, items, ranks, MAX_PAIRS + 8 * k)
    pairs = possible if seen is None else _drop_seen(possible, seen, len(items.order))
    pair_scores = _canonical_scores(users, items, pairs.rows, pairs.ids)
    ids, scores = rank_pairs(pairs.rows, pairs.ids, pair_scores, len(users), k)
    return ids, scores, pairs.is_complete


def _drop_seen(pairs: PossiblePairs, seen: list[np.ndarray], item_count: int) -> PossiblePairs:
    lengths = np.array([len(rows) for rows in seen], np.int64)
    if not lengths.sum():
        return pairs
    keys = np.repeat(np.arange(len(seen)), lengths) * item_count + np.concatenate(seen)
    seen_keys = torch.from_numpy(keys).to(pairs.rows.device)
    pair_keys = pairs.rows * item_count + pairs.ids
    positions = torch.searchsorted(seen_keys, pair_keys).clamp_max(len(seen_keys) - 1)
    is_unseen = seen_keys[positions] != pair_keys
    return PossiblePairs(pairs.rows[is_unseen], pairs.ids[is_unseen], pairs.is_complete)


def _canonical_scores(users: Tensor, items: DeviceItems, rows: Tensor, ids: Tensor) -> Tensor:
    if items.tile:
        from artrec_core.recs.topk.gpu_kernel import canonical_scores

        return canonical_scores(users, items.vectors, rows, ids)
    step = max(1, 2**22 // max(users.shape[1], 1))
    parts = [
        canonical_scores_by_torch(users[rows[top : top + step]], items.vectors[ids[top : top + step]])
        for top in range(0, len(rows), step)
    ]
    return torch.cat(parts) if parts else users.new_empty(0)


def canonical_scores_by_torch(users: Tensor, items: Tensor) -> Tensor:
    """Scores (P,) float32 of pairs of float32 rows (P, d), equal to those of `float32_loops.canonical_score`."""
    products = users.double() * items.double()
    unrolled_dim = users.shape[1] - users.shape[1] % 8
    lanes = products[:, :unrolled_dim].reshape(len(products), unrolled_dim // 8, 8)
    sums, remainder = products.new_zeros((len(products), 8)), products.new_zeros(len(products))
    for step in range(unrolled_dim // 8):
        sums += lanes[:, step]
    for column in range(unrolled_dim, users.shape[1]):
        remainder += products[:, column]
    halves = sums.view(-1, 4, 2).sum(2).view(-1, 2, 2).sum(2)
    return (halves[:, 0] + halves[:, 1] + remainder).float() + 0.0


def rank_pairs(rows: Tensor, ids: Tensor, scores: Tensor, users: int, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each user's scored pairs.

    Parameters
    ----------
    rows, ids
        The user and the item of each pair, (P,).
    scores
        Their scores, (P,) float32.
    users
        How many users there are.
    k
        How many items a user gets.

    Returns
    -------
    ids, scores : (users, k or fewer)
        Best first, padded with -1 and minus infinity.
    """
    bits = scores.view(torch.int32)
    ascending = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    by_row = torch.sort(rows, stable=True)
    counts = torch.bincount(rows, minlength=users)
    columns = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[by_row.values]
    width = int(counts.max()) if users else 0
    empty_key = torch.iinfo(torch.int64).max
    keys = torch.full((users, width), empty_key, dtype=torch.int64, device=rows.device)
    keys[by_row.values, columns] = ((-ascending << 32) + ids)[by_row.indices]
    best = torch.topk(keys, min(k, width), dim=1, largest=False, sorted=True).values
    ascending = -(best >> 32)
    bits = torch.where(ascending < 0, ascending ^ 0x7FFFFFFF, ascending).int()
    is_empty = best == empty_key
    best_scores = torch.where(is_empty, -torch.inf, bits.view(torch.float32))
    return torch.where(is_empty, -1, best & 0xFFFFFFFF).int(), best_scores


def _tile_maxima(row_bounds: Tensor, padded_count: int, items_in_tile: int) -> Tensor:
    """The highest bound in each tile, (tiles,), as a float32 number that is not lower."""
    padded = row_bounds.new_zeros(padded_count)
    padded[: len(row_bounds)] = row_bounds
    return (padded.view(-1, items_in_tile).amax(1) * (1 + 2.0**-22)).float()
