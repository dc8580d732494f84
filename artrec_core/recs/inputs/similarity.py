"""Works like a work."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.recs.topk.search import PreparedItems, top_k


def unit_rows(vectors: Float32Array) -> Float32Array:
    """The vectors made unit long, so that their product is the cosine; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit_long: Float32Array = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0).astype(
        np.float32
    )
    return unit_long


def similar_artworks(
    unit_vectors: PreparedItems,
    k: int,
    works: npt.NDArray[np.int64],
    *,
    among: npt.NDArray[np.int64] | None = None,
    threads: int | None = None,
    memory_mb: int = 512,
) -> tuple[Int32Array, Float32Array]:
    """The k works of highest cosine with each of `works`, the work itself left out, chosen from `among` (all, where None).

    unit_vectors (I, d) are unit long (see `units`); returns ids and cosines, (works, k) each, as `top_k` does.
    """
    many, every = len(works), unit_vectors.vectors
    itself = csr_array((np.ones(many, np.int8), works, np.arange(many + 1)), shape=(many, len(every)))
    how = {"threads": threads, "memory_mb": memory_mb}
    return top_k(every[works], unit_vectors, k, exclude=itself, candidates=among, **how)  # type: ignore[arg-type]
