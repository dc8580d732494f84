"""Similar artworks: those whose vectors point in the nearest directions."""

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Int32Array, Int64Array
from artrec_core.recs.topk.search import PreparedItems, top_k


def unit_rows(vectors: Float32Array) -> Float32Array:
    """The vectors scaled to length 1, so that their product is the cosine. Zero vectors stay zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    units: Float32Array = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0).astype(np.float32)
    return units


def similar_artworks(
    unit_vectors: PreparedItems,
    k: int,
    artwork_rows: Int64Array,
    *,
    among: Int64Array | None = None,
    threads: int | None = None,
    memory_mb: int = 512,
) -> tuple[Int32Array, Float32Array]:
    """The k artworks with the highest cosine for each of these artworks, without the artwork itself.

    Parameters
    ----------
    unit_vectors
        (I, d), all artworks, of length 1 (see `unit_rows`).
    k
        How many similar artworks each gets.
    artwork_rows
        The artworks (n,), as rows of `unit_vectors`.
    among
        The only rows that may be chosen. None: all rows.
    threads, memory_mb
        As in `top_k`.

    Returns
    -------
    ids, cosines : (n, k)
        As `top_k` returns them.
    """
    count, vectors = len(artwork_rows), unit_vectors.vectors
    itself = csr_array((np.ones(count, np.int8), artwork_rows, np.arange(count + 1)), shape=(count, len(vectors)))
    options = {"threads": threads, "memory_mb": memory_mb}
    return top_k(vectors[artwork_rows], unit_vectors, k, exclude=itself, candidates=among, **options)  # type: ignore[arg-type]
