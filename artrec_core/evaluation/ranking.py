"""How well vectors place held-out works: the full catalogue ranked, seen works left out."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array
from artrec_core.evaluation.metrics import rank_accuracy, ranks
from artrec_core.model.sequences import Sequences

KS = (5, 10, 20)


def held_out_accuracy(
    users: Float32Array, works: Float32Array, seen: Sequences, targets: Any
) -> dict[str, Float64Array]:
    """HR, NDCG and MRR at 5, 10 and 20, a value a person: {"ndcg@10": (people,), ...}.

    users (people, dim), works (works, dim); `seen` holds the histories of the same people; targets (people,) are rows of
    works.
    """
    better, tied = ranks(users, works, np.asarray(targets), exclude=seen_works(seen, len(works)))
    return rank_accuracy(better, tied, KS)


def held_out_ndcg(users: Float32Array, works: Float32Array, seen: Sequences, targets: Any) -> Float64Array:
    """NDCG@10 a person: what training selects its weights by."""
    return held_out_accuracy(users, works, seen, targets)["ndcg@10"]


def seen_works(seen: Sequences, works: int) -> csr_array:
    """A CSR (people, works) of the works each person met."""
    owners = np.repeat(np.arange(seen.people), seen.lengths)
    found = csr_array((np.ones(len(owners), np.float32), (owners, seen.works)), shape=(seen.people, works))
    found.sum_duplicates()
    return found
