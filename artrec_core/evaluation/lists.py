"""Lists as files: a process that does not know the test artworks writes them, and another one measures them."""

from pathlib import Path

import numpy as np
import polars as pl

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.columns import ARTWORK_ID, RANK, SCORE, USER_ID
from artrec_core.data.rows import row_numbers
from artrec_core.recs.topk.search import empty_results


def write_lists(path: Path, user_ids: list[str], artwork_ids: list[str], ids: Int32Array, scores: Float32Array) -> None:
    """Write lists as Parquet: USER_ID, RANK from 1, ARTWORK_ID, SCORE.

    Parameters
    ----------
    path
        The file.
    user_ids, artwork_ids
        Ids of the rows of `ids`, and of the artworks that `ids` holds as row numbers.
    ids, scores
        The lists, (users, k), best first, padded with -1.
    """
    is_artwork = ids >= 0
    users, places = np.nonzero(is_artwork)
    pl.DataFrame(
        {
            USER_ID: pl.Series(user_ids, dtype=pl.String).gather(users),
            RANK: (places + 1).astype(np.int32),
            ARTWORK_ID: pl.Series(artwork_ids, dtype=pl.String).gather(ids[is_artwork]),
            SCORE: scores[is_artwork],
        }
    ).write_parquet(path)


def read_lists(path: Path, user_ids: list[str], artwork_ids: list[str], k: int) -> Int32Array:
    """Read lists as row numbers of artworks, (users, k), best first, padded with -1.

    Parameters
    ----------
    path
        A file that `write_lists` has written.
    user_ids, artwork_ids
        The users to read, and the artworks whose row numbers are returned.
    k
        Length of the lists; longer ones are cut.
    """
    lists = pl.read_parquet(path)
    ids, _ = empty_results(len(user_ids), k)
    rows = lists.filter((pl.col(RANK) <= k) & pl.col(USER_ID).is_in(user_ids))
    users = row_numbers(rows[USER_ID], user_ids)
    ids[users, rows[RANK].to_numpy() - 1] = row_numbers(rows[ARTWORK_ID], artwork_ids)
    return ids
