"""The works that a person's list is chosen from, found among all works or among some."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array, Int32Array
from artrec_core.recs.topk.search import PreparedItems, empty_results, top_k

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Finalists:
    """Works of people, best first, of equal score the lower row first: ids and scores (U, n), padded with -1 and -inf."""

    ids: Int32Array
    scores: Float32Array

    def worst(self) -> Float64Array:
        """The lowest score of each person, (U,); 0 for somebody without finalists."""
        there = self.ids >= 0
        lowest = np.where(there, self.scores, np.inf).min(axis=1, initial=np.inf)
        return np.where(there.any(axis=1), lowest, 0.0).astype(np.float64)

    def and_others(self, ids: Int32Array, scores: Float32Array) -> "Finalists":
        """These and others of the same people, (U, m), each work once."""
        if ids.shape[1] == 0:
            return self
        both, values = np.hstack([self.ids, ids]), np.hstack([self.scores, scores])
        order = np.lexsort((both, -values), axis=1)
        both, values = np.take_along_axis(both, order, axis=1), np.take_along_axis(values, order, axis=1)
        twice = np.zeros(both.shape, bool)
        twice[:, 1:] = both[:, 1:] == both[:, :-1]
        gone = twice | (both < 0)
        last = np.argsort(gone, axis=1, kind="stable")
        width = int((~gone).sum(axis=1).max(initial=0))
        ids = np.take_along_axis(np.where(gone, -1, both), last, axis=1)[:, :width]
        scores = np.take_along_axis(np.where(gone, -np.inf, values), last, axis=1)[:, :width]
        return Finalists(np.ascontiguousarray(ids, np.int32), np.ascontiguousarray(scores, np.float32))

    def of_some(self, people: Places, ids: Int32Array, scores: Float32Array) -> "Finalists":
        """These and others of some of the people: ids and scores (people, m)."""
        others = empty_results(len(self.ids), ids.shape[1])
        others[0][people], others[1][people] = ids, scores
        return self.and_others(*others)


def among(ids: Int32Array, wanted: Int32Array) -> npt.NDArray[np.bool_]:
    """Which of ids (U, n) are among the wanted of the same person, (U, m); -1 never is."""
    found = np.zeros(ids.shape, bool)
    for column in range(wanted.shape[1]):
        found |= ids == wanted[:, column, None]
    return found & (ids >= 0)


class Search:
    """Looks for the best works of some people: by score for those who are `ranked`, the popular works for the others."""

    def __init__(
        self,
        users: Float32Array,
        items: PreparedItems,
        seen: csr_array,
        ranked: npt.NDArray[np.bool_],
        order: Int32Array,
        **how: Any,
    ) -> None:
        """users (U, D) and items (I, D) are folded vectors, `seen` a CSR (U, I), `order` (I,) all works, popular first."""
        self.users, self.items, self.seen, self.ranked, self.order = users, items, seen, ranked, order
        self._how = how

    def best(
        self, people: Places, k: int, works: Places | None, kept_out: Sequence[Int32Array] = ()
    ) -> tuple[Int32Array, Float32Array]:
        """The k best of `works` (all, where None) that these people have not seen and are not kept from: ids, scores (people, k).

        A popular work's score is minus its place among the popular ones.
        """
        ids, scores = empty_results(len(people), k)
        out = self.seen[people]
        if kept_out:
            out = _with(out, kept_out)
        ranked = self.ranked[people]
        rows = np.flatnonzero(ranked)
        if len(rows):
            of_rows = self.users[people[rows]]
            ids[rows], scores[rows] = top_k(of_rows, self.items, k, exclude=out[rows], candidates=works, **self._how)
        rows = np.flatnonzero(~ranked)
        if len(rows):
            ids[rows], scores[rows] = self._popular(out[rows], k, works)
        return ids, scores

    def popular(self, people: Places, k: int, works: Places | None) -> tuple[Int32Array, Float32Array]:
        """The k most popular of `works` that these people have not seen, as `best` gives them, ranked or not."""
        return self._popular(self.seen[people], k, works)

    def _popular(self, out: csr_array, k: int, works: Places | None) -> tuple[Int32Array, Float32Array]:
        place = np.arange(len(self.order), dtype=np.float32)
        if works is not None:
            allowed = np.zeros(len(self.order), bool)
            allowed[works] = True
            place = place[allowed[self.order]]
        order = self.order[place.astype(np.int64)]
        ids, scores = empty_results(out.shape[0], k)
        for row in range(out.shape[0]):
            known = out.indices[out.indptr[row] : out.indptr[row + 1]]
            first = order[: k + len(known)]
            new = np.flatnonzero(~np.isin(first, known))[:k] if len(known) else np.arange(min(k, len(first)))
            ids[row, : len(new)], scores[row, : len(new)] = first[new], -place[new]
        return ids, scores


def _with(rows: csr_array, more: Sequence[Int32Array]) -> csr_array:
    """The rows of a CSR with more columns stored in each."""
    starts = np.concatenate([[0], np.cumsum([len(one) for one in more])])
    columns = np.concatenate(more)
    others = csr_array((np.ones(len(columns), np.float32), columns, starts), shape=rows.shape)
    return (rows + others).tocsr()
