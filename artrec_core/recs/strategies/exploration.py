"""Exploration: which artworks are new to users, which of them a user is shown, and at which place of the list.

Draws are hashes of (seed, user, day, artwork). The same day gives the same lists, however users are sharded; another
day gives other lists.
"""

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from artrec_core.columns import ARTWORK_ID
from artrec_core.config import Exploration

Hashes = npt.NDArray[np.uint64]
MAX_HASH = np.uint64(2**64 - 1)


def find_new_artworks(
    artwork_ids: pl.Series,
    first_nights: pl.DataFrame,
    days: Float64Array,
    user_counts: Float32Array,
    settings: Exploration,
) -> BoolArray:
    """Find the artworks that few users can know.

    An artwork is new if it entered the catalogue less than `settings.nights` ago, or if at most `settings.max_users`
    users have a positive event with it. Artworks of the first known night may be of any age, so their age does not
    make them new.

    Parameters
    ----------
    artwork_ids
        The artworks, (I,).
    first_nights
        ARTWORK_ID and `night`: the first earlier night that had the artwork.
    days
        Days that each artwork has been in the catalogue, (I,).
    user_counts
        Users with a positive event with each artwork, (I,).
    settings
        The strategy's exploration section.

    Returns
    -------
    Whether each artwork is new, (I,).
    """
    is_new = np.zeros(len(artwork_ids), bool)
    if settings.nights is not None and first_nights.height:
        oldest = first_nights.filter(pl.col("night") == pl.col("night").min())[ARTWORK_ID]
        is_new |= (days < settings.nights) & ~artwork_ids.is_in(oldest.implode()).to_numpy()
    return is_new | (user_counts <= settings.max_users) if settings.max_users is not None else is_new


def hash_texts(texts: pl.Series, salt: str = "") -> Hashes:
    """Hash each text to 64 bits, (n,), the same on every machine. Another salt gives other hashes."""
    digests = [hashlib.blake2b(f"{salt}\0{text}".encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def draw_explored(pool: Int32Array, user_hashes: Hashes, artwork_hashes: Hashes, limit: int) -> Int32Array:
    """Draw up to `limit` artworks of each user's pool: those with the lowest hash of (user, artwork).

    Parameters
    ----------
    pool
        Rows of artworks (U, n), padded with -1.
    user_hashes, artwork_hashes
        Hashes from `hash_texts`, (U,) and (I,).
    limit
        Artworks per user.

    Returns
    -------
    Rows of artworks (U, limit), padded with -1.
    """
    keys = np.where(pool >= 0, mix_bits(user_hashes[:, None] ^ artwork_hashes[pool]), MAX_HASH)
    first = np.argsort(keys, axis=1, kind="stable")[:, :limit]
    explored_artworks: Int32Array = np.take_along_axis(pool, first, axis=1)
    return explored_artworks


def shuffle_explored(lists: Int32Array, is_explored: BoolArray, user_hashes: Hashes) -> Int32Array:
    """Move the explored artworks of lists (U, k) to places drawn by hash.

    The first place is drawn only if all artworks are explored. All other artworks keep their order.

    Parameters
    ----------
    lists
        Artworks (U, k), padded with -1.
    is_explored
        Whether a user explores the artwork at a place, (U, k).
    user_hashes
        Hashes from `hash_texts`, (U,).
    """
    ranks = np.arange(lists.shape[1], dtype=np.uint64)
    keys = mix_bits(user_hashes[:, None] + ranks[None, :] + np.uint64(1)) >> np.uint64(1)
    keys = np.where(ranks == 0, MAX_HASH - np.uint64(1), keys)
    keys = np.where(lists >= 0, keys, MAX_HASH)
    order = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
    is_drawn = order < is_explored.sum(axis=1)[:, None]
    shuffled_lists = np.empty_like(lists)
    shuffled_lists[is_drawn], shuffled_lists[~is_drawn] = lists[is_explored], lists[~is_explored]
    return shuffled_lists


def mix_bits(numbers: Hashes) -> Hashes:
    """Mix the bits of numbers by SplitMix64's finaliser (Steele, Lea and Flood, 2014)."""
    bits = numbers ^ (numbers >> np.uint64(30))
    bits = bits * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashes: Hashes = bits ^ (bits >> np.uint64(31))
    return hashes
