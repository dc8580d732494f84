"""Similarity of artworks by the cosine of their vectors: the most similar artworks, and the diversity of lists."""

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.recs.topk.search import PreparedItems, top_k

# 4,096 lists x 20 artworks x 384 numbers x 4 bytes = 126 MB.
LISTS_IN_BLOCK = 4096


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


def list_diversity(ids: Int32Array, unit_vectors: Float32Array) -> Float64Array:
    """Compute the mean of 1 - cosine over the pairs of artworks in each list.

    Parameters
    ----------
    ids
        Lists (U, K), padded with -1.
    unit_vectors
        (I, d) of length 1 (see `unit_rows`); artworks with a zero vector are ignored.

    Returns
    -------
    One value per list with at least two artworks.
    """
    has_vector: BoolArray = np.asarray(unit_vectors.any(axis=1))
    is_artwork = (ids >= 0) & has_vector[ids]
    counts = is_artwork.sum(axis=1)
    rows = np.flatnonzero(counts >= 2)
    diversities = np.zeros(len(rows))
    for start in range(0, len(rows), LISTS_IN_BLOCK):
        block = rows[start : start + LISTS_IN_BLOCK]
        vectors = np.where(is_artwork[block][:, :, None], unit_vectors[ids[block]], np.float32(0))
        # |sum of unit vectors|^2 = their number + twice the sum of cosines over pairs.
        sums = vectors.sum(axis=1, dtype=np.float64)
        cosines = ((sums**2).sum(axis=1) - counts[block]) / (counts[block] * (counts[block] - 1))
        diversities[start : start + LISTS_IN_BLOCK] = 1 - cosines
    return diversities
