"""The arrays that the loops of `top_k` share, and how rows are shared among threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Int32Array

# A CSR's row starts (U + 1,) and column indices, sorted within each row.
CsrRows: TypeAlias = tuple[npt.NDArray[np.int64], Int32Array]


def run_in_threads(
    loop: Callable[[int, int], None], rows: int, threads: int, pool: ThreadPoolExecutor | None = None
) -> None:
    """Run a compiled loop over the rows, cut evenly among threads, and wait for all of them."""
    cuts = np.linspace(0, rows, min(threads, max(rows, 1)) + 1).astype(int).tolist()
    if len(cuts) == 2:
        loop(0, rows)
        return
    if pool is None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(loop, cuts[:-1], cuts[1:]))
        return
    list(pool.map(loop, cuts[:-1], cuts[1:]))
