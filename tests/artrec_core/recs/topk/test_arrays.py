"""Rows are divided among threads: every row once, whatever the threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.topk.arrays import run_in_threads


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 50), threads=st.integers(1, 8), is_pool_given=st.booleans())
def test_every_row_is_visited_once(rows: int, threads: int, is_pool_given: bool) -> None:
    visits = np.zeros(rows, np.int64)
    shares: list[tuple[int, int]] = []

    def count(begin: int, end: int) -> None:
        visits[begin:end] += 1
        shares.append((begin, end))

    if is_pool_given:
        with ThreadPoolExecutor(2) as pool:
            run_in_threads(count, rows, threads, pool)
    else:
        run_in_threads(count, rows, threads)
    assert (visits == 1).all()
    assert len(shares) == min(threads, max(rows, 1))
    sizes = [end - begin for begin, end in shares]
    assert max(sizes) - min(sizes) <= 1


def test_the_call_ends_after_the_loop_and_with_its_error() -> None:
    def fail(begin: int, end: int) -> None:
        if end == 4:
            raise ValueError("row 3")

    with pytest.raises(ValueError, match="row 3"):
        run_in_threads(fail, 4, 2)
    with pytest.raises(ValueError, match="row 3"):
        run_in_threads(fail, 4, 1)
