"""Compiled loops behind `top_k`: which pairs can still win, their canonical scores, and their order.

The canonical score of a pair is its inner product summed in float64 in one fixed order and rounded to float32, so it is
the same number whatever blocks, shards or threads reached it. A pair's place is held in one integer, its key: the score,
highest first, then the row index, lowest first.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compile_loop(loop: Loop) -> Loop:
    """Compile a loop to machine code once a machine; threads may run it side by side."""
    return cast(Loop, numba.njit(nogil=True, cache=True, error_model="numpy")(loop))


# Fusing a multiplication with an addition changes nothing here: the products are exact.
@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def canonical_score(u: Any, v: Any) -> Any:
    """The canonical score of a pair: float32 inner product of two float32 vectors.

    Products of float32 are exact in float64, so only the order of the additions matters; eight sums, taken in turn,
    fix it and still let the processor work on them side by side.
    """
    d = u.shape[0]
    whole = d - d % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for p in range(0, whole, 8):
        s0 += np.float64(u[p]) * np.float64(v[p])
        s1 += np.float64(u[p + 1]) * np.float64(v[p + 1])
        s2 += np.float64(u[p + 2]) * np.float64(v[p + 2])
        s3 += np.float64(u[p + 3]) * np.float64(v[p + 3])
        s4 += np.float64(u[p + 4]) * np.float64(v[p + 4])
        s5 += np.float64(u[p + 5]) * np.float64(v[p + 5])
        s6 += np.float64(u[p + 6]) * np.float64(v[p + 6])
        s7 += np.float64(u[p + 7]) * np.float64(v[p + 7])
    rest = 0.0
    for p in range(whole, d):
        rest += np.float64(u[p]) * np.float64(v[p])
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + rest
    # Adding zero turns -0.0 into 0.0: the two must tie.
    return np.float32(total) + np.float32(0.0)


@compile_loop
def sort_key(score: Any, index: Any) -> Any:
    """An integer that sorts by score, highest first, then by index, lowest first."""
    bits = np.uint64(np.float32(score).view(np.uint32))
    rising = np.uint64(0xFFFFFFFF) - bits if bits & np.uint64(0x80000000) else bits | np.uint64(0x80000000)
    return ((np.uint64(0xFFFFFFFF) - rising) << np.uint64(32)) | np.uint64(index)


@compile_loop
def score_from_key(key: Any) -> Any:
    """The score a key holds."""
    rising = np.uint64(0xFFFFFFFF) - (key >> np.uint64(32))
    bits = rising ^ np.uint64(0x80000000) if rising & np.uint64(0x80000000) else np.uint64(0xFFFFFFFF) - rising
    return np.uint32(bits).view(np.float32)


@compile_loop
def contains(sorted_indices: Any, index: Any) -> Any:
    """Whether a sorted array holds an index."""
    place = np.searchsorted(sorted_indices, index)
    return place < sorted_indices.shape[0] and sorted_indices[place] == index


@compile_loop
def count_at_least(scores: Any, low: Any) -> Any:
    """How many scores reach the bar; a loop this plain is vectorised (0.1 ns a score, against 1 ns where it is not)."""
    count = 0
    for place in range(scores.shape[0]):
        count += scores[place] >= low
    return count


@compile_loop
def nth_smallest(values: Any, n: Any) -> Any:
    """The number at place n (from 0) were the values sorted; they stay as they are.

    Hoare's selection. np.partition gives the same number, but takes six seconds to compile.
    """
    pool = values.copy()
    low, high = 0, pool.shape[0] - 1
    while low < high:
        first, middle, last = pool[low], pool[(low + high) // 2], pool[high]
        # The median of three: values in order already do not cost a square.
        pivot = max(min(first, middle), min(max(first, middle), last))
        left, right = low, high
        while left <= right:
            while pool[left] < pivot:
                left += 1
            while pool[right] > pivot:
                right -= 1
            if left <= right:
                pool[left], pool[right] = pool[right], pool[left]
                left += 1
                right -= 1
        if n <= right:
            high = right
        elif n >= left:
            low = left
        else:
            return pool[n]
    return pool[n]


@compile_loop
def write_best(keys: Any, k: Any, ids: Any, scores: Any) -> None:
    """Put the k best of these keys into a row of ids and scores; the rest of the row stays padded."""
    ordered = np.sort(keys)
    for place in range(min(k, ordered.shape[0])):
        ids[place] = np.int32(ordered[place] & np.uint64(0xFFFFFFFF))
        scores[place] = score_from_key(ordered[place])


@compile_loop
def drop_beaten(
    ids: Any, approx: Any, count: Any, k: Any, user: Any, items: Any, slack: Any, item_norms: Any, tiny: Any, room: Any
) -> Any:
    """Drop the held pairs that k others surely beat: how many are left, and a floor under the k-th canonical score.

    `slack * item_norms + tiny` bounds how far a pair's approximate score lies from its canonical one. Where that bound
    cannot tell more than `room` of them apart, their canonical scores do: exactly k are then left.
    """
    floors = np.empty(count)
    for place in range(count):
        floors[place] = approx[place] - (slack * item_norms[ids[place]] + tiny)
    floor = nth_smallest(floors, count - k)
    left = 0
    for place in range(count):
        if approx[place] + (slack * item_norms[ids[place]] + tiny) >= floor:
            ids[left] = ids[place]
            approx[left] = approx[place]
            left += 1
    if left <= room:
        return left, floor
    keys = np.empty(left, np.uint64)
    for place in range(left):
        keys[place] = sort_key(canonical_score(user, items[ids[place]]), ids[place])
    keys.sort()
    for place in range(k):
        ids[place] = np.int32(keys[place] & np.uint64(0xFFFFFFFF))
        approx[place] = score_from_key(keys[place])
    return k, np.float64(approx[k - 1])


# Without NaN the largest of a piece is found in vectors.
@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})  # type: ignore[untyped-decorator]
def largest_score(scores: Any) -> Any:
    """The largest of at least one score, none of them NaN."""
    found = scores[0]
    for place in range(1, scores.shape[0]):
        found = max(found, scores[place])
    return found


@compile_loop
def first_floor(scores: Any, n: Any, length: Any) -> Any:
    """A score that at least n of these reach, close to the n-th highest where n is small; minus infinity where n is too large.

    The largest of each piece of so many scores is a score of its own, so n pieces' largest are n scores.
    """
    pieces = scores.shape[0] // length
    if n > pieces:
        return -np.inf
    highest = np.empty(pieces, np.float32)
    for piece in range(pieces):
        highest[piece] = largest_score(scores[piece * length : (piece + 1) * length])
    return np.float64(nth_smallest(highest, pieces - n))


@compile_loop
def keep_possible_pairs(
    block: Any, first: Any, k: Any, users: Any, items: Any, slacks: Any, item_norms: Any, tiny: Any, room: Any,
    seen_from: Any, seen: Any, ids: Any, approx: Any, counts: Any, floors: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Hold every pair of a block of approximate scores that may still be among the person's k best.

    block (people, width) float32 are the scores of the works first, first + 1, ...; rows begin..end are looked at.
    ids, approx (people, capacity), counts and floors (people) are what each person holds, and are brought up to date.
    """
    width = block.shape[1]
    capacity = ids.shape[1]
    stride = 32
    longest = item_norms[first : first + width].max()
    for row in range(begin, end):
        scores = block[row]
        if floors[row] == -np.inf:
            seen_here = seen_from[row + 1] - seen_from[row]
            floors[row] = first_floor(scores, k + seen_here, 16) - (slacks[row] * longest + tiny)
        # Rounding the bar to float32 must not raise it.
        bar = floors[row] - (slacks[row] * longest + tiny)
        low = np.float32(bar - abs(bar) * 1e-6)
        for start in range(0, width, stride):
            stop = min(start + stride, width)
            if count_at_least(scores[start:stop], low) == 0:
                continue
            for place in range(start, stop):
                if scores[place] < low:
                    continue
                index = first + place
                if scores[place] + (slacks[row] * item_norms[index] + tiny) < floors[row]:
                    continue
                if contains(seen[seen_from[row] : seen_from[row + 1]], index):
                    continue
                held = counts[row]
                ids[row, held] = index
                approx[row, held] = scores[place]
                counts[row] = held + 1
                if held + 1 == capacity:
                    left, floor = drop_beaten(
                        ids[row], approx[row], capacity, k, users[row], items, slacks[row], item_norms, tiny, room
                    )
                    counts[row] = left
                    floors[row] = max(floors[row], floor)
                    bar = floors[row] - (slacks[row] * longest + tiny)
                    low = np.float32(bar - abs(bar) * 1e-6)


