"""A strategy's lists: whose are their own, from which works, in which order.

People of whom something is known get the best by score, everyone else the popular works with variety. A strategy that re-ranks
chooses from finalists: the best K x `score.finalists`, and beside them what its lines ask for and these lack: works that the
person explores, the best works of a group that a floor names, the best works by others than those a cap keeps out. Somebody who has
seen all that the filters leave gets popular works beyond the filters, never a blocked one.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.config import Score, Strategy
from artrec_core.recs.inputs.popularity import varied_order
from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.inputs.similarity import unit_rows
from artrec_core.recs.strategies.candidates import Finalists, Places, Search, among
from artrec_core.recs.strategies.constraints import Rows, lines_of, places, sources_of
from artrec_core.recs.strategies.exploration import Hashes, drawn, hashes, moved, new_works
from artrec_core.recs.strategies.filters import Allowed, Mask, allowed
from artrec_core.recs.strategies.folding import Folding
from artrec_core.recs.strategies.reranking import GAVE_WAY, Chosen, Lines, rerank
from artrec_core.recs.topk.search import PreparedItems, empty_results, thread_count

BEYOND_FILTERS = "beyond_filters"
# How often finalists are looked for beyond those that a cap keeps out before the cap gives way.
ROUNDS = 3
# 16M works that some people are kept from: 64 MB.
KEPT_OUT_AT_ONCE = 16 * 2**20


@dataclass(frozen=True)
class Made:
    """Lists: ids and scores (U, k), padded with -1 and -inf; whose list is their own (U,); of how many lists what gave way."""

    ids: Int32Array
    scores: Float32Array
    personal: Mask
    gave_way: dict[str, int]


class Lists:
    """The lists of one strategy."""

    def __init__(self, world: ScoringData, strategy: Strategy, folding: Folding, score: Score, blocked: Mask) -> None:
        """`blocked` (works,) must never be shown. Raises `ArtrecError` where the filters leave no work."""
        self.world, self.strategy, self.folding, self.score = world, strategy, folding, score
        self.blocked = blocked
        self.allowed: Allowed = allowed(world.catalogue, strategy.filters, blocked, strategy.name)
        self._works = None if self.allowed.works.all() else self.allowed.rows

    def with_people(self, world: ScoringData, folding: Folding) -> "Lists":
        """The lists of other people by the same strategy; what it needs of the works is made once and shared."""
        of_works = (
            "popular_order",
            "prepared",
            *(("lines", "_belonging", "_new", "_work_hashes") if self.strategy.reranks else ()),
        )
        for name in of_works:
            getattr(self, name)
        other = copy(self)
        other.world, other.folding = world, folding
        return other

    def personal(self, people: Places) -> Mask:
        """Whose list is their own: there is a vector, and something of theirs that a reason can cite."""
        known: Mask = self.world.has_evidence[people] & self.folding.have_vectors(people)
        return known

    def of(self, people: Places) -> Made:
        """The lists of these people, rows of the world's."""
        personal, k = self.personal(people), self.score.k
        # A strategy of biases alone ranks the works in one way for everyone.
        ranked = personal if self.folding.is_personal else np.ones(len(people), bool)
        search = Search(
            self.folding.users_of(people), self.prepared, self.world.seen_pairs[people], ranked, self.popular_order,
            threads=self.score.threads, memory_mb=self.score.memory_mb,
        )  # fmt: skip
        gave_way: dict[str, int] = {}
        if self.strategy.reranks:
            ids, scores, gave_way = self._reranked(search, people)
        else:
            ids, scores = search.best(np.arange(len(people)), k, self._works)
        # The place among the popular works is no score of theirs.
        scores = np.where(ranked[:, None] | (ids < 0), scores, np.float32(0))
        empty = np.flatnonzero((ids < 0).all(axis=1))
        if len(empty):
            ids[empty], _ = search.popular(empty, k, np.flatnonzero(~self.blocked & ~self.allowed.works))
            scores[empty] = np.where(ids[empty] >= 0, np.float32(0), np.float32(-np.inf))
            personal[empty] = False
            gave_way |= {BEYOND_FILTERS: int((ids[empty, 0] >= 0).sum())}
        return Made(ids, scores, personal, {name: many for name, many in gave_way.items() if many})

    @cached_property
    def prepared(self) -> PreparedItems:
        """The works' side of the scores, made ready once for all people."""
        return PreparedItems(self.folding.items)

    @cached_property
    def popular_order(self) -> Int32Array:
        """All works, those that may be shown first, popular ones first and with variety among these, (I,)."""
        world, rows = self.world, self.allowed.rows
        if self._works is None:
            return world.popular_order
        first = rows[varied_order(world.catalogue[rows], world.users_per_artwork[rows])]
        order: Int32Array = np.concatenate([first, world.popular_order[~self.allowed.works[world.popular_order]]])
        return order.astype(np.int32)

    @cached_property
    def lines(self) -> Lines:
        """What the strategy asks of a list."""
        diversity = self.strategy.diversity
        by_text = diversity is not None and diversity.by == "text"
        vectors = unit_rows(self.world.text_items) if by_text else self.world.unit_items
        return lines_of(self.world.catalogue, self.strategy, self.score.k, vectors)

    def works_of_floors(self) -> dict[str, int]:
        """How many works that may be shown are in the group of each floor."""
        groups = self.lines.groups[self.allowed.works]
        floors = enumerate(self.strategy.floors)
        return {floor.group: int((groups >> np.uint64(bit) & np.uint64(1)).sum()) for bit, floor in floors}

    def _reranked(self, search: Search, people: Places) -> tuple[Int32Array, Float32Array, dict[str, int]]:
        everyone, wide = np.arange(len(people)), self.score.k * self.score.finalists
        found = Finalists(*search.best(everyone, wide, self._works))
        zero = found.worst()
        explored, found = self._explored(search, people, found)
        found = self._with_floors(search, found)
        chosen = self._choose(found, explored, zero)
        for _ in range(ROUNDS):
            more = [*self._beyond_caps(search, found, chosen)]
            if not more:
                break
            for others in more:
                found = found.of_some(*others)
            chosen = self._choose(found, explored, zero)
        at = chosen.places
        if explored.shape[1]:
            ids = np.where(at >= 0, np.take_along_axis(found.ids, at, axis=1), -1).astype(np.int32)
            at = moved(at, among(ids, explored), self._people_hashes(people))
        ids = np.where(at >= 0, np.take_along_axis(found.ids, at, axis=1), -1).astype(np.int32)
        scores = np.where(at >= 0, np.take_along_axis(found.scores, at, axis=1), -np.inf).astype(np.float32)
        return ids, scores, dict(zip(GAVE_WAY, chosen.gave_way.sum(axis=0).tolist(), strict=True))

    def _choose(self, found: Finalists, explored: Int32Array, zero: npt.NDArray[np.float64]) -> Chosen:
        marked = among(found.ids, explored) if explored.shape[1] else None
        how = {"zero": zero, "explored": marked, "threads": thread_count(self.score.threads)}
        return rerank(found.ids, found.scores, self.score.k, self.lines, **how)  # type: ignore[arg-type]

    # -- what the best K x finalists lack ---------------------------------------------------------------------------

    def _explored(self, search: Search, people: Places, found: Finalists) -> tuple[Int32Array, Finalists]:
        """The works that each person explores, (U, places for them), -1 where there are fewer; and the finalists with them."""
        line = self.strategy.exploration
        many = 0 if line is None else places(line.share, self.score.k)
        works = np.flatnonzero(self._new & self.allowed.works) if many else np.empty(0, np.int64)
        if len(works) == 0:
            return np.empty((len(people), 0), np.int32), found
        pool, scores = search.best(np.arange(len(people)), many * self.score.finalists, works)
        explored = drawn(pool, self._people_hashes(people), self._work_hashes, many)
        mine = among(pool, explored)
        return explored, found.and_others(np.where(mine, pool, -1).astype(np.int32), np.where(mine, scores, -np.inf))

    def _with_floors(self, search: Search, found: Finalists) -> Finalists:
        """The finalists, and the best works of each group of which somebody has fewer than its floor asks for."""
        groups, ids = self.lines.groups, found.ids
        for bit, need in enumerate(self.lines.needs.tolist()):
            in_group = (groups >> np.uint64(bit) & np.uint64(1)) > 0
            short = np.flatnonzero(((ids >= 0) & in_group[ids]).sum(axis=1) < need)
            works = np.flatnonzero(in_group & self.allowed.works)
            if len(short) and len(works):
                found = found.of_some(short, *search.best(short, need, works))
        return found

    def _beyond_caps(
        self, search: Search, found: Finalists, chosen: Chosen
    ) -> Iterator[tuple[Places, Int32Array, Float32Array]]:
        """More finalists for those whose lists gave way, by others than those that fill them: people, ids, scores."""
        wide = self.score.finalists
        wanted = [(chosen.gave_way[:, 1:3].any(axis=1), self.score.k * wide, self._works)]
        capped = self.strategy.caps.creator is not None or self.strategy.caps.source is not None
        for bit, need in enumerate(self.lines.needs.tolist() if capped else ()):
            in_group = (self.lines.groups >> np.uint64(bit) & np.uint64(1)) > 0
            wanted.append((chosen.gave_way[:, 0], need * wide, np.flatnonzero(in_group & self.allowed.works)))
        for gave_way, many, works in wanted:
            if many and gave_way.any() and (works is None or len(works)):
                yield from self._of_others(search, found, chosen, np.flatnonzero(gave_way), many, works)

    def _of_others(
        self, search: Search, found: Finalists, chosen: Chosen, rows: Places, many: int, works: Places | None
    ) -> Iterator[tuple[Places, Int32Array, Float32Array]]:
        """The best `many` of works that no cap keeps out of these people's lists, where finalists lack some of them."""
        ids, scores = empty_results(len(rows), many)
        listed = [found.ids[row][chosen.places[row][chosen.places[row] >= 0]] for row in rows]
        creators, sources = zip(*(self._at_cap(one) for one in listed), strict=True)
        step = max(1, KEPT_OUT_AT_ONCE // max(1, self.world.shape[1]))
        # A source is a large part of the catalogue: those who are kept from the same ones are searched for together.
        for full in sorted(set(sources)):
            members = np.flatnonzero([one == full for one in sources])
            left = self._outside(works, full)
            if left is not None and len(left) == 0:
                continue
            # Somebody may be kept from many works by their creators: some people at a time.
            for start in range(0, len(members), step):
                some = members[start : start + step]
                by_them = [self._works_of(creators[one]) for one in some]
                ids[some], scores[some] = search.best(rows[some], many, left, by_them)
        new = ((ids >= 0) & ~among(ids, found.ids[rows])).any(axis=1)
        if new.any():
            yield rows[new], ids[new], scores[new]

    def _at_cap(self, listed: Int32Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The creators and the sources of which a list holds as many as may be."""
        found: list[tuple[int, ...]] = []
        caps = self.strategy.caps.creator, self.strategy.caps.source
        for cap, (of_works, _) in zip(caps, self._belonging, strict=True):
            if cap is None:
                found.append(())
                continue
            named = [np.empty(0, np.int32), *(of_works.of(one) for one in listed)]
            numbers, counts = np.unique(np.concatenate(named), return_counts=True)
            found.append(tuple(numbers[(counts >= cap) & (numbers >= 0)].tolist()))
        return found[0], found[1]

    def _outside(self, works: Places | None, sources: tuple[int, ...]) -> Places | None:
        """Those of `works` (all, where None) that are of none of these sources; without sources `works` as they are."""
        # A choice of works is a copy of their vectors: none is made where nothing is left out.
        if not sources:
            return works
        of_works, _ = self._belonging[1]
        rows = np.arange(self.world.shape[1]) if works is None else works
        left: Places = rows[~np.isin(of_works.numbers[rows], sources)]
        return left

    def _works_of(self, creators: tuple[int, ...]) -> Int32Array:
        """The works of these creators, each once."""
        # A mark a work: finding what is double in tens of thousands of works would take a hundred times as long.
        theirs = np.zeros(self.world.shape[1], bool)
        for one in creators:
            theirs[self._belonging[0][1].of(one)] = True
        return np.flatnonzero(theirs).astype(np.int32)

    @cached_property
    def _belonging(self) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
        """(creators of works, works of creators), (sources of works, works of sources)."""
        creators = Rows(self.lines.creators_from, self.lines.creators)
        sources = sources_of(self.world.catalogue)
        return (creators, creators.turned()), (sources, sources.turned())

    # -- exploration ---------------------------------------------------------------------------------------------

    @cached_property
    def _new(self) -> Mask:
        line, world = self.strategy.exploration, self.world
        if line is None:
            return np.zeros(world.shape[1], bool)
        return new_works(
            world.artwork_ids, world.tables.first_nights, world.freshness_days, world.users_per_artwork, line
        )

    @cached_property
    def _work_hashes(self) -> Hashes:
        return hashes(self.world.artwork_ids)

    def _people_hashes(self, people: Places) -> Hashes:
        seed = self.strategy.exploration.seed if self.strategy.exploration is not None else 0
        return hashes(self.world.user_ids.gather(people), f"{seed} {self.world.day}")
