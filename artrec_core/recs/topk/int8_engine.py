"""The exact k best through products of eight-bit codes: what `top_k` does where the processor multiplies them fast.

Blocks of people are shared among threads; each meets every block of works in one product of codes, and only the pairs whose
bound (see `codes.py`) reaches the person's bar are held. The k best of these are taken by canonical scores.
"""

import sys
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Float64Array, Int32Array
from artrec_core.model.cpu.threads import one_thread_each
from artrec_core.recs.topk.arrays import CsrRows, run_in_threads
from artrec_core.recs.topk.int8_loops import (
    WORKS_IN_STEP,
    first_bars,
    guess_bars,
    keep_reaching,
    likeliest_first,
    score_held,
    still_in_reach,
    write_held,
)
from artrec_core.recs.topk.int8_quantization import (
    LARGEST_CODE,
    CodedPeople,
    CodedWorks,
    coded_people,
    coded_works,
    shared_basis,
)

# 1,024 people x 2,048 works x 4 bytes = 8 MB a thread: products are still in the last-level cache when they are looked at,
# and an artwork read for its canonical score serves many people.
PEOPLE_IN_BLOCK = 1024
WORKS_IN_BLOCK = 2048
# Below so many multiplications the float32 product is done before torch is imported (two seconds).
WORTH_AN_IMPORT = 10**11
WORTH_CODING = 10**9
# A sum of 127 * 127 over more dimensions would not fit int32.
LONGEST = 100_000


def codes_pay(people: int, works: int, dim: int, k: int) -> bool:
    """Whether codes are the faster way to the answer, which is the same either way."""
    size = people * works * dim
    if (
        size < (WORTH_CODING if "torch" in sys.modules else WORTH_AN_IMPORT)
        or works < 8 * k
        or people < 64
        or dim > LONGEST
    ):
        return False
    return products_are_fast()


@lru_cache(maxsize=1)
def products_are_fast() -> bool:
    """Whether torch multiplies eight-bit codes by instructions made for it, and exactly (tried at the extremes)."""
    try:
        import torch

        if not torch.cpu._is_vnni_supported():
            return False
        signs = np.where(np.arange(64 * 512).reshape(64, 512) % 7 < 3, -LARGEST_CODE, LARGEST_CODE).astype(np.int8)
        signs[:2] = LARGEST_CODE
        signs[2:4] = -LARGEST_CODE
        found = np.empty((64, 64), np.int32)
        multiply(signs, signs, found)
    except (ImportError, AttributeError, RuntimeError):
        return False
    return bool((found == signs.astype(np.int32) @ signs.astype(np.int32).T).all())


def multiply(people: npt.NDArray[np.int8], works: npt.NDArray[np.int8], out: Int32Array) -> None:
    """Products of codes: people (P, d) by works (W, d) into out (P, W) int32, exact."""
    import torch

    torch._int_mm(torch.from_numpy(people), torch.from_numpy(works).T, out=torch.from_numpy(out))
    corners = [int(people[at].astype(np.int32) @ works[at].astype(np.int32)) for at in (0, -1)]
    if [out[0, 0], out[-1, -1]] != corners:
        # torch 2.13 leaves `out` as it was where d = 1; codes are padded, but a wrong table must not hang on that.
        out[:] = people.astype(np.float64) @ works.astype(np.float64).T


def top_k_by_codes(
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
    kept: Callable[[Callable[[], CodedWorks]], CodedWorks] = lambda make: make(),
) -> None:
    """Fill ids and scores (U, k), padded; `|u| |v|` must stay far from float32's largest number for every pair.

    `kept` gives the coded works of an earlier call where there are some, else those that it is told how to make.
    """
    k, longest = min(ids.shape[1], items.shape[0]), float(item_norms.max())
    people, width = coded_block(len(users), items.shape[0], k, threads, memory_mb)
    with one_thread_each(threads) as pool:
        works = kept(
            lambda: coded_works(
                items, shared_basis(users, items), width, lambda loop, n: run_in_threads(loop, n, threads, pool)
            )
        )

        def some(top: int) -> None:
            here = slice(top, top + people)
            coded = coded_people(users[here], user_norms[here], longest, works)
            mine = (seen[0][top : top + people + 1], seen[1])
            bars = np.full(len(coded.scales), -np.inf)
            missed = _pass(users[here], items, works, coded, mine, k, width, bars, ids[here], scores[here], guess=True)
            for row in np.flatnonzero(missed).tolist():
                one = slice(row, row + 1)
                _pass(
                    users[here][one], items, works, _only(coded, one), (mine[0][row : row + 2], mine[1]), k, width,
                    bars[one], ids[here][one], scores[here][one], guess=False,
                )  # fmt: skip

        list(pool.map(some, range(0, len(users), people)))


