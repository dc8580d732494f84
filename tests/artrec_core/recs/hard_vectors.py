"""Vectors that are hard to rank exactly, and what a brute force makes of them."""

from typing import Any

import numpy as np

from artrec_core.recs.topk.float32_loops import canonical_score

KINDS = [
    "random",
    "clustered",
    "duplicated",
    "all equal",
    "huge",
    "tiny",
    "cancelling",
    "grid",
    "low rank",
    "some zero",
    "one loud",
    "uneven",
    "misleading",
]


def vectors(kind: str, rows: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """(rows, dim) float32 of one of the `KINDS`, each hard for exact selection in its own way."""
    values = rng.standard_normal((rows, dim))
    if kind == "clustered":
        values = rng.standard_normal((3, dim))[rng.integers(0, 3, rows)] + 1e-7 * values
    if kind == "duplicated":
        values = values[rng.integers(0, max(rows // 5, 1), rows)]
    if kind == "all equal":
        values = np.ones((rows, dim))
    if kind == "huge":
        values = values * np.where(rng.random((rows, 1)) < 0.2, 1e25, 1.0)
    if kind == "tiny":
        values = values * np.where(rng.random((rows, 1)) < 0.5, 1e-38, 1e-20)
    if kind == "cancelling":
        values[:, dim // 2 :] = -values[:, : dim - dim // 2] + 1e-6 * values[:, dim // 2 :]
    if kind == "grid":
        values = rng.integers(-1, 2, (rows, dim))
    if kind == "low rank":
        values = rng.standard_normal((rows, 2)) @ np.random.default_rng(dim).standard_normal((2, dim))
    if kind == "some zero":
        values = values * (rng.random((rows, 1)) < 0.5)
    if kind == "one loud":
        values[:, 0] = 1e4 + values[:, 0]
    if kind == "uneven":
        values = values * 10.0 ** np.linspace(-6, 6, dim)
    if kind == "misleading":
        # Codes see only the first coordinate, which tells nothing apart; the order is in what they round off.
        values[:, 1:] *= 1e-3
        values[:, 0] = 1.0
    return values.astype(np.float32)


def brute(users: Any, items: Any, k: int, exclude: Any = None, allowed: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each user: every pair scored canonically, then whole rows sorted by (score, id)."""
    ids, scores = np.full((len(users), k), -1, np.int32), np.full((len(users), k), -np.inf, np.float32)
    for row, user in enumerate(users):
        user_scores = np.array([canonical_score(user, item) for item in items], np.float32)
        candidates = [i for i in range(len(items)) if exclude is None or i not in set(exclude[[row]].indices)]
        candidates = [i for i in candidates if allowed is None or i in set(allowed(row))]
        best = sorted(candidates, key=lambda i: (-user_scores[i], i))[:k]
        ids[row, : len(best)], scores[row, : len(best)] = best, user_scores[best]
    return ids, scores
