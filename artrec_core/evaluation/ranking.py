"""How well models rank held-out artworks among the full catalogue, without the artworks that each user has seen.

There are two measurements, and each has one implementation. The test artworks are measured on lists (`measure_ranking`),
because an evaluation writes lists in a process that does not know the test artworks. The validation artworks, which
choose weights and settings many times, are measured by their ranks (`held_out_accuracy`), which needs no list. The two
agree for scores without ties. Ties count as chance in both: lists order tied artworks at random, and ranks give the
mean over all orders.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.evaluation.metrics import accuracy, rank_accuracy, ranks, ranks_of_scores
from artrec_core.model.sequences import Sequences
from artrec_core.recs.interaction_models import USERS_IN_BLOCK, FactorModel, Ranker
from artrec_core.recs.topk.search import empty_results, top_k, top_k_of_scores

KS = (5, 10, 20)
# Long enough for every metric.
LONGEST_LIST = max(KS)
# Users of a block share one random order of the catalogue. Small blocks average the effect of ties over many orders.
USERS_IN_ONE_ORDER = 128


class VectorModel(FactorModel):
    """A model given by its vectors, ranked like a baseline."""

    def __init__(self, name: str, user_vectors: Float32Array, item_vectors: Float32Array) -> None:
        self.name, self.user_vectors, self.item_vectors = name, user_vectors, item_vectors


def best_artworks(
    model: Ranker, users: Int64Array, k: int, *, exclude: Any, among: Int64Array | None = None, seed: int = 0
) -> tuple[Int32Array, Float32Array]:
    """Find the k best artworks of each user, with ties in random order.

    `top_k` breaks ties by row. If the catalogue's order carries information (old artworks first, popular ones first),
    this would help a model whose scores tie. So each block of users gets a new random order of the artworks.

    Parameters
    ----------
    model
        The model.
    users
        Rows of the users, (n,).
    k
        Artworks per user.
    exclude
        CSR (n, I) of the artworks to leave out.
    among
        Rows of the artworks to choose from; None stands for all.
    seed
        Seed of the orders.

    Returns
    -------
    ids, scores
        (n, k) each, as `top_k` returns them.
    """
    artworks = np.arange(exclude.shape[1]) if among is None else among
    ids, scores = empty_results(len(users), k)
    exclude_rows = exclude.tocsr()
    for block_number, start in enumerate(range(0, len(users), USERS_IN_ONE_ORDER)):
        block = slice(start, start + USERS_IN_ONE_ORDER)
        order = np.random.default_rng([seed, block_number]).permutation(artworks)
        # Column c of the reordered matrix is artwork order[c].
        reordered_exclude = csr_array(exclude_rows[block][:, order])
        if isinstance(model, FactorModel):
            vectors = model.user_vectors[users[block]]
            columns, scores[block] = top_k(vectors, model.item_vectors[order], k, exclude=reordered_exclude)
        else:
            reordered_scores = model.scores(users[block])[:, order]
            columns, scores[block] = top_k_of_scores(reordered_scores, k, exclude=reordered_exclude)
        ids[block] = np.where(columns >= 0, order[columns], -1)
    return ids, scores


def measure_ranking(
    model: Ranker, users: Int64Array, targets: NDArray[np.integer[Any]], *, exclude: Any
) -> dict[str, Float64Array]:
    """Measure a model on the test artworks by the lists that it gives.

    Parameters
    ----------
    model
        The model.
    users
        Rows of the users, (n,).
    targets
        Row of the artwork held out for each, (n,).
    exclude
        CSR (n, I) of the artworks to leave out: those seen before the test.

    Returns
    -------
    One value per user: {"ndcg@10": (n,), ...}.
    """
    lists, _ = best_artworks(model, users, LONGEST_LIST, exclude=exclude)
    return accuracy_of_lists(lists, targets)


def accuracy_of_lists(
    ids: Int32Array, targets: NDArray[np.integer[Any]], ks: Iterable[int] = KS
) -> dict[str, Float64Array]:
    """Compute HR, recall, precision, F1, NDCG and MRR at each k for one held-out artwork per user.

    Parameters
    ----------
    ids
        Lists (U, K), best first, padded with -1, without duplicates.
    targets
        The held-out artwork of each user, (U,).
    ks
        Lengths of the lists to measure.

    Returns
    -------
    One value per user: {"ndcg@10": (U,), ...}.
    """
    user_count, artwork_count = len(ids), int(max(ids.max(initial=-1), targets.max(initial=-1))) + 1
    starts = np.arange(user_count + 1)
    columns = np.asarray(targets, np.int64)
    held_out = csr_array((np.ones(user_count), columns, starts), shape=(user_count, artwork_count))
    return accuracy(ids, held_out, ks)


def held_out_accuracy(
    model: Ranker, users: Int64Array, targets: NDArray[np.integer[Any]], *, exclude: Any
) -> dict[str, Float64Array]:
    """Compute the expected HR, NDCG and MRR at 5, 10 and 20, with all orders of tied artworks equally likely.

    Parameters and values are those of `measure_ranking`, without recall, precision and F1.
    """
    rows = np.asarray(targets, np.int32)
    if isinstance(model, FactorModel):
        return rank_accuracy(*ranks(model.user_vectors[users], model.item_vectors, rows, exclude=exclude), KS)
    better, tied = np.zeros(len(users), np.int32), np.zeros(len(users), np.int32)
    exclude_rows = exclude.tocsr()
    for start in range(0, len(users), USERS_IN_BLOCK):
        block = slice(start, start + USERS_IN_BLOCK)
        scores = model.scores(users[block])
        better[block], tied[block] = ranks_of_scores(scores, rows[block], exclude=exclude_rows[block])
    return rank_accuracy(better, tied, KS)


def held_out_ndcg(users: Float32Array, artworks: Float32Array, histories: Sequences, targets: Any) -> Float64Array:
    """NDCG@10 of each user by vectors (U, d) and (I, d), (U,): the metric by which training selects its weights.

    Parameters
    ----------
    users, artworks
        Vectors (U, d) and (I, d).
    histories
        Histories of the same users; their artworks are left out.
    targets
        Row of the artwork held out for each user, (U,).
    """
    model, seen = VectorModel("vectors", users, artworks), seen_matrix(histories, len(artworks))
    return held_out_accuracy(model, np.arange(len(users)), targets, exclude=seen)["ndcg@10"]


def seen_matrix(histories: Sequences, artwork_count: int) -> csr_array:
    """CSR (U, I) of the artworks in each user's history."""
    owners = np.repeat(np.arange(histories.user_count), histories.lengths)
    shape = (histories.user_count, artwork_count)
    matrix = csr_array((np.ones(len(owners), np.float32), (owners, histories.artworks)), shape=shape)
    matrix.sum_duplicates()
    return matrix
