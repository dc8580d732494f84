"""Every person against every artwork: the exact k best, in bounded memory.

A block of people meets a block of artworks in one float32 matrix product. A rigorous bound on that product's rounding error says
which pairs may still be among a person's k best; only those are held, and in the end they are scored canonically (see
`selection.py`). Nothing that could win is ever dropped, so the answer is that of a brute force over canonical scores.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from artrec_core.arrays import Float32Array, Float64Array, Int32Array
from artrec_core.recs.topk.arrays import CsrRows
from artrec_core.recs.topk.arrays import run_in_threads as run_in_threads
from artrec_core.recs.topk.float32_loops import (
    keep_possible_pairs,
    write_best_canonical,
    write_best_of_rows,
    write_first_unseen,
    write_results,
)
from artrec_core.recs.topk.int8_engine import WORTH_AN_IMPORT, WORTH_CODING, codes_pay, top_k_by_codes
from artrec_core.recs.topk.int8_quantization import CodedWorks, find_squares

# 512 people x 4,096 artworks x 4 bytes = 8 MB a thread: the scores are still in the last-level cache when they are looked at.
USERS_IN_BLOCK = 512
ITEMS_IN_BLOCK = 4096
# Beyond this a float32 product may overflow; such people are scored canonically throughout.
LARGEST_SAFE_SCORE = 1e36


class PreparedItems:
    """Item vectors (I, d) with what `top_k` makes of them, kept for the calls that follow; they must not change meanwhile.

    A copy that is sent to another process makes its own.
    """

    def __init__(self, item_vectors: npt.ArrayLike) -> None:
        """Raises `ValueError` where these are no vectors."""
        self.vectors = _vectors(item_vectors, "item_vectors")
        self._norms: Float64Array | None = None
        self._codes: CodedWorks | None = None
        self._on_device: tuple[Any, Any] | None = None
        self._part: tuple[npt.NDArray[np.int64], PreparedItems] | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = dict.fromkeys(self.__dict__)
        return kept | {"vectors": self.vectors}

    def norms(self, threads: int) -> Float64Array:
        """Lengths of the vectors, (I,); `ValueError` where one is not finite."""
        if self._norms is None:
            self._norms = _norms(self.vectors, "item_vectors", threads)
        return self._norms

    def codes(self, make: Callable[[], CodedWorks]) -> CodedWorks:
        """The vectors in eight bits. Any people's basis serves all: it decides the time, not the answer."""
        if self._codes is None:
            self._codes = make()
        return self._codes

    def on_device(self, device: Any) -> Any:
        """The vectors on this device (`gpu_topk.Works`)."""
        if self._on_device is None or self._on_device[0] != device:
            from artrec_core.recs.topk import gpu_engine as gpu_topk

            self._on_device = (device, gpu_topk.prepare(self.vectors, device))
        return self._on_device[1]

    def only(self, rows: npt.NDArray[np.int64]) -> "PreparedItems":
        """Some of the vectors. The first choice is kept, for it is likely to be made again; more would be copies without end."""
        if self._part is not None and np.array_equal(self._part[0], rows):
            return self._part[1]
        part = PreparedItems(self.vectors[rows])
        if self._part is None:
            self._part = (rows, part)
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
    """The k artworks of highest inner product for each person: ids (U, k) int32 and scores (U, k) float32, best first.

    user_vectors (U, d) and item_vectors (I, d) are float32 (memory maps too); ids are rows of item_vectors. Scores are
    summed in float64 and rounded to float32; ties go to the lower id; where fewer than k are left the row is padded
    with -1 and -inf. `exclude` is a SciPy CSR (U, I) whose stored entries are left out before anything is selected.
    `candidates` allows only some artworks: an array of rows of item_vectors for everyone, or a CSR (U, I) a person.
    Of `PreparedItems` what was made in one call is used in the next.
    Besides its inputs, outputs and one float32 copy of the artworks where they need converting or picking, it holds at most
    `memory_mb`. `device` is "auto" (a CUDA device where there is one and the work is worth it), "cpu", or a torch device by
    name; the answer is the same. Raises `ValueError` on shapes that do not fit, k < 1, vectors that are not finite, unknown
    rows and a device that is not there.
    """
    users = _vectors(user_vectors, "user_vectors")
    made = item_vectors if isinstance(item_vectors, PreparedItems) else PreparedItems(item_vectors)
    items = made.vectors
    if users.shape[1] != items.shape[1]:
        raise ValueError(
            f"user_vectors have {users.shape[1]} dimensions and item_vectors {items.shape[1]}; they must agree"
        )
    k, threads, shape = _count(k, "k"), thread_count(threads), (users.shape[0], items.shape[0])
    how: dict[str, Any] = {"threads": threads, "memory_mb": memory_mb, "device": device}
    seen = csr_rows(exclude, shape, "exclude")
    ids, scores = empty_results(users.shape[0], k)
    if candidates is not None and not hasattr(candidates, "indptr"):
        allowed = _allowed(candidates, items.shape[0])
        picked = None if exclude is None else exclude.tocsr()[:, allowed]
        found, scores = top_k(users, made.only(allowed), k, exclude=picked, **how)
        return np.where(found >= 0, np.append(allowed, -1)[found], -1).astype(np.int32), scores
    user_norms, item_norms = _norms(users, "user_vectors", threads), made.norms(threads)
    if min(shape) == 0:
        return ids, scores
    if candidates is not None:
        listed = csr_rows(candidates, shape, "candidates")
        _canonically(users, items, listed, seen, ids, scores, threads)
        return ids, scores
    # A NaN cannot come out below this: every partial sum stays far from float32's largest number.
    safe = user_norms * item_norms.max() < LARGEST_SAFE_SCORE
    write_first_unseen(k, np.flatnonzero(user_norms == 0), shape[1], *seen, ids, scores)
    wild, tame = np.flatnonzero(~safe), np.flatnonzero(safe & (user_norms > 0))
    if len(tame) == shape[0]:
        left = _on_device(users, made, k, seen, ids, scores, device)
        if left is not None:
            if len(left):
                some = None if exclude is None else exclude.tocsr()[left]
                ids[left], scores[left] = top_k(users[left], made, k, exclude=some, **(how | {"device": "cpu"}))
            return ids, scores
        told = (user_norms, item_norms, seen, ids, scores, threads, memory_mb)
        if codes_pay(*shape, users.shape[1], k):
            top_k_by_codes(users, items, *told, kept=made.codes)
        else:
            _by_blocks(users, items, *told)
        return ids, scores
    if len(wild):
        best = empty_results(len(wild), k)
        _canonically(users[wild], items, None, _pick(seen, wild), *best, threads)
        ids[wild], scores[wild] = best
    if len(tame):
        tame_exclude = None if exclude is None else exclude.tocsr()[tame]
        ids[tame], scores[tame] = top_k(users[tame], made, k, exclude=tame_exclude, **how)
    return ids, scores


