"""From models to dumped lists, and from dumped lists to figures.

The two halves share nothing but the file: `dump` writes each person's best works without knowing a test work, and
`accuracy_of_lists` reads them beside the targets without knowing a model.
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

# People of a block share one random order of the catalogue: few enough that what ties bring is averaged over many orders.
PEOPLE_IN_BLOCK = 128


class Vectors(FactorModel):
    """Vectors from elsewhere, to be ranked as a baseline is."""

    def __init__(self, name: str, user_vectors: Float32Array, item_vectors: Float32Array) -> None:
        self.name, self.user_vectors, self.item_vectors = name, user_vectors, item_vectors


def best_works(
    model: Baseline, people: Int64Array, k: int, *, exclude: Any, among: Int64Array | None = None, seed: int = 0
) -> tuple[Int32Array, Float32Array]:
    """The k best works of these rows of people, ids and scores (n, k) as `top_k` gives them, but ties in random order.

    `top_k` breaks ties by the row of the work. Where a model's ties fall together with the order of the catalogue (old works first,
    popular ones first), that order would answer for the model; so the works are ranked in an order drawn anew for every block of
    people. `exclude` is a CSR (n, works); `among` are rows of the works to choose from, all of them unless given.
    """
    works = np.arange(exclude.shape[1]) if among is None else among
    ids, scores = empty_results(len(people), k)
    left_out = exclude.tocsr()
    for block, start in enumerate(range(0, len(people), PEOPLE_IN_BLOCK)):
        some = slice(start, start + PEOPLE_IN_BLOCK)
        order = np.random.default_rng([seed, block]).permutation(works)
        # Column c of the reordered matrix is work order[c].
        mixed = csr_array(left_out[some][:, order])
        if isinstance(model, FactorModel):
            users = model.user_vectors[people[some]]
            found, scores[some] = top_k(users, model.item_vectors[order], k, exclude=mixed)
        else:
            found, scores[some] = top_k_of_scores(model.scores(people[some])[:, order], k, exclude=mixed)
        ids[some] = np.where(found >= 0, order[found], -1)
    return ids, scores


def dump(path: Path, user_ids: list[str], artwork_ids: list[str], ids: Int32Array, scores: Float32Array) -> None:
    """Write lists as Parquet: USER_ID, RANK from 1, ARTWORK_ID, SCORE."""
    shown = ids >= 0
    people, places = np.nonzero(shown)
    pl.DataFrame(
        {
            USER_ID: pl.Series(user_ids, dtype=pl.String).gather(people),
            RANK: (places + 1).astype(np.int32),
            ARTWORK_ID: pl.Series(artwork_ids, dtype=pl.String).gather(ids[shown]),
            SCORE: scores[shown],
        }
    ).write_parquet(path)


def dumped(path: Path, user_ids: list[str], artwork_ids: list[str], k: int) -> Int32Array:
    """The works of dumped lists as rows (people, k), best first, -1 where a list is shorter; people without a list have none."""
    lists = pl.read_parquet(path)
    ids, _ = empty_results(len(user_ids), k)
    person = {one: row for row, one in enumerate(user_ids)}
    work = {one: row for row, one in enumerate(artwork_ids)}
    kept = lists.filter((pl.col(RANK) <= k) & pl.col(USER_ID).is_in(user_ids))
    people = [person[one] for one in kept[USER_ID].to_list()]
    ids[people, kept[RANK].to_numpy() - 1] = [work[one] for one in kept[ARTWORK_ID].to_list()]
    return ids


def accuracy_of_lists(
    ids: Int32Array, targets: NDArray[np.integer[Any]], ks: Iterable[int] = KS
) -> dict[str, Float64Array]:
    """HR, recall, precision, F1, NDCG and MRR at each k of lists (people, K) that should hold one target a person (people,).

    A value a person: {"ndcg@10": (people,), ...}. Lists are best first and padded with -1; they must not repeat a work.
    """
    people, works = len(ids), int(max(ids.max(initial=-1), targets.max(initial=-1))) + 1
    starts = np.arange(people + 1)
    return accuracy(ids, csr_array((np.ones(people), np.asarray(targets, np.int64), starts), shape=(people, works)), ks)
