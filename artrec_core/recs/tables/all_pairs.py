"""The score of every pair, for those who want them all."""

from typing import Any

import numpy as np

from artrec_core.arrays import Float32Array
from artrec_core.recs.topk.arrays import run_in_threads
from artrec_core.recs.topk.float32_loops import canonical_score, compile_loop
from artrec_core.recs.topk.search import thread_count

# Rows of a part: their ids are views of 16 bytes, so that a part is some 100 MB while it is made.
PAIRS_IN_PIECE = 2 * 2**20
# 9.7 were measured on 18 people x 112,782 museum works: 4 are the score, which does not compress, the rest the ids.
BYTES_A_PAIR = 10


@compile_loop
def _fill(users: Any, items: Any, scores: Any, begin: Any, end: Any) -> None:
    for person in range(begin, end):
        for work in range(items.shape[0]):
            scores[person, work] = canonical_score(users[person], items[work])


def every_score(users: Float32Array, items: Float32Array, *, threads: int | None = None) -> Float32Array:
    """The canonical scores, (U, I) float32, of people (U, D) and works (I, D): those that `top_k` gives."""
    scores = np.empty((len(users), len(items)), np.float32)
    run_in_threads(lambda begin, end: _fill(users, items, scores, begin, end), len(users), thread_count(threads))
    return scores


def people_in_piece(works: int, strategies: int) -> int:
    """How many people's pairs are made at a time, at least one."""
    return max(1, PAIRS_IN_PIECE // max(1, works * strategies))
