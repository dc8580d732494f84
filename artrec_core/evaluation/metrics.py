"""Metrics of lists: accuracy on held-out artworks, coverage, novelty, and bootstrap intervals.

Accuracy is computed in two ways. `accuracy` reads lists and any number of held-out artworks per user. `ranks` and
`rank_accuracy` read the rank of one held-out artwork per user among all others. There, all orders of tied artworks are
equally likely, so a model that gives every artwork the same score performs at chance, whatever the catalogue's order.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.recs.topk.float32_loops import compile_loop, count_better_and_tied
from artrec_core.recs.topk.search import csr_rows, error_bound

USERS_IN_BLOCK = 256


@dataclass(frozen=True)
class Interval:
    """A mean over users and the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


def accuracy(ids: Int32Array, held_out: Any, ks: Iterable[int]) -> dict[str, Float64Array]:
    """Compute HR, recall, precision, F1, NDCG and MRR at each k.

    Precision divides by k even where a list is shorter. The ideal DCG has min(k, held out) artworks.

    Parameters
    ----------
    ids
        Lists (U, K), best first, padded with -1.
    held_out
        CSR (U, I) of the artworks that should be in the lists. Users without any are left out.
    ks
        Lengths of the lists to measure.

    Returns
    -------
    One value per user with held-out artworks: {"ndcg@10": (users,), ...}.

    Raises
    ------
    ValueError
        If the lists are shorter than a k.
    """
    starts, artworks = csr_rows(held_out, (ids.shape[0], held_out.shape[1]), "held_out")
    counts = np.diff(starts)
    users = np.flatnonzero(counts)
    is_hit = np.zeros((len(users), ids.shape[1]))
    for row, user in enumerate(users):
        is_hit[row] = np.isin(ids[user], artworks[starts[user] : starts[user + 1]])
    counts = counts[users]
    values: dict[str, Float64Array] = {}
    for k in ks:
        if not 1 <= k <= ids.shape[1]:
            raise ValueError(f"lists of {ids.shape[1]} artworks cannot be measured at k = {k}; make longer lists")
        values |= _accuracy_at(is_hit[:, :k], counts, k)
    return values


def _accuracy_at(is_hit: Float64Array, counts: Int64Array, k: int) -> dict[str, Float64Array]:
    hits = is_hit.sum(axis=1)
    gains = 1 / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(gains)[np.minimum(counts, k) - 1]
    precision, recall = hits / k, hits / counts
    total = precision + recall
    return {
        f"hr@{k}": (hits > 0).astype(np.float64),
        f"recall@{k}": recall,
        f"precision@{k}": precision,
        f"f1@{k}": np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0),
        f"ndcg@{k}": is_hit @ gains / ideal,
        f"mrr@{k}": (is_hit / (np.arange(k) + 1)).max(axis=1, initial=0.0),
    }


