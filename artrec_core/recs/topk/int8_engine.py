"""Exact top-K through products of int8 codes: what `top_k` does if the processor multiplies them fast.

Blocks of users are divided among threads. Each block of users meets each block of items in one product of codes. Only
the pairs that reach the user's threshold by their error bound (see `int8_quantization.py`) are kept. Canonical scores
then say which k of the kept pairs are the best.
"""

import sys
from collections.abc import Callable

import numpy as np

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.model.cpu.threads import torch_thread_pool
from artrec_core.processor import multiplies_int8
from artrec_core.recs.topk.arrays import CsrRows, run_in_threads
from artrec_core.recs.topk.int8_loops import (
    ITEMS_IN_STEP,
    drop_beaten_by_scored,
    guess_first_thresholds,
    keep_possible_pairs,
    move_best_first,
    raise_thresholds,
    score_kept_pairs,
    write_results,
)
from artrec_core.recs.topk.int8_quantization import (
    Codes,
    QuantizedItems,
    QuantizedUsers,
    quantize_items,
    quantize_users,
    shared_basis,
)

# 1,024 users x 2,048 items x 4 bytes = 8 MB a thread. So the products are still in the last-level cache when they are
# read, and an item read for its canonical score serves many users.
USERS_IN_BLOCK = 1024
ITEMS_IN_BLOCK = 2048
# With fewer multiplications, float32 products are faster. The import of torch takes two seconds, so the minimum is
# higher while torch is not imported.
MIN_MULTIPLICATIONS = 10**9
MIN_MULTIPLICATIONS_WITHOUT_TORCH = 10**11
# A sum of 127 * 127 over more dimensions would not fit int32.
MAX_DIMENSIONS = 100_000


def int8_is_faster(users: int, items: int, dim: int, k: int) -> bool:
    """Whether int8 codes give the result faster than float32 products. The result is the same."""
    multiplications = users * items * dim
    if (
        multiplications < (MIN_MULTIPLICATIONS if "torch" in sys.modules else MIN_MULTIPLICATIONS_WITHOUT_TORCH)
        or items < 8 * k
        or users < 64
        or dim > MAX_DIMENSIONS
    ):
        return False
    return int8_products_are_fast()


def int8_products_are_fast() -> bool:
    """Whether this processor multiplies codes faster than float32; torch is imported only where it may."""
    if not multiplies_int8():
        return False
    try:
        from artrec_core.model.code_products import code_products_are_fast
    except ImportError:  # scoring needs no torch
        return False
    return code_products_are_fast()


def multiply_codes(users: Codes, items: Codes, out: Int32Array) -> None:
    """Write the exact products of codes, users (U, d) by items (I, d), into `out` (U, I) int32."""
    import torch

    from artrec_core.model import code_products

    code_products.multiply_codes(torch.from_numpy(users), torch.from_numpy(items).T, torch.from_numpy(out))
    corners = [int(users[row].astype(np.int32) @ items[row].astype(np.int32)) for row in (0, -1)]
    if [out[0, 0], out[-1, -1]] != corners:
        # torch 2.13 does not write `out` if d = 1. Codes are padded, but results must not depend on that.
        out[:] = users.astype(np.float64) @ items.astype(np.float64).T


def top_k_int8(
    users: Float32Array,
    items: Float32Array,
    user_norms: Float64Array,
    item_norms: Float64Array,
    seen: CsrRows,
    ids: Int32Array,
    scores: Float32Array,
    threads: int,
    memory_mb: int,
    *,
    cached: Callable[[Callable[[], QuantizedItems]], QuantizedItems] = lambda quantize: quantize(),
) -> None:
    """Fill ids and scores with the k best items of each user, through products of int8 codes.

    Parameters
    ----------
    users, items
        (U, d) and (I, d) float32. |u| |v| must be far below the largest float32 number for every pair.
    user_norms, item_norms
        Their lengths, (U,) and (I,).
    seen
        Row starts and sorted item rows to leave out.
    ids, scores
        (U, k), filled with padding. They receive the result.
    threads, memory_mb
        As in `top_k`.
    cached
        Returns the quantized items of an earlier call. If there are none, it calls the function it is given.
    """
    k, longest = min(ids.shape[1], items.shape[0]), float(item_norms.max())
    height, width = block_shape(len(users), items.shape[0], k, threads, memory_mb)
    with torch_thread_pool(threads) as pool:
        quantized_items = cached(
            lambda: quantize_items(
                items, shared_basis(users, items), width, lambda loop, rows: run_in_threads(loop, rows, threads, pool)
            )
        )

        def fill(top: int) -> None:
            block = slice(top, top + height)
            quantized_users = quantize_users(users[block], user_norms[block], longest, quantized_items)
            block_seen = (seen[0][top : top + height + 1], seen[1])
            thresholds = np.full(len(quantized_users.scales), -np.inf)
            is_threshold_too_high = _scan_items(
                users[block], items, quantized_items, quantized_users, block_seen, k, width,
                thresholds, ids[block], scores[block], guess=True,
            )  # fmt: skip
            for row in np.flatnonzero(is_threshold_too_high).tolist():
                user = slice(row, row + 1)
                _scan_items(
                    users[block][user], items, quantized_items, _select_users(quantized_users, user),
                    (block_seen[0][row : row + 2], block_seen[1]), k, width,
                    thresholds[user], ids[block][user], scores[block][user], guess=False,
                )  # fmt: skip

        list(pool.map(fill, range(0, len(users), height)))


