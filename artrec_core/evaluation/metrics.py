"""How good lists are: accuracy on held-out works, coverage, novelty, diversity, and how sure we may be.

Accuracy comes in two ways. `accuracy` reads lists of any number of held-out works a person. `ranks` and `rank_accuracy` read the place
of one held-out work a person among all the others; works tied with it count with every order being equally likely, so
a model that gives every work the same score comes out at chance, whatever the order of the catalogue.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Float64Array, Int32Array
from artrec_core.recs.topk.float32_loops import compile_loop, count_better_and_tied
from artrec_core.recs.topk.search import csr_rows, error_bound

PEOPLE_IN_BLOCK = 256


@dataclass(frozen=True)
class Interval:
    """A mean over people and the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


def accuracy(ids: Int32Array, held_out: Any, ks: Iterable[int]) -> dict[str, Float64Array]:
    """HR, recall, precision, F1, NDCG and MRR at each k, one value a person: {"ndcg@10": (people,), ...}.

    ids (U, K) are lists, best first, padded with -1; `held_out` a CSR (U, I) of the works that should be found. People with
    nothing held out are left out. Precision divides by k even where a list is shorter; the ideal DCG has
    min(k, held out) works. Raises `ValueError` where a list is shorter than a k.
    """
    starts, works = csr_rows(held_out, (ids.shape[0], held_out.shape[1]), "held_out")
    many = np.diff(starts)
    people = np.flatnonzero(many)
    found = np.zeros((len(people), ids.shape[1]))
    for row, person in enumerate(people):
        found[row] = np.isin(ids[person], works[starts[person] : starts[person + 1]])
    many = many[people]
    values: dict[str, Float64Array] = {}
    for k in ks:
        if not 1 <= k <= ids.shape[1]:
            raise ValueError(f"lists of {ids.shape[1]} works say nothing at k = {k}; ask for longer lists")
        values |= _accuracy_at(found[:, :k], many, k)
    return values


def _accuracy_at(found: Float64Array, many: npt.NDArray[np.int64], k: int) -> dict[str, Float64Array]:
    hits = found.sum(axis=1)
    gains = 1 / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(gains)[np.minimum(many, k) - 1]
    precision, recall = hits / k, hits / many
    both = precision + recall
    return {
        f"hr@{k}": (hits > 0).astype(np.float64),
        f"recall@{k}": recall,
        f"precision@{k}": precision,
        f"f1@{k}": np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0),
        f"ndcg@{k}": found @ gains / ideal,
        f"mrr@{k}": (found / (np.arange(k) + 1)).max(axis=1, initial=0.0),
    }


