"""Works like a work."""

import numpy as np
from scipy.sparse import csr_array

from artrec_core.recs.topk import Floats, Ints, top_k


def units(vectors: Floats) -> Floats:
    """The vectors made unit long, so that their product is the cosine; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit_long: Floats = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0).astype(np.float32)
    return unit_long


def similar_artworks(
    unit_vectors: Floats, k: int, begin: int, end: int, *, threads: int | None = None, memory_mb: int = 512
) -> tuple[Ints, Floats]:
    """The k works of highest cosine with each of works begin..end, the work itself left out.

    unit_vectors (I, d) are unit long (see `units`); returns ids and cosines, (end - begin, k) each, as `top_k` does.
    """
    many = end - begin
    itself = csr_array(
        (np.ones(many, np.int8), np.arange(begin, end), np.arange(many + 1)), shape=(many, len(unit_vectors))
    )
    return top_k(unit_vectors[begin:end], unit_vectors, k, exclude=itself, threads=threads, memory_mb=memory_mb)