def top_k_of_scores(
    scores: Float32Array, k: int, *, exclude: Any = None, threads: int | None = None
) -> tuple[Int32Array, Float32Array]:
    """The k best of each row of given scores (U, I), as `top_k` returns them; minus infinity is never among them.

    Raises `ValueError` on NaN, k < 1 and an `exclude` of another shape.
    """
    given = np.ascontiguousarray(scores, dtype=np.float32)
    if given.ndim != 2:
        raise ValueError(f"scores must have two dimensions, not {given.ndim}")
    if np.isnan(given).any():
        raise ValueError("scores hold NaN; every pair needs a number")
    seen_from, seen = csr_rows(exclude, (given.shape[0], given.shape[1]), "exclude")
    ids, best = empty_results(given.shape[0], _count(k, "k"))
    most = min(k, given.shape[1])

    def some(begin: int, end: int) -> None:
        write_best_of_rows(given, most, seen_from, seen, ids, best, begin, end)

    if most:
        run_in_threads(some, given.shape[0], thread_count(threads))
    return ids, best


def empty_results(people: int, k: int) -> tuple[Int32Array, Float32Array]:
    """Rows of nothing: ids of -1 and scores of minus infinity, (people, k) each."""
    return np.full((people, k), -1, np.int32), np.full((people, k), -np.inf, np.float32)


