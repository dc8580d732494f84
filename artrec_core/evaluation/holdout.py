"""What a model makes of a frozen future: how it places works that were held out, and the lists it would give.

Every model reads the same histories and is asked about the same people and works, so that two of them can be compared person by
person.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.evaluation.metrics import rank_accuracy, ranks
from artrec_core.evaluation.ranking import seen_works
from artrec_core.model.sequences import Sequences
from artrec_core.recs.interaction_models import Popularity, users_per_item
from artrec_core.recs.strategies.folding import Component, spread
from artrec_core.recs.topk.search import empty_results, top_k

K = 10
# Lists of so many people tell coverage and overlap to a percent.
MOST_LISTED = 10_000
# The popular works are the first percent of the catalogue, and at least so many.
POPULAR_SHARE = 0.01
LEAST_POPULAR = 20
# Of a small catalogue, where 20 works may fill every list, no more than this share.
MOST_OF_FEW = 0.1


@dataclass(frozen=True)
class FrozenFuture:
    """People U and works I; `seen` is a CSR (U, I) of what each met before the test.

    `tested` (n,) are rows of people and `targets` (n,) the row of the work held out for each; `listed` (m,) rows of people
    whose lists are looked at.
    """

    seen: csr_array
    tested: Int64Array
    targets: Int64Array
    listed: Int64Array

    @classmethod
    def of(cls, before: Sequences, works: int, tested: Int64Array, targets: Int64Array) -> "FrozenFuture":
        """From everyone's histories before the test; people who have seen all works are not listed, others evenly spaced."""
        seen = seen_works(before, works)
        able = np.flatnonzero(np.diff(seen.indptr) < works)
        places = np.linspace(0, max(len(able) - 1, 0), min(len(able), MOST_LISTED)).astype(np.int64)
        return cls(seen, tested, targets, able[places])

    @property
    def works(self) -> int:
        """How many works there are."""
        return int(self.seen.shape[1])

    @cached_property
    def popular(self) -> Int64Array:
        """Rows of the works that most people met, the most popular first."""
        few = max(1, round(self.works * MOST_OF_FEW))
        many = min(max(LEAST_POPULAR, round(self.works * POPULAR_SHARE)), few)
        return np.argsort(-users_per_item(self.seen), kind="stable")[:many]

    def popular_ndcg(self) -> Float64Array:
        """NDCG@10 of the popular list, (n,)."""
        popular = Popularity().fit(self.seen)
        return self.ndcg(popular.user_vectors, popular.item_vectors)

    def ndcg(self, users: Float32Array, works: Float32Array) -> Float64Array:
        """NDCG@10 of vectors (U, d) and (I, d), (n,)."""
        if not len(self.tested):
            return np.zeros(0)
        better, tied = ranks(users[self.tested], works, self.targets.astype(np.int32), exclude=self.seen[self.tested])
        return rank_accuracy(better, tied, (K,))[f"ndcg@{K}"]

    def lists(self, users: Float32Array, works: Float32Array) -> Int32Array:
        """The ten best unseen works of the people listed, (m, 10), padded with -1."""
        return top_k(users[self.listed], works, K, exclude=self.seen[self.listed])[0]


@dataclass(frozen=True)
class Reading:
    """A model's NDCG@10 (n,) and lists (m, 10), or the fault for which it can have neither."""

    ndcg: Float64Array
    lists: Int32Array
    fault: str | None = None


def reading(users: Float32Array, works: Float32Array, future: FrozenFuture) -> Reading:
    """What a model of vectors (U, d) and (I, d) makes of the future."""
    if (fault := fault_of(users, works)) is not None:
        return broken(fault, future)
    return Reading(future.ndcg(users, works), future.lists(users, works))


def broken(fault: str, future: FrozenFuture) -> Reading:
    """The reading of a model that cannot be asked."""
    return Reading(np.full(len(future.tested), np.nan), empty_results(len(future.listed), K)[0], fault)


def fault_of(users: Float32Array, works: Float32Array) -> str | None:
    """Why a model of these vectors must not serve, however it ranks; None where it may."""
    if not (users.size and works.size):
        return "it has no vectors"
    for what, vectors in (("people", users), ("artworks", works)):
        wrong = int((~np.isfinite(vectors).all(axis=1)).sum())
        if wrong:
            return f"the vectors of {wrong:,} of {len(vectors):,} {what} are not finite"
    if spread(Component("model", works, users), "dot") == 0:
        return "it gives every work the same score"
    return None
