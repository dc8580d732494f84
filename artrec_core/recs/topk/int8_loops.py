"""Compiled loops that keep, from products of codes (see `codes.py`), only the pairs that may still be among the k best.

A person holds places (of works, in the order of their codes) with approximate scores. The floor is a score that k works
surely reach; the bar, at or above it, is what a pair has to reach to be held. A bar above the floor is a guess from the works
seen so far: it saves most of the work, and who turns out to have been guessed too high is scored again.
"""

from typing import Any

import numpy as np

from artrec_core.recs.topk.float32_loops import (
    canonical_score,
    compile_loop,
    contains,
    nth_smallest,
    score_from_key,
    sort_key,
    write_best,
)
from artrec_core.recs.topk.int8_quantization import WORKS_IN_GROUP
from artrec_core.recs.topk.prefetch import expect_row

LOWEST = -(2**31) + 1
HIGHEST = 2**31 - 1
WORKS_IN_STEP = 16


@compile_loop
def largest_of(products: Any) -> Any:
    """The largest of some whole numbers; plain, so that it is vectorised (0.05 ns a number)."""
    largest = products[0]
    for place in range(products.shape[0]):
        largest = max(largest, products[place])
    return largest


@compile_loop
def reach_of(place: Any, length: Any, residue: Any, tail: Any, residues: Any, lengths: Any) -> Any:
    """How far the approximate score at a place can lie from the canonical one: |t p| |r| + |e| |v - m| + tail."""
    group = place // WORKS_IN_GROUP
    return length * residues[group] + residue * lengths[group] + tail


@compile_loop
def drop_beaten(
    k: Any, user: Any, items: Any, order: Any, length: Any, residue: Any, tail: Any, residues: Any, lengths: Any,
    places: Any, approx: Any, count: Any, room: Any,
) -> Any:  # fmt: skip
    """Drop the held pairs that k others surely beat: how many are left, and a floor under the k-th canonical score.

    Where the bounds cannot tell more than `room` of them apart, canonical scores do: exactly k are then left.
    """
    sure = np.empty(count)
    for held in range(count):
        sure[held] = approx[held] - reach_of(places[held], length, residue, tail, residues, lengths)
    floor = nth_smallest(sure, count - k)
    left = 0
    for held in range(count):
        if approx[held] + reach_of(places[held], length, residue, tail, residues, lengths) >= floor:
            places[left] = places[held]
            approx[left] = approx[held]
            left += 1
    if left <= room:
        return left, floor
    keys = np.empty(left, np.uint64)
    rows = np.empty(left, np.int64)
    for held in range(left):
        row = order[places[held]]
        rows[held] = row
        keys[held] = sort_key(canonical_score(user, items[row]), row)
    best = np.argsort(keys)[:k]
    kept = places[:left].copy()
    for held in range(k):
        places[held] = kept[best[held]]
        approx[held] = score_from_key(keys[best[held]])
    return k, np.float64(approx[k - 1])


@compile_loop
def keep_reaching(
    products: Any, first: Any, k: Any, users: Any, items: Any, order: Any, work_scales: Any, residues: Any, lengths: Any,
    scales: Any, user_lengths: Any, user_residues: Any, shares: Any, tails: Any, seen_from: Any, seen: Any, room: Any,
    places: Any, approx: Any, counts: Any, floors: Any, bars: Any,
) -> None:  # fmt: skip
    """Hold every pair of a block of code products (people, width) int32 that reaches the person's bar.

    The block's works stand at the places first, first + 1, ...; `first` is a whole number of groups.
    """
    width = products.shape[1]
    capacity = places.shape[1]
    for row in range(products.shape[0]):
        mine = seen[seen_from[row] : seen_from[row + 1]]
        length, residue, tail = user_lengths[row], user_residues[row], tails[row]
        inverse = 1.0 / scales[row]
        target = (bars[row] - shares[row] - tail) * inverse
        for start in range(0, width, WORKS_IN_GROUP):
            group = (first + start) // WORKS_IN_GROUP
            least = (
                target - (length * inverse) * residues[group] - (residue * inverse) * lengths[group]
            ) / work_scales[group]
            # One lower than the bar: what float64 rounds off here is far less than one.
            low = np.int32(min(max(np.floor(least) - 1.0, LOWEST), HIGHEST))
            stop = min(start + WORKS_IN_GROUP, width)
            if largest_of(products[row, start:stop]) < low:
                continue
            scale = scales[row] * work_scales[group]
            for step in range(start, stop, WORKS_IN_STEP):
                step_end = min(step + WORKS_IN_STEP, stop)
                # Most steps of a group that holds a contender hold none.
                if largest_of(products[row, step:step_end]) < low:
                    continue
                for column in range(step, step_end):
                    if products[row, column] < low:
                        continue
                    place = first + column
                    if mine.shape[0] > 0 and contains(mine, order[place]):
                        continue
                    held = counts[row]
                    places[row, held] = place
                    approx[row, held] = scale * np.float64(products[row, column]) + shares[row]
                    counts[row] = held + 1
                    if held + 1 == capacity:
                        counts[row], floor = drop_beaten(
                            k, users[row], items, order, length, residue, tail, residues, lengths,
                            places[row], approx[row], capacity, room,
                        )  # fmt: skip
                        # This group keeps its old bar, which is lower: the next has the new one.
                        floors[row] = max(floors[row], floor)
                        bars[row] = max(bars[row], floors[row])
                        target = (bars[row] - shares[row] - tail) * inverse