def block_shape(users: int, items: int, k: int, threads: int, memory_mb: int) -> tuple[int, int]:
    """The users and the items in one thread's block of products, at least one of each.

    All blocks together, with the kept pairs of their users, fit into `memory_mb` MiB.
    """
    width = min(ITEMS_IN_BLOCK, items)
    bytes_per_user = 4 * width + 24 * pair_capacity(k) + 256
    thread_budget = memory_mb * 2**20 // threads
    max_height = max(1, min(USERS_IN_BLOCK, thread_budget // bytes_per_user))
    # The number of blocks is a multiple of the threads, so that no thread waits for another's last block.
    blocks = -(-users // (max_height * threads)) * threads
    return -(-users // blocks), width


def pair_capacity(k: int) -> int:
    """How many pairs are kept for a user before those surely beaten are dropped."""
    return 8 * k + 128


def _scan_items(
    users: Float32Array, items: Float32Array, quantized_items: QuantizedItems, quantized_users: QuantizedUsers,
    seen: CsrRows, k: int, width: int, thresholds: Float64Array, ids: Int32Array, scores: Float32Array, *, guess: bool,
) -> BoolArray:  # fmt: skip
    """Scan all items for a block of users, and fill ids and scores.

    Returns for which users (U,) the threshold was guessed too high, so that their result is not exact.
    """
    item_count, capacity = len(quantized_items.order), pair_capacity(k)
    products = np.empty(len(users) * width, np.int32)
    positions, approx = np.empty((len(users), capacity), np.int32), np.empty((len(users), capacity))
    counts, floors = np.zeros(len(users), np.int64), thresholds.copy()
    user_bounds = (
        quantized_users.scales, quantized_users.lengths, quantized_users.residues,
        quantized_users.shares, quantized_users.tails,
    )  # fmt: skip
    for first in range(0, item_count, width):
        codes = quantized_items.codes[first : first + width]
        block = products[: len(users) * len(codes)].reshape(len(users), len(codes))
        multiply_codes(quantized_users.codes, codes, block)
        rank = safe_rank(k, first + len(codes), item_count)
        if guess and first == 0 and rank < len(codes) // ITEMS_IN_STEP // 2:
            step_maxima = np.empty(len(codes) // ITEMS_IN_STEP)
            guess_first_thresholds(
                block, rank, quantized_items.scales, quantized_users.scales, quantized_users.shares,
                step_maxima, thresholds,
            )  # fmt: skip
        keep_possible_pairs(
            block, first, k, users, items,
            quantized_items.order, quantized_items.scales, quantized_items.residues, quantized_items.lengths,
            *user_bounds, *seen, k + (capacity - k) // 2, positions, approx, counts, floors, thresholds,
        )  # fmt: skip
        if guess and rank < k and is_guess_due(first // width):
            raise_thresholds(rank, approx, counts, thresholds)
    return _write_results(
        k, users, items, quantized_items, quantized_users, positions, approx, counts, thresholds, ids, scores
    )


def _write_results(
    k: int, users: Float32Array, items: Float32Array, quantized_items: QuantizedItems, quantized_users: QuantizedUsers,
    positions: Int32Array, approx: Float64Array, counts: Int64Array, thresholds: Float64Array,
    ids: Int32Array, scores: Float32Array,
) -> BoolArray:  # fmt: skip
    """Write the k best of the kept pairs by canonical scores, and return whose threshold was too high, (U,).

    First the k pairs of highest approximate score are scored. Their scores say which other pairs need scoring.
    """
    pair_scores, is_threshold_too_high = np.empty(positions.shape, np.float32), np.zeros(len(users), np.bool_)
    move_best_first(k, positions, approx, counts)
    likely_counts = np.minimum(counts, k)
    score_kept_pairs(users, items, quantized_items.order, positions, np.zeros_like(counts), likely_counts, pair_scores)
    bounds = (
        quantized_items.residues, quantized_items.lengths,
        quantized_users.lengths, quantized_users.residues, quantized_users.tails,
    )  # fmt: skip
    drop_beaten_by_scored(k, *bounds, positions, approx, counts, pair_scores)
    score_kept_pairs(users, items, quantized_items.order, positions, likely_counts, counts, pair_scores)
    ids[:], scores[:] = -1, -np.inf
    write_results(
        k, quantized_items.order, positions, pair_scores, counts, thresholds, ids, scores, is_threshold_too_high
    )
    return is_threshold_too_high


def is_guess_due(block: int) -> bool:
    """Whether to guess thresholds after this block: 0, 1, 2, 3, 5, 8, 13, 21, ...

    A guess costs as much time as one or two blocks, and improves slowly.
    """
    return block < 3 or int(np.log(block) * 2) != int(np.log(block - 1) * 2)


def safe_rank(k: int, scanned: int, items: int) -> int:
    """A rank among the scanned items whose score the k best of all items very likely reach.

    It is the expected number of the k best among the scanned items, plus three standard deviations.
    """
    expected = k * scanned / items
    return int(np.ceil(expected + 3 * np.sqrt(expected) + 2))


def _select_users(users: QuantizedUsers, rows: slice) -> QuantizedUsers:
    return QuantizedUsers(
        users.codes[rows], users.scales[rows], users.lengths[rows], users.residues[rows],
        users.shares[rows], users.tails[rows],
    )  # fmt: skip
