"""Compiled loops that keep only the possible pairs, from products of int8 codes (see `int8_quantization.py`).

A user's kept pairs are positions (of items, in the order of their codes) with approximate scores. The floor is a score
that k items surely reach. A pair is kept if its approximate score plus its error bound reaches the threshold, which is
the floor or higher. A threshold above the floor is a guess from the items scanned so far. It saves most of the time. A
user whose threshold was too high is scored again.
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
from artrec_core.recs.topk.int8_quantization import ITEMS_IN_GROUP
from artrec_core.recs.topk.prefetch import prefetch_row

MIN_PRODUCT = -(2**31) + 1
MAX_PRODUCT = 2**31 - 1
ITEMS_IN_STEP = 16


@compile_loop
def largest_product(products: Any) -> Any:
    """The largest of some whole numbers. The loop is so simple that it is vectorised: 0.05 ns a number."""
    largest = products[0]
    for position in range(products.shape[0]):
        largest = max(largest, products[position])
    return largest


@compile_loop
def pair_error_bound(
    position: Any, user_length: Any, user_residue: Any, tail: Any, item_residues: Any, item_lengths: Any
) -> Any:
    """How far the approximate score at a position can be from the canonical score: |t p| |r| + |e| |v - m| + tail."""
    group = position // ITEMS_IN_GROUP
    return user_length * item_residues[group] + user_residue * item_lengths[group] + tail


@compile_loop
def drop_beaten(
    k: Any, user: Any, items: Any, order: Any, user_length: Any, user_residue: Any, tail: Any,
    item_residues: Any, item_lengths: Any, positions: Any, approx: Any, count: Any, room: Any,
) -> Any:  # fmt: skip
    """Drop a user's kept pairs that k others surely beat. Returns how many remain, and the new floor.

    If more than `room` pairs remain under the error bounds, their canonical scores decide, and exactly k remain.
    """
    floors = np.empty(count)
    for slot in range(count):
        floors[slot] = approx[slot] - pair_error_bound(
            positions[slot], user_length, user_residue, tail, item_residues, item_lengths
        )
    floor = nth_smallest(floors, count - k)
    remaining = 0
    for slot in range(count):
        if (
            approx[slot]
            + pair_error_bound(positions[slot], user_length, user_residue, tail, item_residues, item_lengths)
            >= floor
        ):
            positions[remaining] = positions[slot]
            approx[remaining] = approx[slot]
            remaining += 1
    if remaining <= room:
        return remaining, floor
    keys = np.empty(remaining, np.uint64)
    item_rows = np.empty(remaining, np.int64)
    for slot in range(remaining):
        item_row = order[positions[slot]]
        item_rows[slot] = item_row
        keys[slot] = sort_key(canonical_score(user, items[item_row]), item_row)
    best = np.argsort(keys)[:k]
    previous_positions = positions[:remaining].copy()
    for slot in range(k):
        positions[slot] = previous_positions[best[slot]]
        approx[slot] = score_from_key(keys[best[slot]])
    return k, np.float64(approx[k - 1])


@compile_loop
def keep_possible_pairs(
    products: Any, first: Any, k: Any, users: Any, items: Any, order: Any,
    item_scales: Any, item_residues: Any, item_lengths: Any,
    user_scales: Any, user_lengths: Any, user_residues: Any, shares: Any, tails: Any,
    seen_starts: Any, seen: Any, room: Any, positions: Any, approx: Any, counts: Any, floors: Any, thresholds: Any,
) -> None:  # fmt: skip
    """Keep every pair of a block of code products (users, width) int32 that reaches the user's threshold.

    The items of the block have the positions first, first + 1, ...; `first` is a multiple of the group size.
    """
    width = products.shape[1]
    capacity = positions.shape[1]
    for row in range(products.shape[0]):
        user_seen = seen[seen_starts[row] : seen_starts[row + 1]]
        user_length, user_residue, tail = user_lengths[row], user_residues[row], tails[row]
        inverse = 1.0 / user_scales[row]
        target = (thresholds[row] - shares[row] - tail) * inverse
        for start in range(0, width, ITEMS_IN_GROUP):
            group = (first + start) // ITEMS_IN_GROUP
            min_product = (
                target - (user_length * inverse) * item_residues[group] - (user_residue * inverse) * item_lengths[group]
            ) / item_scales[group]
            # One lower than the threshold: rounding in float64 changes the value by far less than one.
            min_product32 = np.int32(min(max(np.floor(min_product) - 1.0, MIN_PRODUCT), MAX_PRODUCT))
            stop = min(start + ITEMS_IN_GROUP, width)
            if largest_product(products[row, start:stop]) < min_product32:
                continue
            scale = user_scales[row] * item_scales[group]
            for step in range(start, stop, ITEMS_IN_STEP):
                step_stop = min(step + ITEMS_IN_STEP, stop)
                # In a group with a possible pair, most steps have none.
                if largest_product(products[row, step:step_stop]) < min_product32:
                    continue
                for column in range(step, step_stop):
                    if products[row, column] < min_product32:
                        continue
                    position = first + column
                    if user_seen.shape[0] > 0 and contains(user_seen, order[position]):
                        continue
                    slot = counts[row]
                    positions[row, slot] = position
                    approx[row, slot] = scale * np.float64(products[row, column]) + shares[row]
                    counts[row] = slot + 1
                    if slot + 1 == capacity:
                        counts[row], floor = drop_beaten(
                            k, users[row], items, order, user_length, user_residue, tail, item_residues, item_lengths,
                            positions[row], approx[row], capacity, room,
                        )  # fmt: skip
                        # This group keeps its old, lower threshold. The next group uses the new one.
                        floors[row] = max(floors[row], floor)
                        thresholds[row] = max(thresholds[row], floors[row])
                        target = (thresholds[row] - shares[row] - tail) * inverse


@compile_loop
def guess_first_thresholds(
    products: Any, rank: Any, item_scales: Any, user_scales: Any, shares: Any, step_maxima: Any, thresholds: Any
) -> None:
    """Guess thresholds from the first block, before any pair is kept.

    The threshold is the approximate score of the given rank among the best of each step. `step_maxima` is a buffer.
    """
    width = products.shape[1]
    steps = width // ITEMS_IN_STEP
    for row in range(products.shape[0]):
        for step in range(steps):
            start = step * ITEMS_IN_STEP
            step_maximum = largest_product(products[row, start : start + ITEMS_IN_STEP])
            step_maxima[step] = item_scales[start // ITEMS_IN_GROUP] * np.float64(step_maximum)
        thresholds[row] = user_scales[row] * nth_smallest(step_maxima[:steps], steps - rank) + shares[row]


@compile_loop
def raise_thresholds(rank: Any, approx: Any, counts: Any, thresholds: Any) -> None:
    """Raise each threshold to the approximate score of the given rank (1 is the best) among the user's kept pairs."""
    for row in range(counts.shape[0]):
        count = counts[row]
        if count >= rank:
            thresholds[row] = max(thresholds[row], nth_smallest(approx[row, :count], count - rank))


