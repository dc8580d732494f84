"""Rounded vectors: powers of two as scales, and upper bounds on lengths and losses, checked in float64."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.topk import gpu_rounding
from artrec_core.recs.topk.gpu_rounding import (
    copy_to_device,
    length_scales,
    longest_first_order,
    round_vectors,
    row_lengths,
)
from tests.artrec_core.recs.hard_vectors import KINDS, vectors

CPU = torch.device("cpu")
DTYPES = [torch.bfloat16, torch.float16, torch.float32]


def hard_tensor(kind: str, rows: int, dim: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(vectors(kind, rows, dim, np.random.default_rng(seed)))


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), dim=st.integers(1, 60), dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**20))
def test_lengths_and_losses_are_upper_bounds(kind: str, dim: int, dtype: torch.dtype, seed: int) -> None:
    rows = hard_tensor(kind, 30, dim, seed)
    rounded = round_vectors(rows, dim + 3, dtype)
    exact = rows.double() * rounded.scales[:, None]
    assert (exact.norm(dim=1) <= rounded.lengths).all()
    assert ((exact - rounded.values[:, :dim].double()).norm(dim=1) <= rounded.lost).all()
    # The bounds are tight as well: a loose bound would leave too many pairs possible.
    assert (rounded.lengths <= exact.norm(dim=1) * (1 + 1e-8)).all()
    assert (rounded.lost <= rounded.lengths * torch.finfo(dtype).eps * 1.01 + dim**0.5 * 2.0**-24).all()
    assert (rounded.values[:, dim:] == 0).all()
    assert torch.isfinite(rounded.values).all()


def test_rows_share_the_given_scales() -> None:
    rows = torch.tensor([[1.0, 2.0], [0.25, 0.0]])
    rounded = round_vectors(rows, 2, torch.float16, scales=torch.tensor([0.25, 0.25], dtype=torch.float64))
    assert rounded.values.tolist() == [[0.25, 0.5], [0.0625, 0.0]]
    assert rounded.lost.tolist() == [0.0, 0.0]


@settings(max_examples=100, deadline=None)
@given(st.floats(min_value=5e-324, max_value=1e300))
def test_a_scaled_length_is_between_one_half_and_one(length: float) -> None:
    scale = float(length_scales(torch.tensor([length], dtype=torch.float64))[0])
    if length >= 2.0**-1000:
        assert 0.5 <= length * scale < 1
        assert np.frexp(scale)[0] == 0.5


def test_a_length_of_zero_keeps_its_scale() -> None:
    assert length_scales(torch.tensor([0.0, 0.75, 1.0, 6.0], dtype=torch.float64)).tolist() == [1.0, 1.0, 0.5, 0.125]


def test_steps_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hard_tensor("random", 10, 5, 1)
    lengths, rounded = row_lengths(rows), round_vectors(rows, 8, torch.float16)
    monkeypatch.setattr(gpu_rounding, "ROWS_IN_STEP", 3)
    assert torch.equal(row_lengths(rows), lengths)
    again = round_vectors(rows, 8, torch.float16)
    assert torch.equal(again.values, rounded.values)
    assert torch.equal(again.lost, rounded.lost)
    assert torch.equal(copy_to_device(rows.numpy(), CPU), rows)
    assert row_lengths(rows[:0]).shape == (0,)


def test_lengths_do_not_overflow_float32() -> None:
    assert row_lengths(torch.tensor([[3e38, 3e38]])).item() == pytest.approx(3e38 * 2**0.5, rel=1e-6)


def test_a_memory_map_is_copied(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    copy = copy_to_device(np.load(tmp_path / "rows.npy", mmap_mode="r"), CPU)
    copy[0] = 0
    assert np.array_equal(np.load(tmp_path / "rows.npy"), rows)
    assert np.array_equal(copy[1:].numpy(), rows[1:])


def test_long_items_come_first_and_similar_lengths_in_random_order() -> None:
    order = longest_first_order(torch.tensor([1.0] * 50 + [3.0] * 50, dtype=torch.float64)).tolist()
    assert sorted(order[:50]) == list(range(50, 100))
    assert order[:50] != list(range(50, 100))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=40), st.integers(0, 5))
def test_no_item_comes_before_one_that_is_much_longer(lengths: list[float], seed: int) -> None:
    order = longest_first_order(torch.tensor(lengths, dtype=torch.float64), seed).tolist()
    assert sorted(order) == list(range(len(lengths)))
    # Within one of 16 steps of an octave, any order is right.
    ordered = [max(lengths[row], 2.0**-400) for row in order]
    assert all(later <= earlier * 2 ** (1 / 16) * (1 + 1e-9) for earlier, later in pairwise(ordered))
    assert order == longest_first_order(torch.tensor(lengths, dtype=torch.float64), seed).tolist()
