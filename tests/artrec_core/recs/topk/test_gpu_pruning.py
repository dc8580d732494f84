"""Pruning: bounds hold for products in float64, and no pair that is among a user's k best is dropped."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.topk import gpu_engine
from artrec_core.recs.topk.gpu_pruning import (
    Bounds,
    find_pairs_by_torch,
    full_precision,
    merge_bounds,
    select_floors,
    tile_spans,
)
from artrec_core.recs.topk.gpu_rounding import RoundedVectors, length_scales, round_vectors
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors

CPU = torch.device("cpu")


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS), dim=st.integers(1, 100), dtype=st.sampled_from([torch.bfloat16, torch.float16]), seed=st.integers(0, 2**20)
)  # fmt: skip
def test_rounded_products_stay_within_the_bound(kind: str, dim: int, dtype: torch.dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = torch.from_numpy(vectors(kind, 20, dim, rng)), torch.from_numpy(vectors(kind, 50, dim, rng))
    scale = length_scales(items.double().norm(dim=1).max())
    rounded_users, rounded_items = (
        round_vectors(users, dim, dtype),
        round_vectors(items, dim, dtype, scales=scale.expand(50)),
    )
    exact_products = (users.double() * rounded_users.scales[:, None]) @ (items.double() * scale).T
    bound = Bounds.of(rounded_users, float(scale), dim).at(
        rounded_items.lengths[None].float(), rounded_items.lost[None].float()
    )
    assert ((rounded_users.values.float() @ rounded_items.values.float().T - exact_products).abs() <= bound).all()


def test_bounds_grow_with_the_length_and_the_loss_of_an_item() -> None:
    one = torch.ones(1, dtype=torch.float64)
    exact = RoundedVectors(torch.ones(1, 4), one, 0 * one, one)
    coarse = RoundedVectors(torch.ones(1, 4), one, 0.1 * one, one)
    zero, length, loss = torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([0.5])
    for users, user_loss in ((exact, 0.0), (coarse, 0.1)):
        bounds = Bounds.of(users, 1.0, 4)
        # |u - u'| |v| + |u'| |v - v'|, and a little for sums in float32.
        assert bounds.at(length, zero).item() == pytest.approx(user_loss, abs=2e-5)
        assert bounds.at(length, loss).item() == pytest.approx(user_loss + (1 + user_loss) * 0.5, abs=2e-5)
        assert 0 < bounds.at(zero, zero).item() < 1e-35


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind != "huge"]), item_count=st.integers(1, 200), dim=st.integers(1, 30), k=st.integers(1, 12),
    items_in_tile=st.sampled_from([7, 64, 8192]), dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_no_pair_of_the_k_best_is_dropped(
    kind: str, item_count: int, dim: int, k: int, items_in_tile: int, dtype: torch.dtype, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, 5, dim, rng), vectors(kind, item_count, dim, rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_engine, "ITEMS_WITHOUT_KERNEL", items_in_tile)
        device_items = gpu_engine.prepare_items(items, CPU, dtype=dtype)
    rounded = round_vectors(torch.from_numpy(users), device_items.rounded.shape[1], dtype)
    ranks = torch.full((5,), k)
    pairs = find_pairs_by_torch(rounded.values, Bounds.of(rounded, device_items.scale, dim), device_items, ranks, 10**6)
    assert pairs.is_complete.all()
    best_ids, _ = brute(users, items, k)
    possible = set(zip(pairs.rows.tolist(), pairs.ids.tolist(), strict=True))
    assert len(possible) == len(pairs.rows)
    assert {(user, item) for user in range(5) for item in best_ids[user].tolist() if item >= 0} <= possible


def test_clearly_beaten_pairs_are_dropped_whichever_tile_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_engine, "ITEMS_WITHOUT_KERNEL", 2)
    # All items have the same length. Item 4 has the highest score and item 1 the next.
    items = np.array([[0.6, 0.8], [0.8, -0.6], [-1, 0], [0, 1], [1, 0], [0, -1]], np.float32)
    device_items = gpu_engine.prepare_items(items, CPU, dtype=torch.float16)
    rounded = round_vectors(torch.tensor([[1.0, 0.0]]), 2, torch.float16)
    bounds = Bounds.of(rounded, device_items.scale, 2)
    for k, expected in ((1, {4}), (2, {1, 4}), (9, {0, 1, 2, 3, 4, 5})):
        pairs = find_pairs_by_torch(rounded.values, bounds, device_items, torch.tensor([k]), 100)
        assert set(pairs.ids.tolist()) == expected


def test_the_best_item_is_kept_even_if_rounding_puts_another_before_it() -> None:
    # In bfloat16 the first item becomes (1.0078, 1.0078) and the second (1.0, 1.0078).
    items = np.array([[1.004, 1.004], [1.0, 1.0116]], np.float32)
    device_items = gpu_engine.prepare_items(items, CPU, dtype=torch.bfloat16)
    user = torch.ones(1, 2)
    rounded = round_vectors(user, 2, torch.bfloat16)
    rounded_scores = (rounded.values.float() @ device_items.rounded.float().T)[0, device_items.order.argsort()]
    assert rounded_scores[0] > rounded_scores[1]
    assert brute(user.numpy(), items, 1)[0].tolist() == [[1]]
    bounds = Bounds.of(rounded, device_items.scale, 2)
    pairs = find_pairs_by_torch(rounded.values, bounds, device_items, torch.tensor([1]), 10)
    assert sorted(pairs.ids.tolist()) == [0, 1]


def test_a_user_with_too_many_pairs_is_not_complete_and_has_no_pairs() -> None:
    items = gpu_engine.prepare_items(np.ones((50, 4), np.float32), CPU)
    rounded = round_vectors(torch.ones(1, 4), 4, torch.float32)
    pairs = find_pairs_by_torch(rounded.values, Bounds.of(rounded, items.scale, 4), items, torch.tensor([3]), 49)
    assert not pairs.is_complete.any()
    assert len(pairs.rows) == len(pairs.ids) == 0


def test_a_floor_is_the_lower_bound_that_enough_items_reach() -> None:
    best = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert select_floors(best, torch.tensor([2, 4])).tolist() == [2.0, -np.inf]


def test_the_highest_bounds_of_both_tensors_are_sorted() -> None:
    best, lows = torch.tensor([[5.0, 1.0]]), torch.tensor([[4.0, 6.0, 0.0]])
    assert merge_bounds(best, lows, 3).tolist() == [[6.0, 5.0, 4.0]]
    assert merge_bounds(best[:, :0], lows, 9).tolist() == [[6.0, 4.0, 0.0]]


@pytest.mark.parametrize("tiles", [1, 5, 7, 64, 1000, 7813])
def test_spans_cover_every_tile_once(tiles: int) -> None:
    spans = tile_spans(tiles, 128, 16_384)
    assert [begin for begin, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == tiles
    assert all(begin < end for begin, end in spans)


def test_a_short_last_span_is_joined_to_the_one_before() -> None:
    # The first span covers 4 x 32 items, which are two tiles of 64; the next ends four times as far.
    assert tile_spans(12, 64, 32) == [(0, 2), (2, 8), (8, 12)]
    assert tile_spans(11, 64, 32) == [(0, 2), (2, 11)]
    assert tile_spans(1, 64, 32) == [(0, 1)]


def test_settings_of_torch_are_restored_even_after_an_error() -> None:
    def fail() -> None:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
            raise RuntimeError("stop")

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(RuntimeError, match="stop"):
            fail()
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
    finally:
        torch.set_float32_matmul_precision(before)
