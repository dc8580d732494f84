"""Audiences: the users most likely to want an artwork.

Users with long vectors have high scores for all artworks, so raw scores cannot be compared between users. Each score
becomes the log of the artwork's share in the user's softmax over the catalogue. This adds one bias per user, so
audiences are the same exact top-K with the sides exchanged.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.recs.topk.search import PreparedItems, thread_count, top_k

# 128 users x 8,192 artworks x 8 bytes = 8 MB per thread.
USERS_IN_BLOCK = 128
ARTWORKS_IN_BLOCK = 8192


def log_totals(users: Float32Array, items: Float32Array, *, threads: int | None = None) -> Float32Array:
    """Compute the log of each user's softmax denominator: log of the sum over all artworks of exp(score).

    Sums are taken in float64 over blocks of a fixed size, so neither threads nor shards change them.

    Parameters
    ----------
    users, items
        Folded vectors, (U, D) and (I, D).
    threads
        Threads that share the users; None takes all processors.

    Returns
    -------
    (U,) float32.
    """
    totals = np.full(len(users), -np.inf)

    def sum_block(first: int) -> None:
        block = users[first : first + USERS_IN_BLOCK].astype(np.float64)
        maxima, sums = np.full(len(block), -np.inf), np.zeros(len(block))
        for start in range(0, len(items), ARTWORKS_IN_BLOCK):
            scores = block @ items[start : start + ARTWORKS_IN_BLOCK].astype(np.float64).T
            new_maxima = np.maximum(maxima, scores.max(axis=1))
            scores -= new_maxima[:, None]
            np.exp(scores, out=scores)
            sums = sums * np.exp(maxima - new_maxima) + scores.sum(axis=1)
            maxima = new_maxima
        totals[first : first + USERS_IN_BLOCK] = maxima + np.log(sums)

    if len(items):
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(thread_count(threads)) as pool:
            list(pool.map(sum_block, range(0, len(users), USERS_IN_BLOCK)))
    return totals.astype(np.float32)


def user_side(users: Float32Array, totals: Float32Array) -> PreparedItems:
    """User vectors (U, D + 1) whose product with `artwork_side` is the log share of an artwork in a user's softmax."""
    return PreparedItems(np.hstack([users, -totals[:, None]]))


def artwork_side(items: Float32Array) -> Float32Array:
    """Artwork vectors (I, D + 1), the other side of that product."""
    return np.hstack([items, np.ones((len(items), 1), np.float32)])


def artwork_audiences(
    users: PreparedItems,
    artworks: Float32Array,
    k: int,
    *,
    seen_by: Any = None,
    threads: int | None = None,
    memory_mb: int = 512,
) -> tuple[Int32Array, Float32Array]:
    """Find the k users with the highest log share for each artwork.

    Parameters
    ----------
    users, artworks
        From `user_side` and `artwork_side`.
    k
        Users per artwork.
    seen_by
        CSR (artworks, U) of the users who have seen an artwork; they are left out.
    threads, memory_mb
        Limits of `top_k`.

    Returns
    -------
    ids, scores
        (artworks, k) each, as `top_k` returns them.
    """
    return top_k(artworks, users, k, exclude=seen_by, threads=threads, memory_mb=memory_mb)
