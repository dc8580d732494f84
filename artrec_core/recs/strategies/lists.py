"""The lists of a strategy: who gets a personal list, which artworks it is chosen from, and their order.

Users with a vector and some evidence get the best artworks by score. All other users get popular artworks with
variety. A strategy that re-ranks chooses from candidates. These are the best K x `score.candidates` artworks and, where
needed, more:

- artworks that the user explores,
- the best artworks of a group that a floor names,
- the best artworks by creators and from sources that a cap still allows.

A user who has seen everything within the filters gets popular artworks outside the filters. Blocked artworks are never
shown.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.config import Score, Strategy
from artrec_core.recs.inputs.popularity import varied_order
from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.inputs.similarity import unit_rows
from artrec_core.recs.strategies.candidates import Candidates, CandidateSearch, is_in_row
from artrec_core.recs.strategies.constraints import (
    RaggedArray,
    build_constraints,
    places_for_share,
    sources_by_artwork,
)
from artrec_core.recs.strategies.exploration import (
    Hashes,
    draw_explored,
    find_new_artworks,
    hash_texts,
    shuffle_explored,
)
from artrec_core.recs.strategies.filters import AllowedArtworks, apply_filters
from artrec_core.recs.strategies.folding import Folding
from artrec_core.recs.strategies.reranking import CONSTRAINT_NAMES, Constraints, Selection, rerank
from artrec_core.recs.topk.search import PreparedItems, empty_results, thread_count

BEYOND_FILTERS = "beyond_filters"
# Searches for candidates that no cap excludes, before the cap is relaxed.
MAX_CAP_SEARCHES = 3
# 16M artworks that some users are kept from: 64 MB.
MAX_EXCLUDED_AT_ONCE = 16 * 2**20


@dataclass(frozen=True)
class RankedLists:
    """Lists of users.

    `ids` and `scores` (U, k) are padded with -1 and -inf. `is_personal` (U,) says whether a list is the user's own.
    `relaxed_counts` says in how many lists each constraint was relaxed.
    """

    ids: Int32Array
    scores: Float32Array
    is_personal: BoolArray
    relaxed_counts: dict[str, int]


class ListBuilder:
    """Builds the lists of one strategy."""

    def __init__(
        self, data: ScoringData, strategy: Strategy, folding: Folding, score: Score, is_blocked: BoolArray
    ) -> None:
        """Take a strategy and what it ranks.

        Parameters
        ----------
        data
            Users and artworks.
        strategy, score
            Sections of the recipe.
        folding
            The strategy's folded vectors.
        is_blocked
            Whether an artwork must never be shown, (I,).

        Raises
        ------
        ArtrecError
            If the filters leave no artwork.
        """
        self.data, self.strategy, self.folding, self.score = data, strategy, folding, score
        self.is_blocked = is_blocked
        self.allowed: AllowedArtworks = apply_filters(data.catalogue, strategy.filters, is_blocked, strategy.name)
        self._allowed_rows = None if self.allowed.mask.all() else self.allowed.rows

    def with_users(self, data: ScoringData, folding: Folding) -> "ListBuilder":
        """The same strategy for other users. What depends on artworks alone is computed once and shared.

        Parameters
        ----------
        data
            These users, and the same artworks.
        folding
            The strategy's folded vectors for these users.
        """
        artwork_properties = (
            "prepared",
            "popular_order",
            *(
                ("constraints", "_creator_links", "_source_links", "_is_new", "_artwork_hashes")
                if self.strategy.reranks
                else ()
            ),
        )
        for name in artwork_properties:
            getattr(self, name)
        builder = copy(self)
        builder.data, builder.folding = data, folding
        return builder

    def has_own_list(self, rows: Int64Array) -> BoolArray:
        """Whether each user gets a personal list: there is a vector, and evidence that a reason can cite, (rows,)."""
        has_own_list: BoolArray = self.data.has_evidence[rows] & self.folding.have_vectors(rows)
        return has_own_list

    def build(self, rows: Int64Array) -> RankedLists:
        """Build the lists of the users of these rows."""
        is_personal, k = self.has_own_list(rows), self.score.k
        # A strategy of biases alone ranks the artworks in one way for every user.
        has_scores = is_personal if self.folding.is_personal else np.ones(len(rows), bool)
        search = CandidateSearch(
            self.folding.users_of(rows), self.prepared, self.data.seen_pairs[rows], has_scores, self.popular_order,
            threads=self.score.threads, memory_mb=self.score.memory_mb,
        )  # fmt: skip
        relaxed_counts: dict[str, int] = {}
        if self.strategy.reranks:
            ids, scores, relaxed_counts = self._rerank(search, rows)
        else:
            ids, scores = search.find_best(np.arange(len(rows)), k, self._allowed_rows)
        # For popular artworks the search returns places, which are no scores.
        scores = np.where(has_scores[:, None] | (ids < 0), scores, np.float32(0))
        empty = np.flatnonzero((ids < 0).all(axis=1))
        if len(empty):
            beyond_filters = np.flatnonzero(~self.is_blocked & ~self.allowed.mask)
            ids[empty], _ = search.find_popular(empty, k, beyond_filters)
            scores[empty] = np.where(ids[empty] >= 0, np.float32(0), np.float32(-np.inf))
            is_personal[empty] = False
            relaxed_counts |= {BEYOND_FILTERS: int((ids[empty, 0] >= 0).sum())}
        return RankedLists(ids, scores, is_personal, {name: count for name, count in relaxed_counts.items() if count})

    @cached_property
    def prepared(self) -> PreparedItems:
        """The artwork side of the scores, prepared once for all users."""
        return PreparedItems(self.folding.items)

    @cached_property
    def popular_order(self) -> Int32Array:
        """All artworks, (I,): those that may be shown first; within both parts by popularity with variety."""
        data, rows = self.data, self.allowed.rows
        if self._allowed_rows is None:
            return data.popular_order
        first = rows[varied_order(data.catalogue[rows], data.users_per_artwork[rows])]
        order: Int32Array = np.concatenate([first, data.popular_order[~self.allowed.mask[data.popular_order]]])
        return order.astype(np.int32)

    @cached_property
    def constraints(self) -> Constraints:
        """The strategy's re-ranking constraints."""
        diversity = self.strategy.diversity
        by_text = diversity is not None and diversity.by == "text"
        vectors = unit_rows(self.data.text_items) if by_text else self.data.unit_items
        return build_constraints(self.data.catalogue, self.strategy, self.score.k, vectors)

    def floor_group_sizes(self) -> dict[str, int]:
        """How many artworks that may be shown are in the group of each floor."""
        group_bits = self.constraints.group_bits[self.allowed.mask]
        floors = enumerate(self.strategy.floors)
        return {floor.group: int((group_bits >> np.uint64(bit) & np.uint64(1)).sum()) for bit, floor in floors}

    def _rerank(self, search: CandidateSearch, rows: Int64Array) -> tuple[Int32Array, Float32Array, dict[str, int]]:
        all_users, width = np.arange(len(rows)), self.score.k * self.score.candidates
        candidates = Candidates(*search.find_best(all_users, width, self._allowed_rows))
        zero = candidates.lowest_scores()
        explored_artworks, candidates = self._add_explored(search, rows, candidates)
        candidates = self._add_floor_groups(search, candidates)
        selection = self._select(candidates, explored_artworks, zero)
        for _ in range(MAX_CAP_SEARCHES):
            additions = [*self._search_within_caps(search, candidates, selection)]
            if not additions:
                break
            for addition in additions:
                candidates = candidates.merge_for(*addition)
            selection = self._select(candidates, explored_artworks, zero)
        columns = selection.columns
        if explored_artworks.shape[1]:
            ids = np.where(columns >= 0, np.take_along_axis(candidates.ids, columns, axis=1), -1).astype(np.int32)
            columns = shuffle_explored(columns, is_in_row(ids, explored_artworks), self._user_hashes(rows))
        ids = np.where(columns >= 0, np.take_along_axis(candidates.ids, columns, axis=1), -1).astype(np.int32)
        scores = np.where(columns >= 0, np.take_along_axis(candidates.scores, columns, axis=1), -np.inf)
        relaxed_counts = selection.is_relaxed.sum(axis=0).tolist()
        return ids, scores.astype(np.float32), dict(zip(CONSTRAINT_NAMES, relaxed_counts, strict=True))

    def _select(self, candidates: Candidates, explored_artworks: Int32Array, zero: Float64Array) -> Selection:
        return rerank(
            candidates.ids,
            candidates.scores,
            self.score.k,
            self.constraints,
            zero=zero,
            is_explored=is_in_row(candidates.ids, explored_artworks) if explored_artworks.shape[1] else None,
            threads=thread_count(self.score.threads),
        )

    # -- candidates that the best K x candidates lack ----------------------------------------------------------------

    def _add_explored(
        self, search: CandidateSearch, rows: Int64Array, candidates: Candidates
    ) -> tuple[Int32Array, Candidates]:
        """Draw the artworks that each user explores, (U, places for them), padded with -1; add them to the candidates."""
        exploration = self.strategy.exploration
        count = 0 if exploration is None else places_for_share(exploration.share, self.score.k)
        artworks = np.flatnonzero(self._is_new & self.allowed.mask) if count else np.empty(0, np.int64)
        if len(artworks) == 0:
            return np.empty((len(rows), 0), np.int32), candidates
        pool, scores = search.find_best(np.arange(len(rows)), count * self.score.candidates, artworks)
        explored_artworks = draw_explored(pool, self._user_hashes(rows), self._artwork_hashes, count)
        is_explored = is_in_row(pool, explored_artworks)
        ids = np.where(is_explored, pool, -1).astype(np.int32)
        return explored_artworks, candidates.merge(ids, np.where(is_explored, scores, -np.inf))

    def _add_floor_groups(self, search: CandidateSearch, candidates: Candidates) -> Candidates:
        """Add the best artworks of a floor's group for users who have fewer candidates in it than the floor requires."""
        group_bits, ids = self.constraints.group_bits, candidates.ids
        for bit, place_count in enumerate(self.constraints.floor_places.tolist()):
            in_group = (group_bits >> np.uint64(bit) & np.uint64(1)) > 0
            users = np.flatnonzero(((ids >= 0) & in_group[ids]).sum(axis=1) < place_count)
            artworks = np.flatnonzero(in_group & self.allowed.mask)
            if len(users) and len(artworks):
                candidates = candidates.merge_for(users, *search.find_best(users, place_count, artworks))
        return candidates

    def _search_within_caps(
        self, search: CandidateSearch, candidates: Candidates, selection: Selection
    ) -> Iterator[tuple[Int64Array, Int32Array, Float32Array]]:
        """More candidates for lists with a relaxed constraint, from creators and sources below their caps.

        Yields (users, ids, scores).
        """
        width = self.score.candidates
        searches = [(selection.is_relaxed[:, 1:3].any(axis=1), self.score.k * width, self._allowed_rows)]
        has_cap = self.strategy.caps.creator is not None or self.strategy.caps.source is not None
        for bit, place_count in enumerate(self.constraints.floor_places.tolist() if has_cap else ()):
            in_group = (self.constraints.group_bits >> np.uint64(bit) & np.uint64(1)) > 0
            group_rows = np.flatnonzero(in_group & self.allowed.mask)
            searches.append((selection.is_relaxed[:, 0], place_count * width, group_rows))
        for is_relaxed, count, artworks in searches:
            if count and is_relaxed.any() and (artworks is None or len(artworks)):
                users = np.flatnonzero(is_relaxed)
                yield from self._search_below_caps(search, candidates, selection, users, count, artworks)

    def _search_below_caps(
        self,
        search: CandidateSearch,
        candidates: Candidates,
        selection: Selection,
        users: Int64Array,
        count: int,
        artworks: Int64Array | None,
    ) -> Iterator[tuple[Int64Array, Int32Array, Float32Array]]:
        """Find the best `count` artworks whose creators and source are below their caps in a user's list.

        Yields (users, ids, scores) of the users whose candidates lack some of these artworks.
        """
        ids, scores = empty_results(len(users), count)
        lists = [candidates.ids[user][selection.columns[user][selection.columns[user] >= 0]] for user in users]
        full_creators, full_sources = zip(*(self._full_caps(user_list) for user_list in lists), strict=True)
        step = max(1, MAX_EXCLUDED_AT_ONCE // max(1, self.data.shape[1]))
        # A source is a large part of the catalogue: users with the same full sources are searched for together.
        for sources in sorted(set(full_sources)):
            members = np.flatnonzero([user_sources == sources for user_sources in full_sources])
            remaining = self._without_sources(artworks, sources)
            if remaining is not None and len(remaining) == 0:
                continue
            # Full creators may exclude many artworks per user, so the users come in batches.
            for start in range(0, len(members), step):
                batch = members[start : start + step]
                excluded = [self._artworks_by(full_creators[member]) for member in batch]
                ids[batch], scores[batch] = search.find_best(users[batch], count, remaining, excluded)
        has_new = ((ids >= 0) & ~is_in_row(ids, candidates.ids[users])).any(axis=1)
        if has_new.any():
            yield users[has_new], ids[has_new], scores[has_new]

    def _full_caps(self, artworks: Int32Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The creators and the sources that have as many artworks in a list as their cap allows."""
        full: list[tuple[int, ...]] = []
        caps = self.strategy.caps.creator, self.strategy.caps.source
        for cap, (by_artwork, _) in zip(caps, (self._creator_links, self._source_links), strict=True):
            if cap is None:
                full.append(())
                continue
            numbers_by_artwork = [np.empty(0, np.int32), *(by_artwork.row(artwork) for artwork in artworks)]
            numbers, counts = np.unique(np.concatenate(numbers_by_artwork), return_counts=True)
            full.append(tuple(numbers[(counts >= cap) & (numbers >= 0)].tolist()))
        return full[0], full[1]

    def _without_sources(self, artworks: Int64Array | None, sources: tuple[int, ...]) -> Int64Array | None:
        """The artworks (all, where None) that are from none of these sources; unchanged if there are no sources."""
        # A selection of artworks copies their vectors, so none is made where nothing is left out.
        if not sources:
            return artworks
        by_artwork, _ = self._source_links
        rows = np.arange(self.data.shape[1]) if artworks is None else artworks
        remaining: Int64Array = rows[~np.isin(by_artwork.values[rows], sources)]
        return remaining

    def _artworks_by(self, creators: tuple[int, ...]) -> Int32Array:
        """The artworks by any of these creators, each once."""
        # A flag per artwork: np.unique over tens of thousands of artworks would take a hundred times as long.
        is_by_creator = np.zeros(self.data.shape[1], bool)
        for creator in creators:
            is_by_creator[self._creator_links[1].row(creator)] = True
        return np.flatnonzero(is_by_creator).astype(np.int32)

    @cached_property
    def _creator_links(self) -> tuple[RaggedArray, RaggedArray]:
        """Creators by artwork, artworks by creator."""
        creators = RaggedArray(self.constraints.creator_starts, self.constraints.creators)
        return creators, creators.invert()

    @cached_property
    def _source_links(self) -> tuple[RaggedArray, RaggedArray]:
        """Sources by artwork, artworks by source."""
        sources = sources_by_artwork(self.data.catalogue)
        return sources, sources.invert()

    # -- exploration ---------------------------------------------------------------------------------------------

    @cached_property
    def _is_new(self) -> BoolArray:
        exploration, data = self.strategy.exploration, self.data
        if exploration is None:
            return np.zeros(data.shape[1], bool)
        first_nights = data.tables.first_nights
        return find_new_artworks(
            data.artwork_ids, first_nights, data.freshness_days, data.users_per_artwork, exploration
        )

    @cached_property
    def _artwork_hashes(self) -> Hashes:
        return hash_texts(self.data.artwork_ids)

    def _user_hashes(self, rows: Int64Array) -> Hashes:
        seed = self.strategy.exploration.seed if self.strategy.exploration is not None else 0
        return hash_texts(self.data.user_ids.gather(rows), f"{seed} {self.data.day}")
