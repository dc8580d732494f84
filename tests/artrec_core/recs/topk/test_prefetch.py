"""A hint to read a row soon changes no vector and no result."""

from typing import Any

import numpy as np
import pytest

from artrec_core.recs.topk.float32_loops import compile_loop
from artrec_core.recs.topk.prefetch import NUMBERS_IN_CACHE_LINE, prefetch_row


@compile_loop
def _sum_rows(vectors: Any, rows: Any, with_hints: Any) -> Any:
    total = 0.0
    for index in range(rows.shape[0]):
        if with_hints:
            prefetch_row(vectors, rows[min(index + 1, rows.shape[0] - 1)])
        for column in range(vectors.shape[1]):
            total += vectors[rows[index], column]
    return total


@pytest.mark.parametrize("dim", [0, 1, NUMBERS_IN_CACHE_LINE, NUMBERS_IN_CACHE_LINE + 1, 100])
def test_hints_change_nothing(dim: int) -> None:
    vectors = np.random.default_rng(dim).standard_normal((9, dim)).astype(np.float32)
    copy = vectors.copy()
    for row in range(9):
        prefetch_row(vectors, row)
    rows = np.array([8, 0, 3, 3, 7])
    assert _sum_rows(vectors, rows, True) == _sum_rows(vectors, rows, False)
    np.testing.assert_array_equal(vectors, copy)


def test_rows_of_a_view_may_be_named() -> None:
    vectors = np.ones((6, 20), np.float32)[::2]
    assert _sum_rows(vectors, np.array([2, 0]), True) == 40