def ranks(
    user_vectors: Float32Array, item_vectors: Float32Array, targets: Int32Array, *, exclude: Any = None
) -> tuple[Int32Array, Int32Array]:
    """How many works beat each person's target, and how many others tie with it, by canonical scores: (U,), (U,) int32.

    targets (U,) are rows of item_vectors; works stored in `exclude`, a CSR (U, I), are not counted.
    """
    users, items = np.ascontiguousarray(user_vectors, np.float32), np.ascontiguousarray(item_vectors, np.float32)
    seen = csr_rows(exclude, (len(users), len(items)), "exclude")
    slack, tiny = error_bound(users.shape[1])
    lengths = [np.sqrt(np.einsum("nd,nd->n", side, side, dtype=np.float64)) for side in (users, items)]
    better, tied = np.zeros(len(users), np.int32), np.zeros(len(users), np.int32)
    for top in range(0, len(users), PEOPLE_IN_BLOCK):
        some = slice(top, top + PEOPLE_IN_BLOCK)
        starts = seen[0][top : top + PEOPLE_IN_BLOCK + 1]
        slacks = slack * lengths[0][some]
        target = targets[some].astype(np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            block = users[some] @ items.T
        _count_ranks(
            block, users[some], items, target, slacks, lengths[1], tiny, starts, seen[1], better[some], tied[some]
        )
    return better, tied


@compile_loop
def _count_ranks(
    block: Any, users: Any, items: Any, targets: Any, slacks: Any, lengths: Any, tiny: Any, seen_from: Any, seen: Any, better: Any, tied: Any
) -> None:  # fmt: skip
    for row in range(block.shape[0]):
        unseen = seen[seen_from[row] : seen_from[row + 1]]
        beaten_by, ties = count_better_and_tied(
            block[row], users[row], items, targets[row], slacks[row], lengths, tiny, unseen
        )
        better[row] = beaten_by
        tied[row] = ties


def ranks_of_scores(scores: Float32Array, targets: Int32Array, *, exclude: Any = None) -> tuple[Int32Array, Int32Array]:
    """`ranks` from given scores (U, I), as they are."""
    starts, seen = csr_rows(exclude, (scores.shape[0], scores.shape[1]), "exclude")
    better, tied = np.zeros(len(scores), np.int32), np.zeros(len(scores), np.int32)
    for row, target in enumerate(targets):
        others = np.ones(scores.shape[1], bool)
        others[seen[starts[row] : starts[row + 1]]] = False
        others[target] = False
        better[row] = (scores[row][others] > scores[row, target]).sum()
        tied[row] = (scores[row][others] == scores[row, target]).sum()
    return better, tied


def rank_accuracy(better: Int32Array, tied: Int32Array, ks: Iterable[int]) -> dict[str, Float64Array]:
    """Expected HR, NDCG and MRR at each k of one held-out work a person, every order of ties equally likely."""
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


def coverage(ids: Int32Array, works: int) -> float:
    """Share of the catalogue's works that stand in at least one list."""
    return float(len(np.unique(ids[ids >= 0])) / works) if works else 0.0


def novelty(ids: Int32Array, people_a_work: npt.ArrayLike, people: int) -> float:
    """Mean surprise of the recommended works in bits, -log2 of the share of people who know a work.

    people_a_work (I,) counts the people who know each work, of `people`; one is added to both, so that a work nobody
    knows has a finite surprise (Zhou et al. 2010, self-information).
    """
    surprise = -np.log2((np.asarray(people_a_work, np.float64) + 1) / (people + 1))
    shown = ids[ids >= 0]
    return float(surprise[shown].mean()) if shown.size else 0.0


def diversity(ids: Int32Array, item_vectors: Float32Array) -> Float64Array:
    """Mean of 1 - cosine over the pairs of works in each list (lists,), for lists of at least two works."""
    lengths = np.linalg.norm(item_vectors.astype(np.float64), axis=1, keepdims=True)
    units = np.divide(item_vectors, lengths, out=np.zeros(item_vectors.shape), where=lengths > 0)
    shown = (ids >= 0) & np.isin(ids, np.flatnonzero(lengths[:, 0] > 0))
    kept = shown.sum(axis=1) >= 2
    shown, many = shown[kept], shown[kept].sum(axis=1)
    sums = (
        np.stack([units[row[mask]].sum(axis=0) for row, mask in zip(ids[kept], shown, strict=True)])
        if kept.any()
        else units[:0]
    )
    # |sum of unit vectors|^2 = their number + twice the sum of cosines over pairs.
    cosines = ((sums**2).sum(axis=1) - many) / np.maximum(many * (many - 1), 1)
    return np.asarray(1 - cosines, np.float64)


def bootstrap(values: npt.ArrayLike, *, seed: int = 0, draws: int = 1000, confidence: float = 0.95) -> Interval:
    """Mean over people with the percentile interval of `draws` resamplings of them. Raises `ValueError` on no values."""
    given = np.asarray(values, np.float64)
    if given.size == 0:
        raise ValueError("there is nobody to average over; hold out at least one work of one person")
    rng = np.random.default_rng(seed)
    means = np.array([given[rng.integers(0, given.size, given.size)].mean() for _ in range(draws)])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(given.mean()), float(low), float(high))
