"""Candidates for users' lists: the best artworks of each user, out of all artworks or out of some."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.recs.topk.search import PreparedItems, empty_results, top_k


@dataclass(frozen=True)
class Candidates:
    """Artworks that users' lists may be chosen from.

    `ids` and `scores` (U, n) are best first, padded with -1 and -inf. Of equal scores, the lower row comes first.
    """

    ids: Int32Array
    scores: Float32Array

    def lowest_scores(self) -> Float64Array:
        """The lowest score of each user, (U,); 0 for a user without candidates."""
        is_artwork = self.ids >= 0
        lowest = np.where(is_artwork, self.scores, np.inf).min(axis=1, initial=np.inf)
        return np.where(is_artwork.any(axis=1), lowest, 0.0).astype(np.float64)

    def merge(self, ids: Int32Array, scores: Float32Array) -> "Candidates":
        """These candidates and more of the same users; each artwork stands once.

        Parameters
        ----------
        ids, scores
            More artworks of each user and their scores, (U, m) each, padded with -1 and -inf. An artwork that is among
            the candidates already must have the same score there.
        """
        if ids.shape[1] == 0:
            return self
        all_ids, all_scores = np.hstack([self.ids, ids]), np.hstack([self.scores, scores])
        order = np.lexsort((all_ids, -all_scores), axis=1)
        all_ids = np.take_along_axis(all_ids, order, axis=1)
        all_scores = np.take_along_axis(all_scores, order, axis=1)
        is_duplicate = np.zeros(all_ids.shape, bool)
        is_duplicate[:, 1:] = all_ids[:, 1:] == all_ids[:, :-1]
        is_dropped = is_duplicate | (all_ids < 0)
        dropped_last = np.argsort(is_dropped, axis=1, kind="stable")
        width = int((~is_dropped).sum(axis=1).max(initial=0))
        ids = np.take_along_axis(np.where(is_dropped, -1, all_ids), dropped_last, axis=1)[:, :width]
        scores = np.take_along_axis(np.where(is_dropped, -np.inf, all_scores), dropped_last, axis=1)[:, :width]
        return Candidates(np.ascontiguousarray(ids, np.int32), np.ascontiguousarray(scores, np.float32))

    def merge_for(self, rows: Int64Array, ids: Int32Array, scores: Float32Array) -> "Candidates":
        """These candidates and more for some of the users.

        Parameters
        ----------
        rows
            Rows of these users.
        ids, scores
            Their artworks and scores, (rows, m) each, as in `merge`.
        """
        all_ids, all_scores = empty_results(len(self.ids), ids.shape[1])
        all_ids[rows], all_scores[rows] = ids, scores
        return self.merge(all_ids, all_scores)


def is_in_row(ids: Int32Array, row_ids: Int32Array) -> BoolArray:
    """Whether each of ids (U, n) is among the same user's row_ids (U, m); -1 never is."""
    is_member = np.zeros(ids.shape, bool)
    for column in range(row_ids.shape[1]):
        is_member |= ids == row_ids[:, column, None]
    return is_member & (ids >= 0)


class CandidateSearch:
    """Finds the best artworks of users: by score for those who have scores, by popularity for the others."""

    def __init__(
        self,
        users: Float32Array,
        items: PreparedItems,
        seen_pairs: csr_array,
        has_scores: BoolArray,
        popular_order: Int32Array,
        **engine_options: Any,
    ) -> None:
        """Take the vectors of both sides.

        Parameters
        ----------
        users
            Folded vectors (U, D).
        items
            Folded vectors of the artworks (I, D).
        seen_pairs
            CSR (U, I) of the artworks that each user has seen.
        has_scores
            Whether a user's artworks are ranked by score, (U,). The others get popular artworks.
        popular_order
            All artworks, popular ones first, (I,).
        engine_options
            Options of `top_k`, such as `threads` and `memory_mb`.
        """
        self.users, self.items, self.seen_pairs = users, items, seen_pairs
        self.has_scores, self.popular_order = has_scores, popular_order
        self._engine_options = engine_options

    def find_best(
        self, rows: Int64Array, k: int, artworks: Int64Array | None, excluded: Sequence[Int32Array] = ()
    ) -> tuple[Int32Array, Float32Array]:
        """Find the k best artworks that each user has not seen.

        Parameters
        ----------
        rows
            Rows of the users.
        k
            Artworks per user.
        artworks
            Rows of the artworks to choose from; None stands for all.
        excluded
            Further artworks to leave out, one array per user; none where it is empty.

        Returns
        -------
        ids, scores
            (rows, k) each, padded with -1 and -inf. The score of a popular artwork is minus its place in
            `popular_order`.
        """
        ids, scores = empty_results(len(rows), k)
        exclude = self.seen_pairs[rows]
        if excluded:
            exclude = _add_columns(exclude, excluded)
        has_scores = self.has_scores[rows]
        by_score = np.flatnonzero(has_scores)
        if len(by_score):
            users = self.users[rows[by_score]]
            ids[by_score], scores[by_score] = top_k(
                users, self.items, k, exclude=exclude[by_score], candidates=artworks, **self._engine_options
            )
        by_popularity = np.flatnonzero(~has_scores)
        if len(by_popularity):
            ids[by_popularity], scores[by_popularity] = self._most_popular(exclude[by_popularity], k, artworks)
        return ids, scores

    def find_popular(self, rows: Int64Array, k: int, artworks: Int64Array | None) -> tuple[Int32Array, Float32Array]:
        """Find the k most popular artworks that each user has not seen, also for users who have scores.

        The parameters and the result are those of `find_best`.
        """
        return self._most_popular(self.seen_pairs[rows], k, artworks)

    def _most_popular(self, exclude: csr_array, k: int, artworks: Int64Array | None) -> tuple[Int32Array, Float32Array]:
        place = np.arange(len(self.popular_order), dtype=np.float32)
        if artworks is not None:
            is_allowed = np.zeros(len(self.popular_order), bool)
            is_allowed[artworks] = True
            place = place[is_allowed[self.popular_order]]
        order = self.popular_order[place.astype(np.int64)]
        ids, scores = empty_results(exclude.shape[0], k)
        for row in range(exclude.shape[0]):
            excluded_artworks = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
            first = order[: k + len(excluded_artworks)]
            new = (
                np.flatnonzero(~np.isin(first, excluded_artworks))[:k]
                if len(excluded_artworks)
                else np.arange(min(k, len(first)))
            )
            ids[row, : len(new)], scores[row, : len(new)] = first[new], -place[new]
        return ids, scores


def _add_columns(rows: csr_array, columns: Sequence[Int32Array]) -> csr_array:
    """The rows of a CSR with more columns stored in each."""
    starts = np.concatenate([[0], np.cumsum([len(row_columns) for row_columns in columns])])
    indices = np.concatenate(columns)
    extra = csr_array((np.ones(len(indices), np.float32), indices, starts), shape=rows.shape)
    return (rows + extra).tocsr()
