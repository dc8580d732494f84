"""What the model must beat: popularity, ALS and EASE, behind one contract.

Each learns from a CSR of people x works (entries are how often, or how strongly) and ranks every work for the same people.
Somebody with no history gets the popular works. None of them leaves seen works out by itself: pass them as `exclude`.
"""

from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.recs.topk.search import top_k, top_k_of_scores

UserRows = npt.NDArray[np.int64]
# 1,024 people x 112,000 works x 4 bytes = 460 MB of scores.
USERS_IN_BLOCK = 1024


class Baseline(Protocol):
    """A recommender that learns from interactions alone."""

    name: str

    def fit(self, interactions: Any) -> Self:
        """Learn from a CSR (people, works)."""
        ...

    def scores(self, people: UserRows) -> Float32Array:
        """Scores (n, works) of these rows of the interactions it was fitted on."""
        ...

    def top_k(self, people: UserRows, k: int, *, exclude: Any = None) -> tuple[Int32Array, Float32Array]:
        """The k best works of these people; `exclude` is a CSR (n, works) of works to leave out."""
        ...


class FactorModel:
    """A baseline whose scores are inner products of `user_vectors` (people, d) and `item_vectors` (works, d)."""

    name = "factors"
    user_vectors: Float32Array
    item_vectors: Float32Array

    def scores(self, people: UserRows) -> Float32Array:
        """Scores (n, works) of these people."""
        return np.asarray(self.user_vectors[people] @ self.item_vectors.T, np.float32)

    def top_k(self, people: UserRows, k: int, *, exclude: Any = None) -> tuple[Int32Array, Float32Array]:
        """The k best works of these people, as `topk.top_k` returns them."""
        return top_k(self.user_vectors[people], self.item_vectors, k, exclude=exclude)


class Popularity(FactorModel):
    """Every person gets the works that most people took up."""

    name = "popularity"

    def fit(self, interactions: Any) -> Self:
        """Count the people of each work."""
        self.user_vectors = np.ones((interactions.shape[0], 1), np.float32)
        self.item_vectors = users_per_item(interactions)[:, None]
        return self


class Als(FactorModel):
    """Alternating least squares on implicit feedback (Hu, Koren, Volinsky 2008), by the `implicit` library.

    The last dimension is not ALS's: it holds the popularity that somebody with no history is scored by.
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
        """Factorise; on one thread, so that the same interactions give the same factors."""
        from implicit.cpu.als import AlternatingLeastSquares

        counts = csr_matrix(interactions, dtype=np.float32)
        people, works = counts.shape
        popular = users_per_item(counts)
        user_part, item_part = np.zeros((people, self.factors), np.float32), np.zeros((works, self.factors), np.float32)
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
            user_part, item_part = np.asarray(model.user_factors), np.asarray(model.item_factors)
        nobody = np.diff(counts.indptr) == 0
        user_part = np.where(nobody[:, None], np.float32(0), user_part)
        # A work nobody took up keeps the random factors ALS began with; it has no evidence for anyone.
        item_part = np.where((popular == 0)[:, None], np.float32(0), item_part)
        self.user_vectors = np.hstack([user_part, nobody[:, None].astype(np.float32)])
        self.item_vectors = np.hstack([item_part, popular[:, None]])
        return self


class Ease:
    """Embarrassingly shallow autoencoders (Steck 2019), in closed form.

    Inverting a works x works matrix takes its cube in time and its square in memory, so only the `max_works` works with
    the most people are modelled; the others score 0, as works without evidence do.
    """

    name = "ease"

    def __init__(self, regularization: float = 100.0, *, max_works: int = 6000) -> None:
        self.regularization, self.max_works = regularization, max_works

    def fit(self, interactions: Any) -> Self:
        """Solve for the weights between works. Raises `ValueError` where regularization is not positive."""
        if self.regularization <= 0:
            raise ValueError("EASE needs a positive regularization; without one its matrix has no inverse")
        taken = csr_matrix(interactions, dtype=np.float32)
        taken = csr_matrix((np.ones(taken.nnz, np.float32), taken.indices, taken.indptr), shape=taken.shape)
        self.popular = users_per_item(taken)
        ranked = np.argsort(-self.popular, kind="stable")[: self.max_works]
        self.modelled = np.sort(ranked[self.popular[ranked] > 0])
        self.taken = taken[:, self.modelled]
        gram = (self.taken.T @ self.taken).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.regularization
        if len(gram) == 0:
            self.weights = np.zeros((0, 0), np.float32)
            return self
        inverse = scipy.linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices_from(weights)] = 0
        self.weights = weights.astype(np.float32)
        return self

    def scores(self, people: UserRows) -> Float32Array:
        """Scores (n, works) of these people."""
        theirs = self.taken[people]
        scores = np.zeros((len(people), len(self.popular)), np.float32)
        scores[:, self.modelled] = theirs @ self.weights
        scores[np.diff(theirs.indptr) == 0] = self.popular
        return scores

    def top_k(self, people: UserRows, k: int, *, exclude: Any = None) -> tuple[Int32Array, Float32Array]:
        """The k best works of these people, as `topk.top_k` returns them."""
        blocks = []
        for first in range(0, max(len(people), 1), USERS_IN_BLOCK):
            some = slice(first, first + USERS_IN_BLOCK)
            left_out = None if exclude is None else exclude.tocsr()[some]
            blocks.append(top_k_of_scores(self.scores(people[some]), k, exclude=left_out))
        return np.concatenate([ids for ids, _ in blocks]), np.concatenate([scores for _, scores in blocks])


def users_per_item(interactions: Any) -> Float32Array:
    """How many people took up each work (works,), from a CSR of people x works."""
    return np.bincount(csr_matrix(interactions).indices, minlength=interactions.shape[1]).astype(np.float32)