def thread_count(threads: int | None) -> int:
    """The threads asked for, or as many as this process may run on."""
    return len(os.sched_getaffinity(0)) if threads is None else _count(threads, "threads")


def _on_device(
    users: Float32Array, made: PreparedItems, k: int, seen: CsrRows, ids: Int32Array, scores: Float32Array, device: str
) -> Int32Array | None:
    """Fill ids and scores on a GPU: the rows left to the CPU engine, or None where there is no GPU or it is not worth it."""
    items = made.vectors
    size = users.shape[0] * items.shape[0] * users.shape[1]
    loaded = WORTH_CODING if "torch" in sys.modules else WORTH_AN_IMPORT
    if device == "cpu" or (device == "auto" and (size < loaded or items.shape[0] < 8 * k)):
        return None
    from artrec_core.recs.topk import gpu_engine as gpu_topk

    chosen = gpu_topk.gpu(device)
    if chosen is None or not gpu_topk.fits(items.shape[0], items.shape[1], chosen):
        return None
    works = made.on_device(chosen)
    most = min(k, items.shape[0])
    ids[:, :most], scores[:, :most], left = gpu_topk.top_k_on_device(users, works, most, seen)
    return left


def _by_blocks(
    users: Float32Array,
    items: Float32Array,
    user_norms: Float64Array,
    item_norms: Float64Array,
    seen: tuple[npt.NDArray[np.int64], Int32Array],
    ids: Int32Array,
    scores: Float32Array,
    threads: int,
    memory_mb: int,
) -> None:
    """Fill ids and scores a block of people at a time; each block passes over all artworks once.

    A thread has blocks of its own: it waits for nobody, and one looks at its scores while another multiplies.
    """
    k = min(ids.shape[1], items.shape[0])
    capacity = k + max(k, 64)
    people, width = block_shape(users.shape[0], items.shape[0], capacity * 8 + 64, memory_mb, threads)
    slack, tiny = error_bound(users.shape[1])
    tops = iter(range(0, users.shape[0], people))

    def fill(_: int) -> None:
        product = np.empty(people * width, np.float32)
        held_ids, approx = np.empty((people, capacity), np.int32), np.empty((people, capacity), np.float32)
        # The threads share one iterator: whoever is done takes the next block.
        for top in tops:
            some = users[top : top + people]
            slacks, seen_from = slack * user_norms[top : top + people], seen[0][top : top + people + 1]
            counts, floors = np.zeros(len(some), np.int64), np.full(len(some), -np.inf)
            bounds, room = (slacks, item_norms, tiny), k + (capacity - k) // 2
            held = (held_ids, approx, counts)
            for first in range(0, items.shape[0], width):
                part = items[first : first + width]
                block = product[: len(some) * len(part)].reshape(len(some), len(part))
                np.matmul(some, part.T, out=block)
                keep_possible_pairs(
                    block, first, k, some, items, *bounds, room, seen_from, seen[1], *held, floors, 0, len(some)
                )
            best = (ids[top : top + people], scores[top : top + people])
            write_results(k, some, items, *bounds, *held, *best, 0, len(some))

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(threads)))


def error_bound(dim: int) -> tuple[float, float]:
    """(slack, tiny): a float32 product of u and v lies within slack * |u| * |v| + tiny of their canonical score.

    For any order of summation, with or without fused multiply-add (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1), plus the rounding of the canonical score itself; `tiny` covers numbers too small for float32, even
    where they are flushed to zero.
    """
    unit = (dim + 8) * 2.0**-24
    if unit >= 0.5:
        raise ValueError(f"vectors of {dim:,} dimensions are too long for float32 products")
    return unit / (1.0 - unit), (4 * dim + 8) * 2.0**-126


