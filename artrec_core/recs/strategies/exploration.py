"""Works that people have had little chance to see, and who is shown which of them where.

The draw is a hash of (seed, person, night, work): the same night gives the same lists, whatever the shards, and another night
other ones.
"""

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.columns import ARTWORK_ID
from artrec_core.config import Exploration

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
NEVER = np.uint64(2**64 - 1)


def new_works(
    artwork_ids: pl.Series,
    first_nights: pl.DataFrame,
    days: npt.NDArray[np.float64],
    people: Float32Array,
    line: Exploration,
) -> Flags:
    """Which works are new, (works,): in the catalogue for less than `nights`, or taken up by at most `people` people.

    `first_nights` (ARTWORK_ID, `night`) tells of earlier nights, `days` (works,) how long a work has been there. What was
    there on the first night that is known may be of any age, and is not new.
    """
    new = np.zeros(len(artwork_ids), bool)
    if line.nights is not None and first_nights.height:
        oldest = first_nights.filter(pl.col("night") == pl.col("night").min())[ARTWORK_ID]
        new |= (days < line.nights) & ~artwork_ids.is_in(oldest.implode()).to_numpy()
    return new | (people <= line.people) if line.people is not None else new


def hashes(texts: pl.Series, salt: str = "") -> Hashes:
    """A number for each text, the same on every machine."""
    digests = [hashlib.blake2b(f"{salt}\0{text}".encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def drawn(pool: Int32Array, people: Hashes, works: Hashes, most: int) -> Int32Array:
    """Up to `most` works of each person's pool (U, n), -1 where it has fewer: those of lowest hash of (person, work).

    `people` (U,) and `works` (I,) are numbers from `hashes`.
    """
    keys = np.where(pool >= 0, mixed(people[:, None] ^ works[pool]), NEVER)
    first = np.argsort(keys, axis=1, kind="stable")[:, :most]
    found: Int32Array = np.take_along_axis(pool, first, axis=1)
    return found


def moved(lists: Int32Array, explored: Flags, people: Hashes) -> Int32Array:
    """Lists (U, k) with the works that a person explores moved to places drawn by hash, never the first if others are there.

    `explored` (U, k) marks them. Everything else keeps its order.
    """
    ranks = np.arange(lists.shape[1], dtype=np.uint64)
    keys = mixed(people[:, None] + ranks[None, :] + np.uint64(1)) >> np.uint64(1)
    keys = np.where(ranks == 0, NEVER - np.uint64(1), keys)
    keys = np.where(lists >= 0, keys, NEVER)
    order = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
    chosen = order < explored.sum(axis=1)[:, None]
    out = np.empty_like(lists)
    out[chosen], out[~chosen] = lists[explored], lists[~explored]
    return out


def mixed(numbers: Hashes) -> Hashes:
    """The numbers well mixed (SplitMix64's finaliser: Steele, Lea and Flood, 2014)."""
    out = numbers ^ (numbers >> np.uint64(30))
    out = out * np.uint64(0xBF58476D1CE4E5B9)
    out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Hashes = out ^ (out >> np.uint64(31))
    return found
