"""The baselines that the model must beat: popularity, ALS and EASE, behind one interface.

Each learns from a CSR matrix of users x items, whose entries say how often or how strongly. Then it ranks all items for
the same users. A user without a history gets the popular items. No baseline leaves out seen items by itself: pass them
as `exclude`.
"""

from typing import Any, Protocol, Self

import numpy as np
import scipy.linalg
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from artrec_core.arrays import Float32Array, Int32Array, Int64Array
from artrec_core.recs.topk.search import top_k, top_k_of_scores

# 1,024 users x 112,000 items x 4 bytes = 460 MB of scores.
USERS_IN_BLOCK = 1024


class Ranker(Protocol):
    """Anything that scores all items for users. The parameter `users` (n,) names rows of users that it knows."""

    name: str

    def scores(self, users: Int64Array) -> Float32Array:
        """Scores (n, items) of these users."""
        ...


class Baseline(Ranker, Protocol):
    """A recommender that learns from interactions alone: `users` are rows of the interactions that it was fitted to."""

    def fit(self, interactions: Any) -> Self:
        """Learn from a CSR matrix (users, items)."""
        ...

    def top_k(self, users: Int64Array, k: int, *, exclude: Any = None) -> tuple[Int32Array, Float32Array]:
        """The k best items of these users, as `topk.search.top_k` returns them; `exclude` is a CSR (n, items)."""
        ...


class FactorModel:
    """A baseline whose scores are inner products of `user_vectors` (users, d) and `item_vectors` (items, d)."""

    name = "factors"
    user_vectors: Float32Array
    item_vectors: Float32Array

    def scores(self, users: Int64Array) -> Float32Array:
        """Scores (n, items) of these users."""
        return np.asarray(self.user_vectors[users] @ self.item_vectors.T, np.float32)

    def top_k(self, users: Int64Array, k: int, *, exclude: Any = None) -> tuple[Int32Array, Float32Array]:
        """The k best items of these users, as `topk.search.top_k` returns them."""
        return top_k(self.user_vectors[users], self.item_vectors, k, exclude=exclude)


class Popularity(FactorModel):
    """Gives every user the items that most users have."""

    name = "popularity"

    def fit(self, interactions: Any) -> Self:
        """Count the users of each item."""
        self.user_vectors = np.ones((interactions.shape[0], 1), np.float32)
        self.item_vectors = users_per_item(interactions)[:, None]
        return self


class Als(FactorModel):
    """Alternating least squares on implicit feedback (Hu, Koren, Volinsky 2008), by the `implicit` library.

    The last dimension does not come from ALS. It holds the popularity, which scores items for users without a history.
    """

    name = "als"

    def __init__(
        self,
        factors: int = 64,
        *,
        regularization: float = 0.05,
        alpha: float = 10.0,
        iterations: int = 15,
        seed: int = 0,
    ) -> None:
        self.factors, self.regularization, self.alpha = factors, regularization, alpha
        self.iterations, self.seed = iterations, seed

    def fit(self, interactions: Any) -> Self:
        """Factorise on one thread, so that the same interactions give the same factors."""
        from implicit.cpu.als import AlternatingLeastSquares

        counts = csr_matrix(interactions, dtype=np.float32)
        users, items = counts.shape
        popularity = users_per_item(counts)
        user_factors = np.zeros((users, self.factors), np.float32)
        item_factors = np.zeros((items, self.factors), np.float32)
        if counts.nnz:
            with threadpool_limits(1, user_api="blas"):
                model = AlternatingLeastSquares(
                    factors=self.factors,
                    regularization=self.regularization,
                    alpha=self.alpha,
                    iterations=self.iterations,
                    num_threads=1,
                    random_state=self.seed,
                )
                model.fit(counts, show_progress=False)
            user_factors, item_factors = np.asarray(model.user_factors), np.asarray(model.item_factors)
        is_new = np.diff(counts.indptr) == 0
        user_factors = np.where(is_new[:, None], np.float32(0), user_factors)
        # An item without users keeps the random factors that ALS started with; they say nothing about any user.
        item_factors = np.where((popularity == 0)[:, None], np.float32(0), item_factors)
        self.user_vectors = np.hstack([user_factors, is_new[:, None].astype(np.float32)])
        self.item_vectors = np.hstack([item_factors, popularity[:, None]])
        return self


class Ease:
    """Embarrassingly shallow autoencoders (Steck 2019), in closed form.

    To invert an items x items matrix takes time with the cube of the items and memory with their square. So only the
    `max_items` items with the most users are modelled. The others score 0, as items without users do.
    """

    name = "ease"

    def __init__(self, regularization: float = 100.0, *, max_items: int = 6000) -> None:
        self.regularization, self.max_items = regularization, max_items

    def fit(self, interactions: Any) -> Self:
        """Solve for the weights between items. Raises `ValueError` if regularization is not positive."""
        if self.regularization <= 0:
            raise ValueError("EASE needs a positive regularization; without one its matrix has no inverse")
        pairs = csr_matrix(interactions, dtype=np.float32)
        pairs = csr_matrix((np.ones(pairs.nnz, np.float32), pairs.indices, pairs.indptr), shape=pairs.shape)
        self.popularity = users_per_item(pairs)
        popular_items = np.argsort(-self.popularity, kind="stable")[: self.max_items]
        self.modelled_items = np.sort(popular_items[self.popularity[popular_items] > 0])
        self.pairs = pairs[:, self.modelled_items]
        gram = (self.pairs.T @ self.pairs).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.regularization
        if len(gram) == 0:
            self.weights = np.zeros((0, 0), np.float32)
            return self
        inverse = scipy.linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices_from(weights)] = 0
        self.weights = weights.astype(np.float32)
        return self

    def scores(self, users: Int64Array) -> Float32Array:
        """Scores (n, items) of these users."""
        user_pairs = self.pairs[users]
        scores = np.zeros((len(users), len(self.popularity)), np.float32)
        scores[:, self.modelled_items] = user_pairs @ self.weights
        scores[np.diff(user_pairs.indptr) == 0] = self.popularity
        return scores

    def top_k(self, users: Int64Array, k: int, *, exclude: Any = None) -> tuple[Int32Array, Float32Array]:
        """The k best items of these users, as `topk.search.top_k` returns them."""
        blocks = []
        for first in range(0, max(len(users), 1), USERS_IN_BLOCK):
            block = slice(first, first + USERS_IN_BLOCK)
            block_exclude = None if exclude is None else exclude.tocsr()[block]
            blocks.append(top_k_of_scores(self.scores(users[block]), k, exclude=block_exclude))
        return np.concatenate([ids for ids, _ in blocks]), np.concatenate([scores for _, scores in blocks])


def users_per_item(interactions: Any) -> Float32Array:
    """How many users each item has, (items,), from a CSR matrix of users x items."""
    return np.bincount(csr_matrix(interactions).indices, minlength=interactions.shape[1]).astype(np.float32)
