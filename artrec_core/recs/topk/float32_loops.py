"""Compiled loops of `top_k`: which pairs are still possible, their canonical scores, and their order.

A pair is a user and an item. Its canonical score is the inner product, summed in float64 in one fixed order and rounded
to float32. So the score is the same number for all blocks, shards and threads. One integer, the sort key, holds the
order of a pair: the highest score first, then the lowest item row.

A pair is possible while it may still be among the user's k best. A user's floor is a number that the canonical k-th
best score surely reaches. The threshold is the approximate score that a pair must reach to be kept. It lies below the
floor by the error bound.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compile_loop(loop: Loop) -> Loop:
    """Compile a loop to machine code, once on each machine. Threads may run it at the same time."""
    return cast(Loop, numba.njit(nogil=True, cache=True, error_model="numpy")(loop))


# A fused multiply-add gives the same result here, because the products are exact.
@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def canonical_score(u: Any, v: Any) -> Any:
    """The canonical score of a pair: the float32 inner product of two float32 vectors.

    Products of float32 numbers are exact in float64, so only the order of the additions matters. Eight sums, taken in
    turn, fix this order, and the processor can still compute them in parallel.
    """
    d = u.shape[0]
    unrolled_dim = d - d % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for j in range(0, unrolled_dim, 8):
        s0 += np.float64(u[j]) * np.float64(v[j])
        s1 += np.float64(u[j + 1]) * np.float64(v[j + 1])
        s2 += np.float64(u[j + 2]) * np.float64(v[j + 2])
        s3 += np.float64(u[j + 3]) * np.float64(v[j + 3])
        s4 += np.float64(u[j + 4]) * np.float64(v[j + 4])
        s5 += np.float64(u[j + 5]) * np.float64(v[j + 5])
        s6 += np.float64(u[j + 6]) * np.float64(v[j + 6])
        s7 += np.float64(u[j + 7]) * np.float64(v[j + 7])
    remainder = 0.0
    for j in range(unrolled_dim, d):
        remainder += np.float64(u[j]) * np.float64(v[j])
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + remainder
    # Adding zero turns -0.0 into 0.0, so that the two are equal scores.
    return np.float32(total) + np.float32(0.0)


@compile_loop
def sort_key(score: Any, index: Any) -> Any:
    """An integer that sorts by score, highest first, then by index, lowest first."""
    bits = np.uint64(np.float32(score).view(np.uint32))
    ascending = np.uint64(0xFFFFFFFF) - bits if bits & np.uint64(0x80000000) else bits | np.uint64(0x80000000)
    return ((np.uint64(0xFFFFFFFF) - ascending) << np.uint64(32)) | np.uint64(index)


@compile_loop
def score_from_key(key: Any) -> Any:
    """The score that a sort key contains."""
    ascending = np.uint64(0xFFFFFFFF) - (key >> np.uint64(32))
    bits = ascending ^ np.uint64(0x80000000) if ascending & np.uint64(0x80000000) else np.uint64(0xFFFFFFFF) - ascending
    return np.uint32(bits).view(np.float32)


@compile_loop
def contains(sorted_indices: Any, index: Any) -> Any:
    """Whether a sorted array contains an index."""
    position = np.searchsorted(sorted_indices, index)
    return position < sorted_indices.shape[0] and sorted_indices[position] == index


@compile_loop
def count_at_least(scores: Any, threshold: Any) -> Any:
    """How many scores reach the threshold. A loop as simple as this is vectorised: 0.1 ns a score instead of 1 ns."""
    count = 0
    for position in range(scores.shape[0]):
        count += scores[position] >= threshold
    return count


@compile_loop
def nth_smallest(values: Any, n: Any) -> Any:
    """The number that would be at position n (from 0) if the values were sorted. The values are not changed.

    This is Hoare's selection. np.partition gives the same number, but takes six seconds to compile.
    """
    pool = values.copy()
    low, high = 0, pool.shape[0] - 1
    while low < high:
        first, middle, last = pool[low], pool[(low + high) // 2], pool[high]
        # With the median of three as pivot, values already in order do not take quadratic time.
        pivot = max(min(first, middle), min(max(first, middle), last))
        lower, upper = low, high
        while lower <= upper:
            while pool[lower] < pivot:
                lower += 1
            while pool[upper] > pivot:
                upper -= 1
            if lower <= upper:
                pool[lower], pool[upper] = pool[upper], pool[lower]
                lower += 1
                upper -= 1
        if n <= upper:
            high = upper
        elif n >= lower:
            low = lower
        else:
            return pool[n]
    return pool[n]


@compile_loop
def write_best(keys: Any, k: Any, ids: Any, scores: Any) -> None:
    """Write the k best of these keys into a row of ids and scores; the rest of the row keeps its padding."""
    sorted_keys = np.sort(keys)
    for rank in range(min(k, sorted_keys.shape[0])):
        ids[rank] = np.int32(sorted_keys[rank] & np.uint64(0xFFFFFFFF))
        scores[rank] = score_from_key(sorted_keys[rank])


@compile_loop
def drop_beaten(
    ids: Any, approx: Any, count: Any, k: Any, user: Any, items: Any, slack: Any, item_norms: Any, tiny: Any, room: Any
) -> Any:
    """Drop a user's kept pairs that k others surely beat. Returns how many remain, and the new floor.

    A pair's approximate score is within `slack * item_norms + tiny` of its canonical score. If more than `room` pairs
    remain under this bound, their canonical scores decide, and exactly k remain.
    """
    floors = np.empty(count)
    for position in range(count):
        floors[position] = approx[position] - (slack * item_norms[ids[position]] + tiny)
    floor = nth_smallest(floors, count - k)
    remaining = 0
    for position in range(count):
        if approx[position] + (slack * item_norms[ids[position]] + tiny) >= floor:
            ids[remaining] = ids[position]
            approx[remaining] = approx[position]
            remaining += 1
    if remaining <= room:
        return remaining, floor
    keys = np.empty(remaining, np.uint64)
    for position in range(remaining):
        keys[position] = sort_key(canonical_score(user, items[ids[position]]), ids[position])
    keys.sort()
    for position in range(k):
        ids[position] = np.int32(keys[position] & np.uint64(0xFFFFFFFF))
        approx[position] = score_from_key(keys[position])
    return k, np.float64(approx[k - 1])


# The promise that no score is NaN lets the compiler vectorise the maximum.
@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})  # type: ignore[untyped-decorator]
def largest_score(scores: Any) -> Any:
    """The largest of one or more scores, none of them NaN."""
    largest = scores[0]
    for position in range(1, scores.shape[0]):
        largest = max(largest, scores[position])
    return largest


@compile_loop
def first_floor(scores: Any, n: Any, piece_length: Any) -> Any:
    """A number that at least n scores reach. It is close to the n-th highest score if n is small.

    The scores are cut into pieces of `piece_length`. The n highest piece maxima are n different scores, so the n-th of
    them is such a number. If there are fewer than n pieces, the result is minus infinity.
    """
    pieces = scores.shape[0] // piece_length
    if n > pieces:
        return -np.inf
    piece_maxima = np.empty(pieces, np.float32)
    for piece in range(pieces):
        piece_maxima[piece] = largest_score(scores[piece * piece_length : (piece + 1) * piece_length])
    return np.float64(nth_smallest(piece_maxima, pieces - n))


@compile_loop
def keep_possible_pairs(
    block: Any, first: Any, k: Any, users: Any, items: Any, slacks: Any, item_norms: Any, tiny: Any, room: Any,
    seen_starts: Any, seen: Any, ids: Any, approx: Any, counts: Any, floors: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Keep every pair of a block of approximate scores that may still be among the user's k best.

    block (users, width) float32 holds the scores of the items first, first + 1, ...; only rows begin to end are
    processed. ids and approx (users, capacity), counts and floors (users,) hold the kept pairs of each user, and are
    updated.
    """
    width = block.shape[1]
    capacity = ids.shape[1]
    stride = 32
    longest = item_norms[first : first + width].max()
    for row in range(begin, end):
        scores = block[row]
        if floors[row] == -np.inf:
            seen_count = seen_starts[row + 1] - seen_starts[row]
            floors[row] = first_floor(scores, k + seen_count, 16) - (slacks[row] * longest + tiny)
        # Rounding the threshold to float32 must not raise it.
        threshold = floors[row] - (slacks[row] * longest + tiny)
        threshold32 = np.float32(threshold - abs(threshold) * 1e-6)
        for start in range(0, width, stride):
            stop = min(start + stride, width)
            if count_at_least(scores[start:stop], threshold32) == 0:
                continue
            for column in range(start, stop):
                if scores[column] < threshold32:
                    continue
                item = first + column
                if scores[column] + (slacks[row] * item_norms[item] + tiny) < floors[row]:
                    continue
                if contains(seen[seen_starts[row] : seen_starts[row + 1]], item):
                    continue
                slot = counts[row]
                ids[row, slot] = item
                approx[row, slot] = scores[column]
                counts[row] = slot + 1
                if slot + 1 == capacity:
                    remaining, floor = drop_beaten(
                        ids[row], approx[row], capacity, k, users[row], items, slacks[row], item_norms, tiny, room
                    )
                    counts[row] = remaining
                    floors[row] = max(floors[row], floor)
                    threshold = floors[row] - (slacks[row] * longest + tiny)
                    threshold32 = np.float32(threshold - abs(threshold) * 1e-6)


