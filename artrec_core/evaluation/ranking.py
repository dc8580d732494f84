"""How well vectors rank held-out artworks among the full catalogue, without seen artworks."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array
from artrec_core.evaluation.metrics import rank_accuracy, ranks
from artrec_core.model.sequences import Sequences

KS = (5, 10, 20)


def held_out_accuracy(
    users: Float32Array, artworks: Float32Array, histories: Sequences, targets: Any
) -> dict[str, Float64Array]:
    """Compute HR, NDCG and MRR at 5, 10 and 20.

    Parameters
    ----------
    users, artworks
        Vectors (U, d) and (I, d).
    histories
        Histories of the same users; their artworks are left out.
    targets
        Row of the artwork held out for each user, (U,).

    Returns
    -------
    One value per user: {"ndcg@10": (U,), ...}.
    """
    better, tied = ranks(users, artworks, np.asarray(targets), exclude=seen_matrix(histories, len(artworks)))
    return rank_accuracy(better, tied, KS)


def held_out_ndcg(users: Float32Array, artworks: Float32Array, histories: Sequences, targets: Any) -> Float64Array:
    """NDCG@10 of each user, (U,): the metric by which training selects its weights."""
    return held_out_accuracy(users, artworks, histories, targets)["ndcg@10"]


def seen_matrix(histories: Sequences, artwork_count: int) -> csr_array:
    """CSR (U, I) of the artworks in each user's history."""
    owners = np.repeat(np.arange(histories.user_count), histories.lengths)
    shape = (histories.user_count, artwork_count)
    matrix = csr_array((np.ones(len(owners), np.float32), (owners, histories.works)), shape=shape)
    matrix.sum_duplicates()
    return matrix
