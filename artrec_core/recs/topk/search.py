"""Exact top-K: the k items with the highest inner product for every user, in bounded memory.

A block of users meets a block of items in one float32 matrix product. A strict bound on the rounding error of that
product says which pairs may still be among a user's k best. Only those pairs are kept, and their canonical scores (see
`float32_loops.py`) decide at the end. No pair that could win is dropped, so the result equals a brute force over
canonical scores.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from artrec_core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.recs.topk.arrays import CsrRows, run_in_threads
from artrec_core.recs.topk.float32_loops import (
    keep_possible_pairs,
    write_best_canonical,
    write_best_of_rows,
    write_first_unseen,
    write_results,
)
from artrec_core.recs.topk.int8_engine import (
    MIN_MULTIPLICATIONS,
    MIN_MULTIPLICATIONS_WITHOUT_TORCH,
    int8_is_faster,
    top_k_int8,
)
from artrec_core.recs.topk.int8_quantization import QuantizedItems, write_squared_lengths

# 512 users x 4,096 items x 4 bytes = 8 MB a thread: the scores are still in the last-level cache when they are read.
USERS_IN_BLOCK = 512
ITEMS_IN_BLOCK = 4096
# Above this a float32 product may overflow; users with such scores are scored canonically only.
LARGEST_SAFE_SCORE = 1e36


class PreparedItems:
    """Item vectors (I, d) with everything that `top_k` computes from them, kept for later calls.

    The vectors must not change between calls. A copy sent to another process computes these values again.
    """

    def __init__(self, item_vectors: npt.ArrayLike) -> None:
        """Raises `ValueError` if `item_vectors` is not a two-dimensional array of numbers."""
        self.vectors = _as_vectors(item_vectors, "item_vectors")
        self._norms: Float64Array | None = None
        self._quantized: QuantizedItems | None = None
        self._device_items: tuple[Any, Any] | None = None
        self._subset: tuple[Int64Array, PreparedItems] | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = dict.fromkeys(self.__dict__)
        return state | {"vectors": self.vectors}

    def norms(self, threads: int) -> Float64Array:
        """Lengths of the vectors, (I,). Raises `ValueError` if a vector is not finite."""
        if self._norms is None:
            self._norms = _row_norms(self.vectors, "item_vectors", threads)
        return self._norms

    def quantized(self, quantize: Callable[[], QuantizedItems]) -> QuantizedItems:
        """The int8 codes of the vectors. Their basis may come from any users: it changes the time, not the result."""
        if self._quantized is None:
            self._quantized = quantize()
        return self._quantized

    def device_items(self, device: Any) -> Any:
        """The vectors on this torch device, as `gpu_items.DeviceItems`."""
        if self._device_items is None or self._device_items[0] != device:
            from artrec_core.recs.topk import gpu_engine

            self._device_items = (device, gpu_engine.prepare_items(self.vectors, device))
        return self._device_items[1]

    def subset(self, rows: Int64Array) -> "PreparedItems":
        """The vectors in these rows. Only the first subset is kept: it is likely to be used again."""
        if self._subset is not None and np.array_equal(self._subset[0], rows):
            return self._subset[1]
        part = PreparedItems(self.vectors[rows])
        if self._subset is None:
            self._subset = (rows, part)
        return part


def top_k(
    user_vectors: npt.ArrayLike,
    item_vectors: npt.ArrayLike | PreparedItems,
    k: int,
    *,
    exclude: Any = None,
    candidates: Any = None,
    threads: int | None = None,
    memory_mb: int = 512,
    device: str = "auto",
) -> tuple[Int32Array, Float32Array]:
    """The k items with the highest inner product for each user, best first.

    Scores are summed in float64 and rounded to float32. Of equal scores the lower id comes first. The result is the
    same for every device, thread count and memory limit.

    Parameters
    ----------
    user_vectors
        (U, d) float32. Memory maps are allowed.
    item_vectors
        (I, d) float32, or `PreparedItems`. What one call computes from `PreparedItems`, the next call uses again.
    k
        How many items a user gets.
    exclude
        A SciPy CSR matrix (U, I). Its stored entries are left out before anything is selected.
    candidates
        The only items allowed: an array of rows of `item_vectors` for all users, or a CSR matrix (U, I) with a row a
        user.
    threads
        How many threads to use. None: as many as this process may use.
    memory_mb
        The most memory in MiB, besides inputs, outputs and one float32 copy of the items if they are converted or
        selected.
    device
        "cpu", the name of a torch device, or "auto": a CUDA device if there is one and the product is large enough.

    Returns
    -------
    ids : (U, k) int32
        Rows of `item_vectors`; -1 where a user has fewer than k items.
    scores : (U, k) float32
        Inner products; minus infinity where a user has fewer than k items.

    Raises
    ------
    ValueError
        Shapes do not fit, k < 1, a vector is not finite, a candidate row does not exist, or the device is not
        available.
    """
    users = _as_vectors(user_vectors, "user_vectors")
    prepared = item_vectors if isinstance(item_vectors, PreparedItems) else PreparedItems(item_vectors)
    items = prepared.vectors
    if users.shape[1] != items.shape[1]:
        raise ValueError(
            f"user_vectors have {users.shape[1]} dimensions and item_vectors {items.shape[1]}; they must agree"
        )
    k, threads, shape = _positive_int(k, "k"), thread_count(threads), (users.shape[0], items.shape[0])
    options: dict[str, Any] = {"threads": threads, "memory_mb": memory_mb, "device": device}
    seen = csr_rows(exclude, shape, "exclude")
    ids, scores = empty_results(users.shape[0], k)
    if candidates is not None and not hasattr(candidates, "indptr"):
        item_rows = _candidate_rows(candidates, items.shape[0])
        subset_exclude = None if exclude is None else exclude.tocsr()[:, item_rows]
        subset_ids, scores = top_k(users, prepared.subset(item_rows), k, exclude=subset_exclude, **options)
        return np.where(subset_ids >= 0, np.append(item_rows, -1)[subset_ids], -1).astype(np.int32), scores
    user_norms, item_norms = _row_norms(users, "user_vectors", threads), prepared.norms(threads)
    if min(shape) == 0:
        return ids, scores
    if candidates is not None:
        candidate_rows = csr_rows(candidates, shape, "candidates")
        _fill_canonically(users, items, candidate_rows, seen, ids, scores, threads)
        return ids, scores
    # Below this limit no product is NaN: every partial sum stays far from the largest float32 number.
    is_safe = user_norms * item_norms.max() < LARGEST_SAFE_SCORE
    write_first_unseen(k, np.flatnonzero(user_norms == 0), shape[1], *seen, ids, scores)
    unsafe_rows, safe_rows = np.flatnonzero(~is_safe), np.flatnonzero(is_safe & (user_norms > 0))
    if len(safe_rows) == shape[0]:
        open_rows = _fill_on_device(users, prepared, k, seen, ids, scores, device)
        if open_rows is not None:
            if len(open_rows):
                open_exclude = None if exclude is None else exclude.tocsr()[open_rows]
                ids[open_rows], scores[open_rows] = top_k(
                    users[open_rows], prepared, k, exclude=open_exclude, **(options | {"device": "cpu"})
                )
            return ids, scores
        arguments = (user_norms, item_norms, seen, ids, scores, threads, memory_mb)
        if int8_is_faster(*shape, users.shape[1], k):
            top_k_int8(users, items, *arguments, cached=prepared.quantized)
        else:
            _fill_by_blocks(users, items, *arguments)
        return ids, scores
    if len(unsafe_rows):
        results = empty_results(len(unsafe_rows), k)
        _fill_canonically(users[unsafe_rows], items, None, _select_csr_rows(seen, unsafe_rows), *results, threads)
        ids[unsafe_rows], scores[unsafe_rows] = results
    if len(safe_rows):
        safe_exclude = None if exclude is None else exclude.tocsr()[safe_rows]
        ids[safe_rows], scores[safe_rows] = top_k(users[safe_rows], prepared, k, exclude=safe_exclude, **options)
    return ids, scores


def top_k_of_scores(
    scores: Float32Array, k: int, *, exclude: Any = None, threads: int | None = None
) -> tuple[Int32Array, Float32Array]:
    """The k best of each row of given scores. A score of minus infinity is never among them.

    Parameters
    ----------
    scores
        (U, I) float32.
    k
        How many items a user gets.
    exclude
        A SciPy CSR matrix (U, I). Its stored entries are left out before anything is selected.
    threads
        How many threads to use. None: as many as this process may use.

    Returns
    -------
    ids, scores : (U, k)
        As `top_k` returns them.

    Raises
    ------
    ValueError
        A score is NaN, k < 1, or `exclude` has another shape.
    """
    rows = np.ascontiguousarray(scores, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"scores must have two dimensions, not {rows.ndim}")
    if np.isnan(rows).any():
        raise ValueError("scores hold NaN; every pair needs a number")
    seen_starts, seen_items = csr_rows(exclude, (rows.shape[0], rows.shape[1]), "exclude")
    best_ids, best_scores = empty_results(rows.shape[0], _positive_int(k, "k"))
    result_count = min(k, rows.shape[1])

    def fill(begin: int, end: int) -> None:
        write_best_of_rows(rows, result_count, seen_starts, seen_items, best_ids, best_scores, begin, end)

    if result_count:
        run_in_threads(fill, rows.shape[0], thread_count(threads))
    return best_ids, best_scores


def empty_results(users: int, k: int) -> tuple[Int32Array, Float32Array]:
    """Results that hold padding only: ids of -1 and scores of minus infinity, (users, k) each."""
    return np.full((users, k), -1, np.int32), np.full((users, k), -np.inf, np.float32)


def thread_count(threads: int | None) -> int:
    """The given number of threads, or as many as this process may use. Raises `ValueError` if it is below 1."""
    return len(os.sched_getaffinity(0)) if threads is None else _positive_int(threads, "threads")


def _fill_on_device(
    users: Float32Array,
    prepared: PreparedItems,
    k: int,
    seen: CsrRows,
    ids: Int32Array,
    scores: Float32Array,
    device: str,
) -> Int32Array | None:
    """Fill ids and scores on a GPU, and return the rows that the CPU must still fill.

    Returns None if there is no GPU, or if the product is too small for it.
    """
    items = prepared.vectors
    multiplications = users.shape[0] * items.shape[0] * users.shape[1]
    minimum = MIN_MULTIPLICATIONS if "torch" in sys.modules else MIN_MULTIPLICATIONS_WITHOUT_TORCH
    if device == "cpu" or (device == "auto" and (multiplications < minimum or items.shape[0] < 8 * k)):
        return None
    from artrec_core.recs.topk import gpu_engine

    torch_device = gpu_engine.select_device(device)
    if torch_device is None or not gpu_engine.fits_in_memory(items.shape[0], items.shape[1], torch_device):
        return None
    device_items = prepared.device_items(torch_device)
    result_count = min(k, items.shape[0])
    ids[:, :result_count], scores[:, :result_count], open_rows = gpu_engine.top_k_on_device(
        users, device_items, result_count, seen
    )
    return open_rows


def _fill_by_blocks(
    users: Float32Array,
    items: Float32Array,
    user_norms: Float64Array,
    item_norms: Float64Array,
    seen: CsrRows,
    ids: Int32Array,
    scores: Float32Array,
    threads: int,
    memory_mb: int,
) -> None:
    """Fill ids and scores one block of users at a time; each block goes over all items once.

    Each thread has blocks of its own. So no thread waits for another, and one can select while another multiplies.
    """
    k = min(ids.shape[1], items.shape[0])
    capacity = k + max(k, 64)
    height, width = block_shape(users.shape[0], items.shape[0], capacity * 8 + 64, memory_mb, threads)
    slack, tiny = error_bound(users.shape[1])
    block_starts = iter(range(0, users.shape[0], height))

    def fill(_: int) -> None:
        product = np.empty(height * width, np.float32)
        pair_ids, approx = np.empty((height, capacity), np.int32), np.empty((height, capacity), np.float32)
        # The threads share one iterator: a thread that has finished takes the next block.
        for top in block_starts:
            block_users = users[top : top + height]
            slacks, seen_starts = slack * user_norms[top : top + height], seen[0][top : top + height + 1]
            counts, floors = np.zeros(len(block_users), np.int64), np.full(len(block_users), -np.inf)
            bounds, room = (slacks, item_norms, tiny), k + (capacity - k) // 2
            pairs = (pair_ids, approx, counts)
            for first in range(0, items.shape[0], width):
                block_items = items[first : first + width]
                block = product[: len(block_users) * len(block_items)].reshape(len(block_users), len(block_items))
                np.matmul(block_users, block_items.T, out=block)
                keep_possible_pairs(
                    block, first, k, block_users, items, *bounds, room, seen_starts, seen[1],
                    *pairs, floors, 0, len(block_users),
                )  # fmt: skip
            results = (ids[top : top + height], scores[top : top + height])
            write_results(k, block_users, items, *bounds, *pairs, *results, 0, len(block_users))

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(threads)))


def error_bound(dim: int) -> tuple[float, float]:
    """(slack, tiny): a float32 product of u and v is within slack * |u| * |v| + tiny of their canonical score.

    This holds for any order of summation, with or without fused multiply-add (Higham, Accuracy and Stability of
    Numerical Algorithms, 3.1). It includes the rounding of the canonical score. `tiny` covers numbers too small for
    float32, even if the processor flushes them to zero. Raises `ValueError` if `dim` is so large that no such bound
    exists.
    """
    unit = (dim + 8) * 2.0**-24
    if unit >= 0.5:
        raise ValueError(f"vectors of {dim:,} dimensions are too long for float32 products")
    return unit / (1.0 - unit), (4 * dim + 8) * 2.0**-126


def block_shape(users: int, items: int, bytes_per_user: int, memory_mb: int, blocks: int) -> tuple[int, int]:
    """The users and the items in one block of scores, at least one of each, so that all blocks fit into memory.

    Parameters
    ----------
    users, items
        How many there are.
    bytes_per_user
        The memory that a user of a block needs besides the scores.
    memory_mb
        The memory for all blocks together, in MiB.
    blocks
        How many blocks are in memory at once.
    """
    budget = _positive_int(memory_mb, "memory_mb") * 2**20 // blocks
    width = min(ITEMS_IN_BLOCK, items)
    height = min(USERS_IN_BLOCK, -(-users // blocks), max(1, budget // (4 * width + bytes_per_user)))
    return height, width


def _fill_canonically(
    users: Float32Array,
    items: Float32Array,
    candidates: CsrRows | None,
    seen: CsrRows,
    ids: Int32Array,
    scores: Float32Array,
    threads: int,
) -> None:
    """Fill ids and scores from the canonical scores of all candidate pairs (of all pairs if `candidates` is None)."""
    candidate_starts, candidate_items = (
        (np.zeros(1, np.int64), np.empty(0, np.int32)) if candidates is None else candidates
    )
    result_count = min(ids.shape[1], items.shape[0])

    def fill(begin: int, end: int) -> None:
        write_best_canonical(
            result_count, users, items, candidate_starts, candidate_items, candidates is not None,
            *seen, ids, scores, begin, end,
        )  # fmt: skip

    run_in_threads(fill, users.shape[0], threads)


def _as_vectors(values: npt.ArrayLike, name: str) -> Float32Array:
    array = np.asarray(values)
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions (rows, d), not shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _row_norms(vectors: Float32Array, name: str, threads: int) -> Float64Array:
    """Lengths of the rows (n,), in float64, which float32 numbers cannot overflow.

    Raises `ValueError` if a row has NaN or infinity.
    """
    squares = np.empty(vectors.shape[0])
    run_in_threads(lambda begin, end: write_squared_lengths(vectors, squares, begin, end), len(squares), threads)
    norms: Float64Array = np.sqrt(squares)
    bad_rows = np.flatnonzero(~np.isfinite(norms))
    if len(bad_rows):
        raise ValueError(f"{name} hold NaN or infinity in {len(bad_rows):,} rows, the first is row {bad_rows[0]}")
    # Slightly longer, so that rounding here never makes a bound too small.
    return norms * (1 + 2.0**-40)


def _positive_int(value: int, name: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(value)


def csr_rows(matrix: Any, shape: tuple[int, int], name: str) -> CsrRows:
    """The row starts (U + 1,) of a CSR matrix and its column indices, sorted within each row.

    Parameters
    ----------
    matrix
        A SciPy CSR matrix, or None for an empty one.
    shape
        The shape (U, I) that the matrix must have.
    name
        What an error message calls the matrix.

    Raises
    ------
    ValueError
        The matrix is no SciPy matrix, or has another shape.
    """
    if matrix is None:
        return np.zeros(shape[0] + 1, np.int64), np.empty(0, np.int32)
    if not hasattr(matrix, "tocsr") or matrix.shape != shape:
        raise ValueError(f"{name} must be a SciPy CSR of shape {shape}, not {getattr(matrix, 'shape', type(matrix))}")
    rows = matrix.tocsr()
    if not rows.has_sorted_indices:
        rows = rows.sorted_indices()
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32)


def _select_csr_rows(matrix: CsrRows, rows: Int64Array) -> CsrRows:
    starts, indices = matrix
    parts = [indices[starts[row] : starts[row + 1]] for row in rows]
    lengths = np.array([0, *(len(part) for part in parts)], np.int64)
    return np.cumsum(lengths), np.concatenate([np.empty(0, np.int32), *parts])


def _candidate_rows(candidates: Any, items: int) -> Int64Array:
    rows = np.unique(np.asarray(candidates))
    if rows.size == 0:
        return np.empty(0, np.int64)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise ValueError("candidates must be whole numbers, rows of item_vectors (or a CSR with a row for each user)")
    if rows[0] < 0 or rows[-1] >= items:
        raise ValueError(f"candidates name row {rows[0] if rows[0] < 0 else rows[-1]}; there are {items:,} items")
    return rows.astype(np.int64)