@compile_loop
def write_results(
    k: Any, users: Any, items: Any, slacks: Any, item_norms: Any, tiny: Any, ids: Any, approx: Any, counts: Any,
    best_ids: Any, best_scores: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Score the kept pairs of each user canonically, and write the k best."""
    for row in range(begin, end):
        count = counts[row]
        if count > k:
            count, _ = drop_beaten(
                ids[row], approx[row], count, k, users[row], items, slacks[row], item_norms, tiny, ids.shape[1]
            )
        keys = np.empty(count, np.uint64)
        for slot in range(count):
            keys[slot] = sort_key(canonical_score(users[row], items[ids[row, slot]]), ids[row, slot])
        write_best(keys, k, best_ids[row], best_scores[row])


@compile_loop
def write_best_canonical(
    k: Any, users: Any, items: Any, candidate_starts: Any, candidates: Any, has_candidates: Any,
    seen_starts: Any, seen: Any,
    best_ids: Any, best_scores: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Score all candidates of each user canonically (all items if not `has_candidates`), and write the k best."""
    keys = np.empty(2 * k, np.uint64)
    for row in range(begin, end):
        user_seen = seen[seen_starts[row] : seen_starts[row + 1]]
        user_items = candidates[candidate_starts[row] : candidate_starts[row + 1]] if has_candidates else candidates
        item_count = user_items.shape[0] if has_candidates else items.shape[0]
        worst_key = np.uint64(0xFFFFFFFFFFFFFFFF)
        count = 0
        for position in range(item_count):
            item = user_items[position] if has_candidates else position
            if (has_candidates and position > 0 and user_items[position - 1] == item) or contains(user_seen, item):
                continue
            key = sort_key(canonical_score(users[row], items[item]), item)
            if key > worst_key:
                continue
            keys[count] = key
            count += 1
            if count == 2 * k:
                keys.sort()
                count = k
                worst_key = keys[k - 1]
        write_best(keys[:count], k, best_ids[row], best_scores[row])


@compile_loop
def write_first_unseen(
    k: Any, rows: Any, item_count: Any, seen_starts: Any, seen: Any, best_ids: Any, best_scores: Any
) -> None:
    """Write the k best for users with zero vectors, whose scores are all zero: the first items they have not seen."""
    for row in rows:
        rank = 0
        for item in range(item_count):
            if rank == k:
                break
            if contains(seen[seen_starts[row] : seen_starts[row + 1]], item):
                continue
            best_ids[row, rank] = item
            best_scores[row, rank] = np.float32(0.0)
            rank += 1


@compile_loop
def write_best_of_rows(
    scores: Any, k: Any, seen_starts: Any, seen: Any, best_ids: Any, best_scores: Any, begin: Any, end: Any
) -> None:
    """Write the k best of each row of given scores. Minus infinity is never among them."""
    keys = np.empty(2 * k, np.uint64)
    for row in range(begin, end):
        user_seen = seen[seen_starts[row] : seen_starts[row + 1]]
        lowest = -np.inf
        count = 0
        for item in range(scores.shape[1]):
            score = scores[row, item]
            if score <= lowest or contains(user_seen, item):
                continue
            keys[count] = sort_key(score + np.float32(0.0), item)
            count += 1
            if count == 2 * k:
                keys.sort()
                count = k
                lowest = np.float64(score_from_key(keys[k - 1]))
        write_best(keys[:count], k, best_ids[row], best_scores[row])


@compile_loop
def count_better_and_tied(
    scores: Any, user: Any, items: Any, target: Any, slack: Any, item_norms: Any, tiny: Any, user_seen: Any
) -> Any:
    """How many items beat one user's target item, and how many have the same score, by canonical scores.

    `scores` are the approximate scores of all items for this user. Items that the user has seen are not counted.
    """
    target_score = canonical_score(user, items[target])
    better = 0
    ties = 0
    for item in range(scores.shape[0]):
        difference = np.float64(scores[item]) - np.float64(target_score)
        bound = slack * item_norms[item] + tiny
        # After an overflow the difference is infinity or NaN; then the canonical score decides.
        if difference < -bound and np.isfinite(difference):
            continue
        if item == target or contains(user_seen, item):
            continue
        if difference > bound and np.isfinite(difference):
            better += 1
            continue
        score = canonical_score(user, items[item])
        better += score > target_score
        ties += score == target_score
    return better, ties
