"""The people likeliest to want a work.

People with long vectors have high scores for everything, so scores are not compared between people as they are: each score is
first turned into the log of the share that the work has in that person's softmax over the whole catalogue. That is a
bias a person, and so the same exact top-K with the sides exchanged.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.recs.topk.search import PreparedItems, thread_count, top_k

# 128 people x 8,192 works x 8 bytes = 8 MB a thread.
PEOPLE_IN_BLOCK = 128
WORKS_IN_BLOCK = 8192


def log_totals(users: Float32Array, items: Float32Array, *, threads: int | None = None) -> Float32Array:
    """For each person, log of the sum over all works of exp(score), (U,) float32.

    Summed in float64 in blocks of a fixed size, so that neither threads nor shards change it.
    """
    totals = np.full(len(users), -np.inf)

    def some(first: int) -> None:
        people = users[first : first + PEOPLE_IN_BLOCK].astype(np.float64)
        highest, sums = np.full(len(people), -np.inf), np.zeros(len(people))
        for start in range(0, len(items), WORKS_IN_BLOCK):
            scores = people @ items[start : start + WORKS_IN_BLOCK].astype(np.float64).T
            higher = np.maximum(highest, scores.max(axis=1))
            scores -= higher[:, None]
            np.exp(scores, out=scores)
            sums = sums * np.exp(highest - higher) + scores.sum(axis=1)
            highest = higher
        totals[first : first + PEOPLE_IN_BLOCK] = highest + np.log(sums)

    if len(items):
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(thread_count(threads)) as pool:
            list(pool.map(some, range(0, len(users), PEOPLE_IN_BLOCK)))
    return totals.astype(np.float32)


def people_side(users: Float32Array, totals: Float32Array) -> PreparedItems:
    """People (U, D + 1) whose product with `works_side` is the log share of a work in a person's softmax."""
    return PreparedItems(np.hstack([users, -totals[:, None]]))


def works_side(items: Float32Array) -> Float32Array:
    """Works (I, D + 1), the other side of that product."""
    return np.hstack([items, np.ones((len(items), 1), np.float32)])


def artwork_audiences(
    people: PreparedItems,
    works: Float32Array,
    k: int,
    *,
    seen_by: Any = None,
    threads: int | None = None,
    memory_mb: int = 512,
) -> tuple[Int32Array, Float32Array]:
    """The k people of highest log share for each of these works: ids and scores, (works, k) each, as `top_k` gives them.

    `people` and `works` come from `people_side` and `works_side`; `seen_by`, a CSR (works, people), leaves out who knows a work.
    """
    return top_k(works, people, k, exclude=seen_by, threads=threads, memory_mb=memory_mb)
