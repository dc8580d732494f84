"""Lists as files: models write them, metrics are computed from them.

The two halves share only the file. `write_lists` writes each user's best artworks without the test artworks;
`accuracy_of_lists` compares lists with the test artworks without the model.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.columns import ARTWORK_ID, RANK, SCORE, USER_ID
from artrec_core.evaluation.metrics import accuracy
from artrec_core.evaluation.ranking import KS
from artrec_core.recs.interaction_models import Baseline, FactorModel
from artrec_core.recs.topk.search import empty_results, top_k, top_k_of_scores

# Users of a block share one random order of the catalogue. Small blocks average the effect of ties over many orders.
USERS_IN_BLOCK = 128


class VectorModel(FactorModel):
    """A model given by its vectors, ranked like a baseline."""

    def __init__(self, name: str, user_vectors: Float32Array, item_vectors: Float32Array) -> None:
        self.name, self.user_vectors, self.item_vectors = name, user_vectors, item_vectors


def best_artworks(
    model: Baseline, users: Int64Array, k: int, *, exclude: Any, among: Int64Array | None = None, seed: int = 0
) -> tuple[Int32Array, Float32Array]:
    """Find the k best artworks of each user, with ties in random order.

    `top_k` breaks ties by row. If the catalogue's order carries information (old artworks first, popular ones first),
    this would help a model whose scores tie. So each block of users gets a new random order of the artworks.

    Parameters
    ----------
    model
        Any model with the baselines' interface.
    users
        Rows of the users, (n,).
    k
        Artworks per user.
    exclude
        CSR (n, I) of the artworks to leave out.
    among
        Rows of the artworks to choose from; None stands for all.
    seed
        Seed of the orders.

    Returns
    -------
    ids, scores
        (n, k) each, as `top_k` returns them.
    """
    artworks = np.arange(exclude.shape[1]) if among is None else among
    ids, scores = empty_results(len(users), k)
    exclude_rows = exclude.tocsr()
    for block_number, start in enumerate(range(0, len(users), USERS_IN_BLOCK)):
        block = slice(start, start + USERS_IN_BLOCK)
        order = np.random.default_rng([seed, block_number]).permutation(artworks)
        # Column c of the reordered matrix is artwork order[c].
        reordered_exclude = csr_array(exclude_rows[block][:, order])
        if isinstance(model, FactorModel):
            vectors = model.user_vectors[users[block]]
            columns, scores[block] = top_k(vectors, model.item_vectors[order], k, exclude=reordered_exclude)
        else:
            reordered_scores = model.scores(users[block])[:, order]
            columns, scores[block] = top_k_of_scores(reordered_scores, k, exclude=reordered_exclude)
        ids[block] = np.where(columns >= 0, order[columns], -1)
    return ids, scores


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
    user_rows = {user_id: row for row, user_id in enumerate(user_ids)}
    artwork_rows = {artwork_id: row for row, artwork_id in enumerate(artwork_ids)}
    rows = lists.filter((pl.col(RANK) <= k) & pl.col(USER_ID).is_in(user_ids))
    users = [user_rows[user_id] for user_id in rows[USER_ID].to_list()]
    artworks = [artwork_rows[artwork_id] for artwork_id in rows[ARTWORK_ID].to_list()]
    ids[users, rows[RANK].to_numpy() - 1] = artworks
    return ids


def accuracy_of_lists(
    ids: Int32Array, targets: NDArray[np.integer[Any]], ks: Iterable[int] = KS
) -> dict[str, Float64Array]:
    """Compute HR, recall, precision, F1, NDCG and MRR at each k for one held-out artwork per user.

    Parameters
    ----------
    ids
        Lists (U, K), best first, padded with -1, without duplicates.
    targets
        The held-out artwork of each user, (U,).
    ks
        Lengths of the lists to measure.

    Returns
    -------
    One value per user: {"ndcg@10": (U,), ...}.
    """
    user_count, artwork_count = len(ids), int(max(ids.max(initial=-1), targets.max(initial=-1))) + 1
    starts = np.arange(user_count + 1)
    columns = np.asarray(targets, np.int64)
    held_out = csr_array((np.ones(user_count), columns, starts), shape=(user_count, artwork_count))
    return accuracy(ids, held_out, ks)
