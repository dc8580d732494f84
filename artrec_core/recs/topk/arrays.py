"""The arrays that the loops of `top_k` share, and how rows are divided among threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np

from artrec_core.arrays import Int32Array, Int64Array

# The row starts (U + 1,) of a CSR matrix and its column indices, sorted within each row.
CsrRows: TypeAlias = tuple[Int64Array, Int32Array]


def run_in_threads(
    loop: Callable[[int, int], None], rows: int, threads: int, pool: ThreadPoolExecutor | None = None
) -> None:
    """Run a compiled loop over all rows, with an even share of the rows for each thread, and wait for the end.

    Parameters
    ----------
    loop
        Called as `loop(begin, end)` for each share of the rows.
    rows
        The number of rows.
    threads
        The largest number of threads.
    pool
        The pool to run in. Without one, a pool is opened and closed again.
    """
    limits = np.linspace(0, rows, min(threads, max(rows, 1)) + 1).astype(int).tolist()
    if len(limits) == 2:
        loop(0, rows)
        return
    if pool is None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(loop, limits[:-1], limits[1:]))
        return
    list(pool.map(loop, limits[:-1], limits[1:]))
