"""Models measured on a held-out split: how they rank held-out artworks, and which lists they give.

Every model reads the same histories and ranks for the same users and artworks, so two models can be compared user by
user.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.evaluation.ranking import VectorModel, measure_ranking, seen_matrix
from artrec_core.model.sequences import Sequences
from artrec_core.recs.interaction_models import Popularity, Ranker, users_per_item
from artrec_core.recs.strategies.folding import Component, spread
from artrec_core.recs.topk.search import empty_results, top_k

K = 10
# Lists of so many users give coverage and overlap to one percent.
MAX_LISTED_USERS = 10_000
# The popular artworks are the first percent of the catalogue, and at least so many.
POPULAR_SHARE = 0.01
MIN_POPULAR = 20
# 20 artworks of a small catalogue may fill every list, so the popular ones are at most this share.
MAX_POPULAR_SHARE = 0.1


@dataclass(frozen=True)
class HeldOutSplit:
    """Histories before the test, and what was held out of them, for users U and artworks I.

    `seen_pairs` is a CSR (U, I) of the artworks that each user saw before the test. `tested_users` (n,) are rows of
    users and `targets` (n,) the row of the artwork held out for each. `listed_users` (m,) are rows of the users whose
    lists are compared. `popularity` is the popularity baseline; without it, one is fitted to `seen_pairs`.
    """

    seen_pairs: csr_array
    tested_users: Int64Array
    targets: Int64Array
    listed_users: Int64Array
    popularity: Ranker | None = None

    @classmethod
    def from_histories(
        cls,
        before: Sequences,
        artwork_count: int,
        tested_users: Int64Array,
        targets: Int64Array,
        popularity: Ranker | None = None,
    ) -> "HeldOutSplit":
        """Make a split.

        Users who have seen all artworks get no list. Of the others, at most `MAX_LISTED_USERS`, evenly spaced, do.

        Parameters
        ----------
        before
            Histories of all users before the test.
        artwork_count
            Artworks of the catalogue.
        tested_users, targets
            Rows of the tested users, and of the artwork held out for each, (n,).
        popularity
            The popularity baseline, fitted to the histories before the test.
        """
        seen_pairs = seen_matrix(before, artwork_count)
        with_unseen = np.flatnonzero(np.diff(seen_pairs.indptr) < artwork_count)
        sample_size = min(len(with_unseen), MAX_LISTED_USERS)
        sample = np.linspace(0, max(len(with_unseen) - 1, 0), sample_size).astype(np.int64)
        return cls(seen_pairs, tested_users, targets, with_unseen[sample], popularity)

    @property
    def artwork_count(self) -> int:
        """Artworks of the catalogue."""
        return int(self.seen_pairs.shape[1])

    @cached_property
    def popular(self) -> Int64Array:
        """Rows of the artworks that most users have seen, the most popular first."""
        limit = max(1, round(self.artwork_count * MAX_POPULAR_SHARE))
        count = min(max(MIN_POPULAR, round(self.artwork_count * POPULAR_SHARE)), limit)
        return np.argsort(-users_per_item(self.seen_pairs), kind="stable")[:count]

    def popularity_ndcg(self) -> Float64Array:
        """NDCG@10 of the popularity baseline, (n,)."""
        return self._measure(self.popularity or Popularity().fit(self.seen_pairs))

    def ndcg(self, users: Float32Array, artworks: Float32Array) -> Float64Array:
        """NDCG@10 of vectors (U, d) and (I, d), (n,)."""
        return self._measure(VectorModel("vectors", users, artworks))

    def _measure(self, model: Ranker) -> Float64Array:
        if not len(self.tested_users):
            return np.zeros(0)
        exclude = self.seen_pairs[self.tested_users]
        return measure_ranking(model, self.tested_users, self.targets, exclude=exclude)[f"ndcg@{K}"]

    def lists(self, users: Float32Array, artworks: Float32Array) -> Int32Array:
        """The ten best unseen artworks of the listed users, (m, 10), padded with -1."""
        return top_k(users[self.listed_users], artworks, K, exclude=self.seen_pairs[self.listed_users])[0]


@dataclass(frozen=True)
class HeldOutResult:
    """A model's NDCG@10 (n,) and lists (m, 10), or the fault that makes it unusable."""

    ndcg: Float64Array
    lists: Int32Array
    fault: str | None = None


def measure_vectors(users: Float32Array, artworks: Float32Array, split: HeldOutSplit) -> HeldOutResult:
    """Measure a model on a held-out split by its vectors (U, d) and (I, d)."""
    if (fault := find_fault(users, artworks)) is not None:
        return faulty_result(fault, split)
    return HeldOutResult(split.ndcg(users, artworks), split.lists(users, artworks))


def faulty_result(fault: str, split: HeldOutSplit) -> HeldOutResult:
    """The result of a model that cannot be used: no metric, no lists."""
    return HeldOutResult(np.full(len(split.tested_users), np.nan), empty_results(len(split.listed_users), K)[0], fault)


def find_fault(users: Float32Array, artworks: Float32Array) -> str | None:
    """Why a model with these vectors must not be served, whatever its metrics are; None if it may."""
    if not (users.size and artworks.size):
        return "it has no vectors"
    for name, vectors in (("users", users), ("artworks", artworks)):
        count = int((~np.isfinite(vectors).all(axis=1)).sum())
        if count:
            return f"the vectors of {count:,} of {len(vectors):,} {name} are not finite"
    if spread(Component("model", artworks, users), "dot") == 0:
        return "it gives every artwork the same score"
    return None