@compile_loop
def first_bars(products: Any, rank: Any, work_scales: Any, scales: Any, shares: Any, tops: Any, bars: Any) -> None:
    """Guess bars from the first block before anything is held: the best of each step, and of these the one of that rank."""
    width = products.shape[1]
    steps = width // WORKS_IN_STEP
    for row in range(products.shape[0]):
        for step in range(steps):
            start = step * WORKS_IN_STEP
            best = largest_of(products[row, start : start + WORKS_IN_STEP])
            tops[step] = work_scales[start // WORKS_IN_GROUP] * np.float64(best)
        bars[row] = scales[row] * nth_smallest(tops[:steps], steps - rank) + shares[row]


@compile_loop
def guess_bars(rank: Any, approx: Any, counts: Any, bars: Any) -> None:
    """Raise each bar to the approximate score of the given rank (1 is the best) among what is held."""
    for row in range(counts.shape[0]):
        held = counts[row]
        if held >= rank:
            bars[row] = max(bars[row], nth_smallest(approx[row, :held], held - rank))


@compile_loop
def likeliest_first(k: Any, places: Any, approx: Any, counts: Any) -> None:
    """Put the k of highest approximate score first in what each person holds."""
    for row in range(counts.shape[0]):
        held = counts[row]
        if held <= k:
            continue
        cut = nth_smallest(approx[row, :held], held - k)
        front = 0
        for turn in range(held):
            if approx[row, turn] > cut:
                approx[row, front], approx[row, turn] = approx[row, turn], approx[row, front]
                places[row, front], places[row, turn] = places[row, turn], places[row, front]
                front += 1
        for turn in range(front, held):
            if front < k and approx[row, turn] == cut:
                approx[row, front], approx[row, turn] = approx[row, turn], approx[row, front]
                places[row, front], places[row, turn] = places[row, turn], places[row, front]
                front += 1


@compile_loop
def score_held(users: Any, items: Any, order: Any, places: Any, froms: Any, untils: Any, scores: Any) -> None:
    """Canonical scores of what is held from froms to untils (people,), artwork by artwork.

    In the order of the artworks each is read once, from memory or disk, for all who hold it.
    """
    starts = np.zeros(items.shape[0] + 1, np.int64)
    for row in range(froms.shape[0]):
        for held in range(froms[row], untils[row]):
            starts[order[places[row, held]] + 1] += 1
    starts = np.cumsum(starts)
    pairs = np.empty(starts[-1], np.int64)
    capacity = places.shape[1]
    for row in range(froms.shape[0]):
        for held in range(froms[row], untils[row]):
            artwork = order[places[row, held]]
            pairs[starts[artwork]] = row * capacity + held
            starts[artwork] += 1
    last = pairs.shape[0] - 1
    for turn in range(pairs.shape[0]):
        # Memory, not arithmetic, is what a pair waits for: 270 ns with these two lines, 460 without.
        later = pairs[min(turn + 2, last)]
        expect_row(users, later // capacity)
        expect_row(items, order[places[later // capacity, later % capacity]])
        row, held = pairs[turn] // capacity, pairs[turn] % capacity
        scores[row, held] = canonical_score(users[row], items[order[places[row, held]]])


@compile_loop
def still_in_reach(
    k: Any, residues: Any, lengths: Any, user_lengths: Any, user_residues: Any, tails: Any,
    places: Any, approx: Any, counts: Any, scores: Any,
) -> None:  # fmt: skip
    """Of what is held beyond the first k, which are scored, keep what may beat the k-th of these."""
    for row in range(counts.shape[0]):
        if counts[row] <= k:
            continue
        floor = np.float64(scores[row, :k].min())
        left = k
        for held in range(k, counts[row]):
            reach = reach_of(places[row, held], user_lengths[row], user_residues[row], tails[row], residues, lengths)
            if approx[row, held] + reach >= floor:
                places[row, left] = places[row, held]
                left += 1
        counts[row] = left


@compile_loop
def write_held(
    k: Any, order: Any, places: Any, scores: Any, counts: Any, bars: Any, best_ids: Any, best_scores: Any, missed: Any
) -> None:
    """Write the k best of what is held; `missed` where the bar was above the k-th of them, and the bar is set to that."""
    for row in range(counts.shape[0]):
        keys = np.empty(counts[row], np.uint64)
        for held in range(counts[row]):
            keys[held] = sort_key(scores[row, held], order[places[row, held]])
        write_best(keys, k, best_ids[row], best_scores[row])
        sure = np.float64(best_scores[row, k - 1]) if counts[row] >= k else -np.inf
        if bars[row] > sure:
            missed[row] = True
            bars[row] = sure