def coded_block(people: int, works: int, k: int, threads: int, memory_mb: int) -> tuple[int, int]:
    """How many people and works a thread's block of products holds within the budget, each at least one."""
    width = min(WORKS_IN_BLOCK, works)
    a_person = 4 * width + 24 * capacity_of(k) + 256
    share = memory_mb * 2**20 // threads
    most = max(1, min(PEOPLE_IN_BLOCK, share // a_person))
    # As many blocks as threads, or a multiple: nobody waits for somebody else's last block.
    blocks = -(-people // (most * threads)) * threads
    return -(-people // blocks), width


def capacity_of(k: int) -> int:
    """How many pairs a person may hold before those surely beaten are dropped."""
    return 8 * k + 128


def _pass(
    users: Float32Array, items: Float32Array, works: CodedWorks, people: CodedPeople, seen: CsrRows, k: int, width: int,
    bars: Float64Array, ids: Int32Array, scores: Float32Array, *, guess: bool,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """One pass of some people over all works: ids and scores filled, and who was guessed too high."""
    many, capacity = len(works.order), capacity_of(k)
    products = np.empty(len(users) * width, np.int32)
    places, approx = np.empty((len(users), capacity), np.int32), np.empty((len(users), capacity))
    counts, floors = np.zeros(len(users), np.int64), bars.copy()
    person = (people.scales, people.lengths, people.residues, people.shares, people.tails)
    for first in range(0, many, width):
        codes = works.codes[first : first + width]
        block = products[: len(users) * len(codes)].reshape(len(users), len(codes))
        multiply(people.codes, codes, block)
        rank = safe_rank(k, first + len(codes), many)
        if guess and first == 0 and rank < len(codes) // WORKS_IN_STEP // 2:
            tops = np.empty(len(codes) // WORKS_IN_STEP)
            first_bars(block, rank, works.scales, people.scales, people.shares, tops, bars)
        keep_reaching(
            block, first, k, users, items, works.order, works.scales, works.residues, works.lengths, *person, *seen,
            k + (capacity - k) // 2, places, approx, counts, floors, bars,
        )  # fmt: skip
        if guess and rank < k and is_time_to_guess(first // width):
            guess_bars(rank, approx, counts, bars)
    return _finish(k, users, items, works, people, places, approx, counts, bars, ids, scores)


def _finish(
    k: int, users: Float32Array, items: Float32Array, works: CodedWorks, people: CodedPeople,
    places: Int32Array, approx: Float64Array, counts: npt.NDArray[np.int64], bars: Float64Array, ids: Int32Array, scores: Float32Array,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Write the k best of what is held by canonical scores: those of the likeliest k say which of the others matter."""
    found, missed = np.empty(places.shape, np.float32), np.zeros(len(users), np.bool_)
    likeliest_first(k, places, approx, counts)
    likely = np.minimum(counts, k)
    score_held(users, items, works.order, places, np.zeros_like(counts), likely, found)
    reach = (works.residues, works.lengths, people.lengths, people.residues, people.tails)
    still_in_reach(k, *reach, places, approx, counts, found)
    score_held(users, items, works.order, places, likely, counts, found)
    ids[:], scores[:] = -1, -np.inf
    write_held(k, works.order, places, found, counts, bars, ids, scores, missed)
    return missed


def is_time_to_guess(block: int) -> bool:
    """After the blocks 0, 1, 2, 3, 5, 8, 13, 21, ...: a guess costs as much as a block or two of looking, and betters slowly."""
    return block < 3 or int(np.log(block) * 2) != int(np.log(block - 1) * 2)


def safe_rank(k: int, looked_at: int, works: int) -> int:
    """The rank among the works looked at whose score k of all works very likely reach: the expected one and three deviations."""
    expected = k * looked_at / works
    return int(np.ceil(expected + 3 * np.sqrt(expected) + 2))


def _only(people: CodedPeople, rows: slice) -> CodedPeople:
    return CodedPeople(
        people.codes[rows], people.scales[rows], people.lengths[rows], people.residues[rows], people.shares[rows], people.tails[rows]
    )  # fmt: skip
