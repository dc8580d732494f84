"""The latent space in which simulated visitors like works: what a work is about decides where it lies."""

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
# How much a facet says of a work; several values of one kind (subjects) share the kind's weight.
WEIGHTS = {
    "movement": 1.0,
    "creator": 0.8,
    "subject": 1.1,
    "culture": 0.6,
    "classification": 0.5,
    "century": 0.5,
    "medium": 0.3,
}
# What no catalogue tells of a work: without it, text would explain all of a visitor's taste.
OWN_WEIGHT = 0.45
# Spread of log popularity: the best known works are met some hundred times as often as the least known.
POPULARITY_SPREAD = 1.0
_SUBJECTS_OF_A_WORK = 8
_NOBODY = ("", "unknown", "anonymous", "unidentified", "artist unknown", "unknown artist")


@dataclass(frozen=True)
class Space:
    """Works (n) and facets (f) in the latent space.

    `works` (n, DIM) has unit rows; `log_popularity` is (n,); `facets` names each facet as (kind, value), and `has`
    (f, n) says with its weights which work has which; `of_work` is the same by column.
    """

    artwork_ids: list[str]
    works: Float32Array
    log_popularity: Float32Array
    facets: list[tuple[str, str]]
    has: sparse.csr_matrix
    of_work: sparse.csc_matrix

    def facets_of(self, work: int) -> list[int]:
        """The facets of one work, the most telling first."""
        of_work = slice(self.of_work.indptr[work], self.of_work.indptr[work + 1])
        facets, weights = self.of_work.indices[of_work], self.of_work.data[of_work]
        return [int(facets[at]) for at in np.lexsort((facets, -weights))]


def space(artworks: pl.DataFrame, seed: int) -> Space:
    """Place the works that have an id and a title, ordered by id; the same names and seed give the same place."""
    shown = (
        artworks.filter(pl.col(ARTWORK_ID).is_not_null() & pl.col(TITLE).is_not_null())
        .unique(ARTWORK_ID, keep="last", maintain_order=True)
        .sort(ARTWORK_ID)
        .with_row_index("work")
    )
    ids: list[str] = shown[ARTWORK_ID].to_list()
    pairs = _facets(shown)
    names = pairs.select("kind", "facet").unique().sort("kind", "facet").with_row_index("at")
    pairs = pairs.join(names, on=["kind", "facet"]).sort("work", "at")
    has = sparse.csr_matrix(
        (pairs["weight"].to_numpy(), (pairs["at"].to_numpy(), pairs["work"].to_numpy())), shape=(names.height, len(ids))
    )
    facets = list(zip(names["kind"].to_list(), names["facet"].to_list(), strict=True))
    works = has.T @ facet_vectors(facets, seed) + own_vectors(ids, seed)
    # What all works share (every one is a painting) is nobody's taste.
    works = unit(works - works.mean(axis=0)) if len(ids) > 1 else unit(works)
    popularity = hashed_normals([f"popularity:{one}" for one in ids], 1, seed)[:, 0]
    return Space(ids, works, POPULARITY_SPREAD * popularity, facets, has, has.tocsc())


def facet_vectors(facets: Sequence[tuple[str, str]], seed: int) -> Float32Array:
    """(facets, DIM) where the facets (kind, value) lie."""
    return hashed_normals([f"{kind}:{value}" for kind, value in facets], DIM, seed)


def own_vectors(artwork_ids: Sequence[str], seed: int) -> Float32Array:
    """(works, DIM) what is each work's own and no text tells."""
    return np.asarray(OWN_WEIGHT * hashed_normals([f"work:{one}" for one in artwork_ids], DIM, seed), np.float32)


def unit(vectors: npt.NDArray[np.floating]) -> Float32Array:
    """The vectors at length one; a zero vector stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def hashed_normals(names: Sequence[str], dim: int, seed: int) -> Float32Array:
    """(len(names), dim) nearly normal numbers that depend on each name and the seed alone.

    splitmix64 (Steele, Lea, Flood 2014) of the name's hash; four 16-bit pieces of a number are summed.
    """
    hashes = np.array(
        [
            int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "little")
            for name in names
        ],
        dtype=np.uint64,
    )
    steps = np.arange(1, dim + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = hashes.reshape(-1, 1) + steps
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    pieces = sum(((mixed >> np.uint64(16 * at)) & np.uint64(0xFFFF)).astype(np.float64) for at in range(4))
    return np.asarray((pieces - 2 * 65535) / (65536 * np.sqrt(4 / 12)), np.float32)


def _facets(shown: pl.DataFrame) -> pl.DataFrame:
    """(work, kind, facet, weight) of every work, each facet once a work."""
    words = pl.col(MEDIUM).str.to_lowercase().str.extract_all(r"[a-z]{4,}").list.head(3)
    century = (pl.col(YEAR_FROM) / 100).floor().cast(pl.Int32).cast(pl.String)
    names = pl.col(CREATORS).list.eval(pl.element().struct.field("name")).list.head(2)
    values = {
        "movement": pl.concat_list(MOVEMENT),
        "creator": names,
        "subject": pl.col(SUBJECTS).list.head(_SUBJECTS_OF_A_WORK),
        "culture": pl.concat_list(CULTURE),
        "classification": pl.concat_list(CLASSIFICATION),
        "century": pl.concat_list(century),
        "medium": words,
    }
    long = [
        shown.select("work", facet=expression.cast(pl.List(pl.String)))
        .explode("facet")
        .select("work", pl.lit(kind).alias("kind"), pl.col("facet").str.strip_chars())
        .filter(pl.col("facet").is_not_null() & ~pl.col("facet").str.to_lowercase().is_in(_NOBODY))
        .unique(maintain_order=True)
        .with_columns(weight=(WEIGHTS[kind] / pl.len().over("work").sqrt()).cast(pl.Float32))
        for kind, expression in values.items()
    ]
    return pl.concat(long)
