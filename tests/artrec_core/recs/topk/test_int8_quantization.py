"""Codes: every product of codes is within its bound of the true score, whatever the vectors."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.topk.arrays import run_in_threads
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.int8_quantization import (
    ITEMS_IN_GROUP,
    LARGEST_CODE,
    Basis,
    deal_groups,
    quantize_items,
    quantize_users,
    shared_basis,
    write_squared_lengths,
    zero_codes,
)
from tests.artrec_core.recs.hard_vectors import KINDS, vectors


def run_loop(loop: Callable[[int, int], None], rows: int) -> None:
    run_in_threads(loop, rows, 1)


def norms(side: np.ndarray) -> np.ndarray:
    return np.linalg.norm(side.astype(np.float64), axis=1)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind != "huge"]),
    dim=st.integers(1, 200),
    seed=st.integers(0, 2**20),
)
def test_scores_stay_within_the_bound(kind: str, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, 9, dim, rng), vectors(kind, 300, dim, rng)
    quantized_items = quantize_items(items, shared_basis(users, items), 256, run_loop)
    quantized_users = quantize_users(users, norms(users), norms(items).max(), quantized_items)
    group = np.arange(300) // ITEMS_IN_GROUP
    products = quantized_users.codes.astype(np.int64) @ quantized_items.codes.astype(np.int64).T
    approx = (
        quantized_users.scales[:, None] * quantized_items.scales[group] * products + quantized_users.shares[:, None]
    )
    bounds = np.outer(quantized_users.lengths, quantized_items.residues[group]) + np.outer(
        quantized_users.residues, quantized_items.lengths[group]
    )
    canonical_scores = np.array([[canonical_score(user, item) for item in items] for user in users], np.float32)
    differences = np.abs(approx - canonical_scores[:, quantized_items.order])
    assert (differences <= bounds + quantized_users.tails[:, None]).all()
    assert sorted(quantized_items.order.tolist()) == list(range(300))


@settings(max_examples=50, deadline=None)
@given(kind=st.sampled_from(KINDS), item_count=st.integers(1, 400), dim=st.integers(1, 40), seed=st.integers(0, 2**20))
def test_scales_residues_and_lengths_are_those_of_the_codes(kind: str, item_count: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    items, basis = vectors(kind, item_count, dim, rng), Basis(rng.standard_normal(dim), 2.0 ** rng.integers(-2, 3, dim))
    quantized = quantize_items(items, basis, 256, run_loop)
    shifted = (items[quantized.order].astype(np.float64) - basis.shift) * basis.gains
    group = np.arange(item_count) // ITEMS_IN_GROUP
    residues = np.linalg.norm(
        shifted - quantized.scales[group, None] * quantized.codes[:, :dim].astype(np.float64), axis=1
    )
    lengths = np.linalg.norm(shifted, axis=1)
    for number in range(group[-1] + 1):
        members = group == number
        assert residues[members].max() <= quantized.residues[number]
        assert lengths[members].max() <= quantized.lengths[number] <= lengths[members].max() * (1 + 1e-8)
        # The largest coordinate of a group has the largest code.
        assert np.abs(quantized.codes[members]).max() == (LARGEST_CODE if shifted[members].any() else 0)
    assert quantized.longest == quantized.lengths.max()
    assert (quantized.codes[:, dim:] == 0).all()


def test_gains_are_powers_of_two_that_even_out_the_spreads() -> None:
    rng = np.random.default_rng(0)
    spreads = np.array([1.0, 64.0, 1 / 64])
    items, users = (
        (rng.standard_normal((500, 3)) * side).astype(np.float32) for side in (spreads, np.array([1.0, 1.0, 1.0]))
    )
    basis = shared_basis(users, items)
    assert basis.gains.tolist() == [1.0, 1 / 8, 8.0]
    np.testing.assert_allclose(basis.shift, items.mean(axis=0, dtype=np.float64))
    # A dimension in which one side never varies keeps its scale.
    users[:, 1] = 0
    assert shared_basis(users, items).gains.tolist() == [1.0, 1.0, 8.0]


def test_a_side_with_almost_no_spread_keeps_finite_codes() -> None:
    users, items = np.full((4, 1), 1e38, np.float32), np.array([[1e-38], [2e-38]], np.float32)
    assert shared_basis(users, items).gains.tolist() == [2.0**60]
    quantized = quantize_items(items, shared_basis(users, items), 128, run_loop)
    assert np.isfinite(quantized.lengths).all()


def test_full_groups_are_dealt_to_the_blocks_in_turn() -> None:
    # Five full groups and seven items more, in blocks of two groups: blocks 0, 1 and 2 take groups 0 to 4 in turn.
    order = np.arange(5 * ITEMS_IN_GROUP + 7, dtype=np.int32)
    dealt = deal_groups(order, 2 * ITEMS_IN_GROUP)
    assert (dealt[: 5 * ITEMS_IN_GROUP : ITEMS_IN_GROUP] // ITEMS_IN_GROUP).tolist() == [0, 3, 1, 4, 2]
    assert dealt[-7:].tolist() == order[-7:].tolist()
    assert sorted(dealt.tolist()) == order.tolist()
    assert deal_groups(order[:5], 256).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("dim", "width"), [(0, 0), (1, 16), (16, 16), (17, 32)])
def test_codes_are_padded_to_a_multiple_of_16(dim: int, width: int) -> None:
    codes = zero_codes(3, dim)
    assert codes.shape == (3, width)
    assert codes.dtype == np.int8
    assert not codes.any()


def test_squared_lengths_show_infinity_and_nan_and_do_not_overflow() -> None:
    rows = np.array([[3, 4], [np.nan, 0], [np.inf, 1], [-np.inf, np.inf], [3e38, 3e38]], np.float32)
    squares = np.zeros(5)
    write_squared_lengths(rows, squares, 0, 5)
    assert squares[0] == 25
    assert not np.isfinite(squares[1:4]).any()
    assert squares[4] == pytest.approx(2 * float(rows[4, 0]) ** 2)
