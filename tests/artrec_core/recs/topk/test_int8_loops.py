"""The loops that keep possible pairs: no pair that is among a user's k best is ever dropped."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.topk.arrays import run_in_threads
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.int8_loops import (
    drop_beaten,
    drop_beaten_by_scored,
    guess_first_thresholds,
    keep_possible_pairs,
    largest_product,
    move_best_first,
    pair_error_bound,
    raise_thresholds,
    score_kept_pairs,
    write_results,
)
from artrec_core.recs.topk.int8_quantization import quantize_items, quantize_users, shared_basis
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors


@dataclass
class CodedWorld:
    """Users and items, their codes, and the kept pairs that the loops fill."""

    users: np.ndarray
    items: np.ndarray
    quantized_users: Any
    quantized_items: Any
    positions: np.ndarray
    approx: np.ndarray
    counts: np.ndarray
    floors: np.ndarray
    thresholds: np.ndarray

    @property
    def item_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.quantized_items.residues, self.quantized_items.lengths

    def products(self) -> np.ndarray:
        return self.quantized_users.codes.astype(np.int32) @ self.quantized_items.codes.astype(np.int32).T

    def keep(self, k: int, room: int, seen: list[list[int]] | None = None) -> None:
        """Keep the possible pairs of all items, in one block."""
        rows = seen or [[] for _ in self.users]
        starts = np.cumsum([0, *(len(row) for row in rows)])
        seen_items = np.array([item for row in rows for item in row], np.int32)
        coded_users = self.quantized_users
        keep_possible_pairs(
            self.products(), 0, k, self.users, self.items, self.quantized_items.order, self.quantized_items.scales,
            *self.item_bounds, coded_users.scales, coded_users.lengths, coded_users.residues, coded_users.shares,
            coded_users.tails, starts, seen_items, room, self.positions, self.approx, self.counts, self.floors, self.thresholds,
        )  # fmt: skip

    def kept_items(self, user: int) -> list[int]:
        return sorted(self.quantized_items.order[self.positions[user, : self.counts[user]]].tolist())


def coded_world(users: np.ndarray, items: np.ndarray, capacity: int) -> CodedWorld:
    norms = [np.linalg.norm(side.astype(np.float64), axis=1) for side in (users, items)]
    quantized_items = quantize_items(
        items, shared_basis(users, items), 256, lambda loop, rows: run_in_threads(loop, rows, 1)
    )
    quantized_users = quantize_users(users, norms[0], norms[1].max(), quantized_items)
    shape = (len(users), capacity)
    return CodedWorld(
        users, items, quantized_users, quantized_items, np.empty(shape, np.int32), np.empty(shape),
        np.zeros(len(users), np.int64), np.full(len(users), -np.inf), np.full(len(users), -np.inf),
    )  # fmt: skip


def test_the_largest_product() -> None:
    assert largest_product(np.array([-5, -7], np.int32)) == -5
    assert largest_product(np.array([-5, 8, 3], np.int32)) == 8


def test_the_error_bound_is_that_of_the_position_s_group() -> None:
    residues, lengths = np.array([1.0, 2.0]), np.array([10.0, 20.0])
    assert [pair_error_bound(position, 3.0, 0.5, 0.25, residues, lengths) for position in (0, 127, 128)] == [
        3 * 1 + 0.5 * 10 + 0.25,
        3 * 1 + 0.5 * 10 + 0.25,
        3 * 2 + 0.5 * 20 + 0.25,
    ]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind != "huge"]), item_count=st.integers(1, 500), dim=st.integers(1, 20),
    k=st.integers(1, 8), room=st.integers(0, 8), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_the_best_pairs_are_kept_and_seen_items_are_not(
    kind: str, item_count: int, dim: int, k: int, room: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, 4, dim, rng), vectors(kind, item_count, dim, rng)
    k = min(k, item_count)
    seen = [sorted(rng.permutation(item_count)[: rng.integers(0, 4)].tolist()) for _ in users]
    # With so little capacity, beaten pairs are dropped again and again.
    world = coded_world(users, items, capacity=k + room + 2)
    world.keep(k, k + room, seen)
    for user in range(4):
        scores = np.array([canonical_score(users[user], item) for item in items])
        unseen = np.setdiff1d(np.arange(item_count), seen[user])
        best = sorted(unseen.tolist(), key=lambda item: (-scores[item], item))[:k]
        kept = world.kept_items(user)
        assert not set(kept) & set(seen[user])
        # Of items with the k-th best score, any may be kept in the place of another with a lower row.
        if len(best) == k:
            assert sum(scores[item] >= scores[best[-1]] for item in kept) >= k
            assert {item for item in best if scores[item] > scores[best[-1]]} <= set(kept)
            assert world.floors[user] <= scores[best[-1]]
        else:
            assert set(best) <= set(kept)


def test_dropping_keeps_what_the_bounds_cannot_decide() -> None:
    # With an error bound of 1, only 4.0 and 3.5 may be the best; with a bound of 0, only 4.0.
    for residue, expected in ((1.0, [0, 1]), (0.0, [0])):
        positions, approx = np.arange(4, dtype=np.int32), np.array([4.0, 3.5, 1.0, 0.0])
        remaining, floor = drop_beaten(
            1, np.ones(1, np.float32), np.ones((4, 1), np.float32), np.arange(4, dtype=np.int32),
            1.0, 0.0, 0.0, np.array([residue]), np.zeros(1), positions, approx, 4, 3,
        )  # fmt: skip
        assert positions[:remaining].tolist() == expected
        assert floor == 4.0 - residue


def test_more_pairs_than_room_are_decided_by_canonical_scores() -> None:
    items = np.array([[1], [5], [3], [5]], np.float32)
    positions, approx = np.arange(4, dtype=np.int32), np.zeros(4)
    remaining, floor = drop_beaten(
        2, np.ones(1, np.float32), items, np.arange(4, dtype=np.int32),
        1.0, 0.0, 0.0, np.array([9.0]), np.zeros(1), positions, approx, 4, 3,
    )  # fmt: skip
    assert positions[:remaining].tolist() == [1, 3]
    assert approx[:remaining].tolist() == [5.0, 5.0]
    assert floor == 5.0


def test_a_first_threshold_is_the_best_of_a_step() -> None:
    # Four steps of 16 items; the best products are 9, 8, 7 and 6.
    products = np.zeros((1, 64), np.int32)
    products[0, [3, 20, 40, 63]] = [9, 8, 7, 6]
    thresholds = np.full(1, -np.inf)
    guess_first_thresholds(products, 2, np.array([0.5]), np.array([4.0]), np.array([1.0]), np.empty(4), thresholds)
    assert thresholds.tolist() == [4.0 * 0.5 * 8 + 1.0]


def test_thresholds_rise_to_the_given_rank_and_never_fall() -> None:
    approx = np.array([[1.0, 5.0, 3.0], [1.0, 5.0, 3.0], [9.0, 0.0, 0.0]])
    thresholds = np.array([0.0, 4.0, 2.0])
    raise_thresholds(2, approx, np.array([3, 3, 1]), thresholds)
    assert thresholds.tolist() == [3.0, 4.0, 2.0]


@settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.integers(-3, 3), max_size=12), k=st.integers(1, 5))
def test_the_best_move_first_with_their_positions(scores: list[int], k: int) -> None:
    approx, positions = np.array([scores], float), np.arange(len(scores), dtype=np.int32)[None].copy()
    move_best_first(k, positions, approx, np.array([len(scores)]))
    assert sorted(approx[0, :k].tolist(), reverse=True) == [float(score) for score in sorted(scores, reverse=True)[:k]]
    assert sorted(positions[0].tolist()) == list(range(len(scores)))
    assert [scores[position] for position in positions[0]] == approx[0].tolist()


def test_kept_pairs_are_scored_canonically_between_begins_and_ends() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((3, 19)).astype(np.float32), rng.standard_normal((5, 19)).astype(np.float32)
    order = np.array([4, 2, 0, 1, 3], np.int32)
    positions = np.array([[0, 1, 2], [2, 2, 4], [3, 0, 1]], np.int32)
    scores = np.full((3, 3), np.nan, np.float32)
    score_kept_pairs(users, items, order, positions, np.array([0, 1, 0]), np.array([2, 3, 0]), scores)
    for row in range(3):
        for slot in range(3):
            is_scored = (row, slot) in {(0, 0), (0, 1), (1, 1), (1, 2)}
            expected = canonical_score(users[row], items[order[positions[row, slot]]]) if is_scored else np.nan
            np.testing.assert_equal(scores[row, slot], np.float32(expected))


def test_pairs_that_may_beat_the_scored_ones_remain() -> None:
    # The first two pairs have scores 5 and 4. With a bound of 1, an approximate score of 3 may be 4; 2.9 may not.
    positions, approx = np.array([[0, 1, 2, 3]], np.int32), np.array([[0.0, 0.0, 2.9, 3.0]])
    counts = np.array([4])
    arguments = (np.array([1.0]), np.zeros(1), np.ones(1), np.zeros(1), np.zeros(1))
    drop_beaten_by_scored(2, *arguments, positions, approx, counts, np.array([[5, 4, 0, 0]], np.float32))
    assert counts.tolist() == [3]
    assert positions[0, :3].tolist() == [0, 1, 3]


@pytest.mark.parametrize(("threshold", "is_too_high"), [(3.0, False), (3.5, True)])
def test_a_threshold_above_the_kth_score_is_reported_and_lowered(threshold: float, is_too_high: bool) -> None:
    order, positions = np.array([2, 0, 1], np.int32), np.array([[0, 1, 2]], np.int32)
    ids, scores = np.full((1, 2), -1, np.int32), np.full((1, 2), -np.inf, np.float32)
    thresholds, flags = np.array([threshold]), np.zeros(1, bool)
    pair_scores = np.array([[3, 4, 3]], np.float32)
    write_results(2, order, positions, pair_scores, np.array([3]), thresholds, ids, scores, flags)
    # Items 1 and 2 tie; the lower row comes first.
    assert ids.tolist() == [[0, 1]]
    assert scores.tolist() == [[4, 3]]
    assert flags.tolist() == [is_too_high]
    assert thresholds.tolist() == [3.0]


def test_too_few_kept_pairs_are_a_threshold_too_high() -> None:
    ids, scores = np.full((1, 2), -1, np.int32), np.full((1, 2), -np.inf, np.float32)
    thresholds, flags = np.array([0.0]), np.zeros(1, bool)
    write_results(
        2, np.zeros(1, np.int32), np.zeros((1, 1), np.int32), np.array([[7]], np.float32), np.array([1]),
        thresholds, ids, scores, flags,
    )  # fmt: skip
    assert ids.tolist() == [[0, -1]]
    assert flags.tolist() == [True]
    assert thresholds.tolist() == [-np.inf]


def test_all_loops_together_equal_brute_force() -> None:
    rng = np.random.default_rng(3)
    users, items = vectors("clustered", 6, 12, rng), vectors("clustered", 400, 12, rng)
    world = coded_world(users, items, capacity=40)
    world.keep(5, 20)
    pair_scores = np.empty(world.positions.shape, np.float32)
    score_kept_pairs(
        users, items, world.quantized_items.order, world.positions, np.zeros_like(world.counts), world.counts, pair_scores
    )  # fmt: skip
    ids, scores = np.full((6, 5), -1, np.int32), np.full((6, 5), -np.inf, np.float32)
    flags = np.zeros(6, bool)
    write_results(
        5, world.quantized_items.order, world.positions, pair_scores, world.counts, world.thresholds, ids, scores, flags
    )
    expected_ids, expected_scores = brute(users, items, 5)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)