def block_shape(people: int, artworks: int, bytes_a_person: int, memory_mb: int, blocks: int) -> tuple[int, int]:
    """How many people and artworks each of so many blocks of scores holds within the budget, each at least one."""
    budget = _count(memory_mb, "memory_mb") * 2**20 // blocks
    width = min(ITEMS_IN_BLOCK, artworks)
    rows = min(USERS_IN_BLOCK, -(-people // blocks), max(1, budget // (4 * width + bytes_a_person)))
    return rows, width


def _canonically(
    users: Float32Array,
    items: Float32Array,
    listed: tuple[npt.NDArray[np.int64], Int32Array] | None,
    seen: tuple[npt.NDArray[np.int64], Int32Array],
    ids: Int32Array,
    scores: Float32Array,
    threads: int,
) -> None:
    """Fill ids and scores by scoring every listed pair (every pair where there is no list) canonically."""
    listed_from, lists = (np.zeros(1, np.int64), np.empty(0, np.int32)) if listed is None else listed
    most = min(ids.shape[1], items.shape[0])

    def some(begin: int, end: int) -> None:
        write_best_canonical(most, users, items, listed_from, lists, listed is not None, *seen, ids, scores, begin, end)

    run_in_threads(some, users.shape[0], threads)


def _vectors(given: npt.ArrayLike, name: str) -> Float32Array:
    array = np.asarray(given)
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions (rows, d), not shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _norms(vectors: Float32Array, name: str, threads: int) -> Float64Array:
    """Lengths of the rows (n,), in float64, where no float32 can overflow; `ValueError` on NaN and infinity."""
    squares = np.empty(vectors.shape[0])
    run_in_threads(lambda begin, end: find_squares(vectors, squares, begin, end), len(squares), threads)
    norms: Float64Array = np.sqrt(squares)
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise ValueError(f"{name} hold NaN or infinity in {len(bad):,} rows, the first is row {bad[0]}")
    # A hair longer, so that rounding here never shortens a bound.
    return norms * (1 + 2.0**-40)


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(value)


def csr_rows(matrix: Any, shape: tuple[int, int], name: str) -> tuple[npt.NDArray[np.int64], Int32Array]:
    """A CSR's row starts (U + 1,) and its column indices, sorted within each row."""
    if matrix is None:
        return np.zeros(shape[0] + 1, np.int64), np.empty(0, np.int32)
    if not hasattr(matrix, "tocsr") or matrix.shape != shape:
        raise ValueError(f"{name} must be a SciPy CSR of shape {shape}, not {getattr(matrix, 'shape', type(matrix))}")
    rows = matrix.tocsr()
    if not rows.has_sorted_indices:
        rows = rows.sorted_indices()
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32)


def _pick(
    rows: tuple[npt.NDArray[np.int64], Int32Array], which: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Int32Array]:
    starts, indices = rows
    parts = [indices[starts[row] : starts[row + 1]] for row in which]
    lengths = np.array([0, *(len(part) for part in parts)], np.int64)
    return np.cumsum(lengths), np.concatenate([np.empty(0, np.int32), *parts])


def _allowed(candidates: Any, artworks: int) -> npt.NDArray[np.int64]:
    allowed = np.unique(np.asarray(candidates))
    if allowed.size == 0:
        return np.empty(0, np.int64)
    if allowed.ndim != 1 or allowed.dtype.kind not in "iu":
        raise ValueError("candidates must be whole numbers, rows of item_vectors (or a CSR, a row a person)")
    if allowed[0] < 0 or allowed[-1] >= artworks:
        raise ValueError(
            f"candidates name row {allowed[0] if allowed[0] < 0 else allowed[-1]}; there are {artworks:,} artworks"
        )
    return allowed.astype(np.int64)