@compile_loop
def write_results(
    k: Any, users: Any, items: Any, slacks: Any, item_norms: Any, tiny: Any, ids: Any, approx: Any, counts: Any,
    best_ids: Any, best_scores: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Score what each person holds canonically and write the k best."""
    for row in range(begin, end):
        held = counts[row]
        if held > k:
            held, _ = drop_beaten(
                ids[row], approx[row], held, k, users[row], items, slacks[row], item_norms, tiny, ids.shape[1]
            )
        keys = np.empty(held, np.uint64)
        for place in range(held):
            keys[place] = sort_key(canonical_score(users[row], items[ids[row, place]]), ids[row, place])
        write_best(keys, k, best_ids[row], best_scores[row])


@compile_loop
def write_best_canonical(
    k: Any, users: Any, items: Any, listed_from: Any, listed: Any, lists: Any, seen_from: Any, seen: Any,
    best_ids: Any, best_scores: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """The k best of each person's listed works (of all works where `lists` is false), every pair scored canonically."""
    keys = np.empty(2 * k, np.uint64)
    for row in range(begin, end):
        unseen = seen[seen_from[row] : seen_from[row + 1]]
        mine = listed[listed_from[row] : listed_from[row + 1]] if lists else listed
        many = mine.shape[0] if lists else items.shape[0]
        worst = np.uint64(0xFFFFFFFFFFFFFFFF)
        held = 0
        for place in range(many):
            index = mine[place] if lists else place
            if (lists and place > 0 and mine[place - 1] == index) or contains(unseen, index):
                continue
            key = sort_key(canonical_score(users[row], items[index]), index)
            if key > worst:
                continue
            keys[held] = key
            held += 1
            if held == 2 * k:
                keys.sort()
                held = k
                worst = keys[k - 1]
        write_best(keys[:held], k, best_ids[row], best_scores[row])


@compile_loop
def write_first_unseen(
    k: Any, rows: Any, artworks: Any, seen_from: Any, seen: Any, best_ids: Any, best_scores: Any
) -> None:
    """The k best for people without a direction, whose scores are all zero: the first that they have not seen."""
    for row in rows:
        place = 0
        for index in range(artworks):
            if place == k:
                break
            if contains(seen[seen_from[row] : seen_from[row + 1]], index):
                continue
            best_ids[row, place] = index
            best_scores[row, place] = np.float32(0.0)
            place += 1


@compile_loop
def write_best_of_rows(
    scores: Any, k: Any, seen_from: Any, seen: Any, best_ids: Any, best_scores: Any, begin: Any, end: Any
) -> None:
    """The k best of each row of given scores, as they are; minus infinity is never among them."""
    keys = np.empty(2 * k, np.uint64)
    for row in range(begin, end):
        unseen = seen[seen_from[row] : seen_from[row + 1]]
        lowest = -np.inf
        held = 0
        for index in range(scores.shape[1]):
            score = scores[row, index]
            if score <= lowest or contains(unseen, index):
                continue
            keys[held] = sort_key(score + np.float32(0.0), index)
            held += 1
            if held == 2 * k:
                keys.sort()
                held = k
                lowest = np.float64(score_from_key(keys[k - 1]))
        write_best(keys[:held], k, best_ids[row], best_scores[row])


@compile_loop
def count_better_and_tied(
    scores: Any, user: Any, items: Any, target: Any, slack: Any, item_norms: Any, tiny: Any, unseen: Any
) -> Any:
    """How many works beat the target in one person's row of approximate scores, and how many tie, by canonical scores."""
    bar = canonical_score(user, items[target])
    better = 0
    ties = 0
    for index in range(scores.shape[0]):
        apart = np.float64(scores[index]) - np.float64(bar)
        reach = slack * item_norms[index] + tiny
        # Written so that an overflow (infinity, NaN) is settled canonically too.
        if apart < -reach and np.isfinite(apart):
            continue
        if index == target or contains(unseen, index):
            continue
        if apart > reach and np.isfinite(apart):
            better += 1
            continue
        score = canonical_score(user, items[index])
        better += score > bar
        ties += score == bar
    return better, ties