@compile_loop
def move_best_first(k: Any, positions: Any, approx: Any, counts: Any) -> None:
    """Move the k pairs of highest approximate score to the front of each user's kept pairs."""
    for row in range(counts.shape[0]):
        count = counts[row]
        if count <= k:
            continue
        kth_score = nth_smallest(approx[row, :count], count - k)
        front_count = 0
        for slot in range(count):
            if approx[row, slot] > kth_score:
                approx[row, front_count], approx[row, slot] = approx[row, slot], approx[row, front_count]
                positions[row, front_count], positions[row, slot] = positions[row, slot], positions[row, front_count]
                front_count += 1
        for slot in range(front_count, count):
            if front_count < k and approx[row, slot] == kth_score:
                approx[row, front_count], approx[row, slot] = approx[row, slot], approx[row, front_count]
                positions[row, front_count], positions[row, slot] = positions[row, slot], positions[row, front_count]
                front_count += 1


@compile_loop
def score_kept_pairs(users: Any, items: Any, order: Any, positions: Any, begins: Any, ends: Any, scores: Any) -> None:
    """Score the kept pairs from begins to ends (users,) canonically, item by item.

    In this order each item is read only once, from memory or disk, for all users that have kept it.
    """
    starts = np.zeros(items.shape[0] + 1, np.int64)
    for row in range(begins.shape[0]):
        for slot in range(begins[row], ends[row]):
            starts[order[positions[row, slot]] + 1] += 1
    starts = np.cumsum(starts)
    pairs = np.empty(starts[-1], np.int64)
    capacity = positions.shape[1]
    for row in range(begins.shape[0]):
        for slot in range(begins[row], ends[row]):
            item = order[positions[row, slot]]
            pairs[starts[item]] = row * capacity + slot
            starts[item] += 1
    last = pairs.shape[0] - 1
    for index in range(pairs.shape[0]):
        # A pair waits for memory, not for arithmetic: 270 ns a pair with these two prefetches, 460 ns without.
        next_pair = pairs[min(index + 2, last)]
        prefetch_row(users, next_pair // capacity)
        prefetch_row(items, order[positions[next_pair // capacity, next_pair % capacity]])
        row, slot = pairs[index] // capacity, pairs[index] % capacity
        scores[row, slot] = canonical_score(users[row], items[order[positions[row, slot]]])


@compile_loop
def drop_beaten_by_scored(
    k: Any, item_residues: Any, item_lengths: Any, user_lengths: Any, user_residues: Any, tails: Any,
    positions: Any, approx: Any, counts: Any, scores: Any,
) -> None:  # fmt: skip
    """Of the kept pairs after the first k, which already have scores, keep those that may beat the k-th of them."""
    for row in range(counts.shape[0]):
        if counts[row] <= k:
            continue
        floor = np.float64(scores[row, :k].min())
        remaining = k
        for slot in range(k, counts[row]):
            bound = pair_error_bound(
                positions[row, slot], user_lengths[row], user_residues[row], tails[row], item_residues, item_lengths
            )
            if approx[row, slot] + bound >= floor:
                positions[row, remaining] = positions[row, slot]
                remaining += 1
        counts[row] = remaining


@compile_loop
def write_results(
    k: Any,
    order: Any,
    positions: Any,
    scores: Any,
    counts: Any,
    thresholds: Any,
    best_ids: Any,
    best_scores: Any,
    is_threshold_too_high: Any,
) -> None:
    """Write the k best of the kept pairs.

    Where the threshold was above the k-th best score, `is_threshold_too_high` becomes true, and the threshold is
    lowered to that score.
    """
    for row in range(counts.shape[0]):
        keys = np.empty(counts[row], np.uint64)
        for slot in range(counts[row]):
            keys[slot] = sort_key(scores[row, slot], order[positions[row, slot]])
        write_best(keys, k, best_ids[row], best_scores[row])
        kth_score = np.float64(best_scores[row, k - 1]) if counts[row] >= k else -np.inf
        if thresholds[row] > kth_score:
            is_threshold_too_high[row] = True
            thresholds[row] = kth_score