def ranks(
    user_vectors: Float32Array, item_vectors: Float32Array, targets: Int32Array, *, exclude: Any = None
) -> tuple[Int32Array, Int32Array]:
    """Count the artworks that score higher than each user's target, and those that tie with it, by canonical scores.

    Parameters
    ----------
    user_vectors, item_vectors
        (U, D) and (I, D).
    targets
        Row of each user's target, (U,).
    exclude
        CSR (U, I) of artworks that are not counted.

    Returns
    -------
    better, tied
        (U,) int32 each.
    """
    users, items = np.ascontiguousarray(user_vectors, np.float32), np.ascontiguousarray(item_vectors, np.float32)
    starts, excluded_items = csr_rows(exclude, (len(users), len(items)), "exclude")
    slack, tiny = error_bound(users.shape[1])
    user_lengths, item_lengths = (
        np.sqrt(np.einsum("nd,nd->n", side, side, dtype=np.float64)) for side in (users, items)
    )
    better, tied = np.zeros(len(users), np.int32), np.zeros(len(users), np.int32)
    for top in range(0, len(users), USERS_IN_BLOCK):
        block = slice(top, top + USERS_IN_BLOCK)
        block_starts = starts[top : top + USERS_IN_BLOCK + 1]
        slacks = slack * user_lengths[block]
        block_targets = targets[block].astype(np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = users[block] @ items.T
        _count_ranks(
            scores, users[block], items, block_targets, slacks, item_lengths, tiny,
            block_starts, excluded_items, better[block], tied[block],
        )  # fmt: skip
    return better, tied


@compile_loop
def _count_ranks(
    scores: Any, users: Any, items: Any, targets: Any, slacks: Any, lengths: Any, tiny: Any, starts: Any, excluded_items: Any, better: Any, tied: Any
) -> None:  # fmt: skip
    for row in range(scores.shape[0]):
        excluded_row = excluded_items[starts[row] : starts[row + 1]]
        better_count, tied_count = count_better_and_tied(
            scores[row], users[row], items, targets[row], slacks[row], lengths, tiny, excluded_row
        )
        better[row] = better_count
        tied[row] = tied_count


def ranks_of_scores(scores: Float32Array, targets: Int32Array, *, exclude: Any = None) -> tuple[Int32Array, Int32Array]:
    """Count as `ranks` does, but from given scores.

    Parameters
    ----------
    scores
        (U, I) float32.
    targets
        Row of each user's target, (U,).
    exclude
        CSR (U, I) of artworks that are not counted.

    Returns
    -------
    better, tied
        (U,) int32 each.
    """
    starts, excluded_items = csr_rows(exclude, (scores.shape[0], scores.shape[1]), "exclude")
    better, tied = np.zeros(len(scores), np.int32), np.zeros(len(scores), np.int32)
    for row, target in enumerate(targets):
        is_counted = np.ones(scores.shape[1], bool)
        is_counted[excluded_items[starts[row] : starts[row + 1]]] = False
        is_counted[target] = False
        better[row] = (scores[row][is_counted] > scores[row, target]).sum()
        tied[row] = (scores[row][is_counted] == scores[row, target]).sum()
    return better, tied


def rank_accuracy(better: Int32Array, tied: Int32Array, ks: Iterable[int]) -> dict[str, Float64Array]:
    """Compute the expected HR, NDCG and MRR at each k of one held-out artwork per user.

    All orders of tied artworks are equally likely.

    Parameters
    ----------
    better, tied
        From `ranks`, (U,).
    ks
        Lengths of the lists to measure.

    Returns
    -------
    One value per user: {"ndcg@10": (U,), ...}.
    """
    values: dict[str, Float64Array] = {}
    best, worst = better.astype(np.int64), better.astype(np.int64) + tied
    for k in ks:
        places = np.arange(1, k + 1)
        for name, gain in (
            ("hr", np.ones(k)),
            ("ndcg", 1 / np.log2(places + 1)),
            ("mrr", 1 / places),
        ):
            sums = np.concatenate([[0.0], np.cumsum(gain)])
            values[f"{name}@{k}"] = (sums[np.minimum(worst + 1, k)] - sums[np.minimum(best, k)]) / (tied + 1)
    return values


def coverage(ids: Int32Array, artwork_count: int) -> float:
    """The share of the catalogue's artworks that are in at least one list (U, K), padded with -1."""
    return float(len(np.unique(ids[ids >= 0])) / artwork_count) if artwork_count else 0.0


def novelty(ids: Int32Array, user_counts: npt.ArrayLike, user_count: int) -> float:
    """Compute the mean self-information of the listed artworks, in bits (Zhou et al. 2010).

    The self-information is -log2 of the share of users who know an artwork. One is added to both counts, so it is
    finite for an artwork that no user knows.

    Parameters
    ----------
    ids
        Lists (U, K), padded with -1.
    user_counts
        Users who know each artwork, (I,).
    user_count
        All users.
    """
    information = -np.log2((np.asarray(user_counts, np.float64) + 1) / (user_count + 1))
    listed_ids = ids[ids >= 0]
    return float(information[listed_ids].mean()) if listed_ids.size else 0.0


def bootstrap(values: npt.ArrayLike, *, seed: int = 0, draws: int = 1000, confidence: float = 0.95) -> Interval:
    """Compute a mean over users and its percentile bootstrap interval.

    Parameters
    ----------
    values
        One value per user.
    seed
        Seed of the draws.
    draws
        How often users are resampled.
    confidence
        Probability that the interval covers.

    Raises
    ------
    ValueError
        If there are no values.
    """
    sample = np.asarray(values, np.float64)
    if sample.size == 0:
        raise ValueError("there are no users to average over; hold out at least one artwork of one user")
    rng = np.random.default_rng(seed)
    means = np.array([sample[rng.integers(0, sample.size, sample.size)].mean() for _ in range(draws)])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(sample.mean()), float(low), float(high))
