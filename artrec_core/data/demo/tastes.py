"""The latent space of the simulator. An artwork's facets decide its position; a user likes the artworks of a region."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from artrec_core.arrays import Float32Array
from artrec_core.columns import (
    ARTWORK_ID,
    CLASSIFICATION,
    CREATORS,
    CULTURE,
    MEDIUM,
    MOVEMENT,
    SUBJECTS,
    TITLE,
    YEAR_FROM,
)

DIM = 24
# The weight of each kind of facet. Several values of one kind, such as subjects, share the weight of the kind.
WEIGHTS = {
    "movement": 1.0,
    "creator": 0.8,
    "subject": 1.1,
    "culture": 0.6,
    "classification": 0.5,
    "century": 0.5,
    "medium": 0.3,
}
# The weight of a vector of the artwork's own, which no catalogue text describes. Without it, text would explain all of a
# user's taste.
OWN_WEIGHT = 0.45
# The standard deviation of log popularity. The most popular artworks are shown some hundred times as often as the least
# popular.
POPULARITY_SPREAD = 1.0
_MAX_SUBJECTS = 8
_UNKNOWN_VALUES = ("", "unknown", "anonymous", "unidentified", "artist unknown", "unknown artist")


@dataclass(frozen=True)
class LatentSpace:
    """Artworks and facets in the latent space.

    Attributes
    ----------
    artwork_ids : ids of the artworks, sorted
    artwork_vectors : (artworks, DIM) unit vectors
    log_popularity : (artworks,)
    facets : (kind, value) of each facet
    facet_weights : (facets, artworks) weight of each facet of an artwork, 0 for a facet that it does not have
    facet_weights_by_artwork : the same matrix, stored by column
    """

    artwork_ids: list[str]
    artwork_vectors: Float32Array
    log_popularity: Float32Array
    facets: list[tuple[str, str]]
    facet_weights: sparse.csr_matrix
    facet_weights_by_artwork: sparse.csc_matrix

    def facets_of(self, artwork: int) -> list[int]:
        """The facets of an artwork, the one with the highest weight first."""
        matrix = self.facet_weights_by_artwork
        column = slice(matrix.indptr[artwork], matrix.indptr[artwork + 1])
        facets, weights = matrix.indices[column], matrix.data[column]
        return [int(facets[position]) for position in np.lexsort((facets, -weights))]


def build_latent_space(artworks: pl.DataFrame, seed: int) -> LatentSpace:
    """Place the artworks (ARTWORK) that have an id and a title, sorted by id.

    The same artworks and seed give the same space.
    """
    titled = (
        artworks.filter(pl.col(ARTWORK_ID).is_not_null() & pl.col(TITLE).is_not_null())
        .unique(ARTWORK_ID, keep="last", maintain_order=True)
        .sort(ARTWORK_ID)
        .with_row_index("artwork")
    )
    ids: list[str] = titled[ARTWORK_ID].to_list()
    pairs = _artwork_facets(titled)
    names = pairs.select("kind", "facet").unique().sort("kind", "facet").with_row_index("row")
    pairs = pairs.join(names, on=["kind", "facet"]).sort("artwork", "row")
    weights = sparse.csr_matrix(
        (pairs["weight"].to_numpy(), (pairs["row"].to_numpy(), pairs["artwork"].to_numpy())),
        shape=(names.height, len(ids)),
    )
    facets = list(zip(names["kind"].to_list(), names["facet"].to_list(), strict=True))
    vectors = weights.T @ facet_vectors(facets, seed) + own_vectors(ids, seed)
    # The mean is what all artworks share ("painting"): it cannot distinguish tastes.
    vectors = normalise(vectors - vectors.mean(axis=0)) if len(ids) > 1 else normalise(vectors)
    popularity = hashed_normals([f"popularity:{artwork_id}" for artwork_id in ids], 1, seed)[:, 0]
    return LatentSpace(ids, vectors, POPULARITY_SPREAD * popularity, facets, weights, weights.tocsc())


def facet_vectors(facets: Sequence[tuple[str, str]], seed: int) -> Float32Array:
    """(facets, DIM) the vectors of the facets (kind, value)."""
    return hashed_normals([f"{kind}:{value}" for kind, value in facets], DIM, seed)


def own_vectors(artwork_ids: Sequence[str], seed: int) -> Float32Array:
    """(artworks, DIM) the vector of each artwork's own, which no text describes."""
    names = [f"work:{artwork_id}" for artwork_id in artwork_ids]
    return np.asarray(OWN_WEIGHT * hashed_normals(names, DIM, seed), np.float32)


def normalise(vectors: npt.NDArray[np.floating]) -> Float32Array:
    """The vectors scaled to length 1; a zero vector is unchanged."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def hashed_normals(names: Sequence[str], dim: int, seed: int) -> Float32Array:
    """(len(names), dim) approximately standard normal numbers. A row depends on its name and the seed alone.

    splitmix64 (Steele, Lea, Flood 2014) generates 64-bit numbers from the hash of the name. The sum of the four 16-bit
    pieces of each is scaled to variance 1.
    """
    hashes = np.array(
        [
            int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "little")
            for name in names
        ],
        dtype=np.uint64,
    )
    steps = np.arange(1, dim + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = hashes.reshape(-1, 1) + steps
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    sums = sum(((bits >> np.uint64(16 * piece)) & np.uint64(0xFFFF)).astype(np.float64) for piece in range(4))
    return np.asarray((sums - 2 * 65535) / (65536 * np.sqrt(4 / 12)), np.float32)


def _artwork_facets(artworks: pl.DataFrame) -> pl.DataFrame:
    """(artwork, kind, facet, weight) of all artworks; an artwork has each facet once."""
    words = pl.col(MEDIUM).str.to_lowercase().str.extract_all(r"[a-z]{4,}").list.head(3)
    century = (pl.col(YEAR_FROM) / 100).floor().cast(pl.Int32).cast(pl.String)
    names = pl.col(CREATORS).list.eval(pl.element().struct.field("name")).list.head(2)
    values = {
        "movement": pl.concat_list(MOVEMENT),
        "creator": names,
        "subject": pl.col(SUBJECTS).list.head(_MAX_SUBJECTS),
        "culture": pl.concat_list(CULTURE),
        "classification": pl.concat_list(CLASSIFICATION),
        "century": pl.concat_list(century),
        "medium": words,
    }
    frames = [
        artworks.select("artwork", facet=expression.cast(pl.List(pl.String)))
        .explode("facet")
        .select("artwork", pl.lit(kind).alias("kind"), pl.col("facet").str.strip_chars())
        .filter(pl.col("facet").is_not_null() & ~pl.col("facet").str.to_lowercase().is_in(_UNKNOWN_VALUES))
        .unique(maintain_order=True)
        .with_columns(weight=(WEIGHTS[kind] / pl.len().over("artwork").sqrt()).cast(pl.Float32))
        for kind, expression in values.items()
    ]
    return pl.concat(frames)
