"""The scored tables, a piece at a time: what stands in a row never depends on the piece it was made in."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.columns import (
    ARTWORK_ID,
    BECAUSE_OF,
    LAKE,
    MODEL_VERSION,
    OTHER_ARTWORK_ID,
    RANK,
    REASON,
    RUN_DATE,
    SCORE,
    SIMULATED,
    STRATEGY,
    USER_ID,
    conform,
    empty_frame,
)
from artrec_core.config import Score, Strategy
from artrec_core.recs.inputs.popularity import popular_artworks
from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.inputs.similarity import similar_artworks
from artrec_core.recs.strategies.components import components
from artrec_core.recs.strategies.filters import Blocked, blocked
from artrec_core.recs.strategies.folding import Folding, fold
from artrec_core.recs.strategies.lists import Lists, Made
from artrec_core.recs.tables.all_pairs import every_score
from artrec_core.recs.tables.audiences import artwork_audiences, log_totals, people_side, works_side
from artrec_core.recs.topk.search import PreparedItems


@dataclass(frozen=True)
class Piece:
    """Some rows of a table, and figures of them that add up over pieces: by strategy, of how many lists what gave way."""

    rows: pl.DataFrame
    gave_way: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tasters:
    """The people with tastes of their own: ids, their side of an audience's product (P, D + 1), who has seen what (I, P)."""

    ids: pl.Series
    side: PreparedItems
    seen_by: Any


class Scored:
    """The tables of a night; what all pieces share is made once, when the first piece needs it.

    Blocked works (`score.block`) are in no table. The filters and the block list of the default strategy hold for similar,
    popular and audience tables as well: none of them shows a work that it would not.
    """

    def __init__(self, world: ScoringData, strategies: Sequence[Strategy], default: str, score: Score) -> None:
        """`default` names the strategy that audiences are made by."""
        self.world, self.strategies, self.default, self.score = world, strategies, default, score
        self._how: dict[str, Any] = {"threads": score.threads, "memory_mb": score.memory_mb}

    def piece(self, table: str, begin: int, end: int) -> Piece:
        """Rows begin..end (people or works, as the table goes) of a table that is made in pieces."""
        makers = {
            "recommendations": self.recommendations,
            "similar_artworks": self.similar_artworks,
            "artwork_audiences": self.artwork_audiences,
            "all_pairs": self.all_pairs,
        }
        return makers[table](begin, end)

    def without_people(self, threads: int | None) -> "Scored":
        """The works' side of every table, made: what machines that score some of the people share."""
        score = self.score.model_copy(update={"threads": threads})
        bare = Scored(self.world.without_users(), self.strategies, self.default, score)
        bare.blocked = self.blocked
        bare.foldings = {
            name: one.with_people({part.name: part.users[:0] for part in one.personal_parts})
            for name, one in self.foldings.items()
        }
        _ = bare.lists
        return bare

    def with_people(self, world: ScoringData, users: Mapping[str, Float32Array]) -> "Scored":
        """The tables of some people, from those without: their world, and their vectors of components that it cannot tell."""
        wanted = self._personal - users.keys()
        made = {one.name: one.users for one in components(world, wanted) if one.users is not None}
        some = copy(self)
        some.world = world
        some.foldings = {name: one.with_people({**made, **users}) for name, one in self.foldings.items()}
        some.lists = {name: one.with_people(world, some.foldings[name]) for name, one in self.lists.items()}
        return some

    @property
    def weighs_texts(self) -> bool:
        """Whether a score depends on the texts that people liked or wrote."""
        return "text" in self._personal

    @property
    def _personal(self) -> set[str]:
        return {part.name for folding in self.foldings.values() for part in folding.personal_parts}

    def with_tasters(self, tasters: Tasters) -> "Scored":
        """The tables of audiences, from those without people."""
        some = copy(self)
        some.tasters = tasters
        return some

    @cached_property
    def foldings(self) -> dict[str, Folding]:
        """Every strategy folded, in order of their names."""
        wanted = {name for one in self.strategies for name, weight in one.weights.model_dump().items() if weight}
        made = list(components(self.world, wanted))
        by_name = sorted(self.strategies, key=lambda one: one.name)
        return {one.name: fold(made, one.weights.model_dump(), one.alignment) for one in by_name}

    @cached_property
    def lists(self) -> dict[str, Lists]:
        """The lists of every strategy, in order of their names."""
        strategies = {one.name: one for one in self.strategies}
        return {name: self.lists_of(strategies[name]) for name in self.foldings}

    def lists_of(self, strategy: Strategy, *, unblocked: bool = False) -> Lists:
        """The lists of a strategy, or of another of the same name that is scored alike."""
        out = np.zeros(self.world.shape[1], bool) if unblocked else self.blocked[strategy.name].works
        return Lists(self.world, strategy, self.foldings[strategy.name], self.score, out)

    @cached_property
    def blocked(self) -> dict[str, Blocked]:
        """What may not be shown by each strategy."""
        return {one.name: blocked(self.world.catalogue, [self.score.block, one.block]) for one in self.strategies}

    def recommendations(self, begin: int, end: int) -> Piece:
        """The rows of people begin..end, in order of (user_id, strategy, rank), and of how many lists what gave way."""
        made = {name: lists.of(np.arange(begin, end)) for name, lists in self.lists.items()}
        frames = [self._recommended(name, one, begin) for name, one in made.items()]
        rows = conform(pl.concat(frames).sort(USER_ID, STRATEGY, RANK), LAKE["recommendations"])
        return Piece(rows, {name: one.gave_way for name, one in made.items()})

    def similar_artworks(self, begin: int, end: int) -> Piece:
        """The works most like each of works begin..end, blocked ones left out on either side."""
        works = np.flatnonzero(~self._out[begin:end]) + begin
        if self.score.similar_k == 0 or len(works) == 0:
            return Piece(empty_frame(LAKE["similar_artworks"]))
        ids, cosines = similar_artworks(
            self._directions, self.score.similar_k, works, among=self._shown_rows, **self._how
        )
        frame = self._ranked(works, ids, cosines, OTHER_ARTWORK_ID, self.world.artwork_ids)
        return Piece(conform(self._stamped(frame, self.world.any_simulated), LAKE["similar_artworks"]))

    def artwork_audiences(self, begin: int, end: int) -> Piece:
        """The people likeliest to want each of works begin..end that may be shown, who do not know it yet."""
        rows = np.flatnonzero(self._shown[begin:end]) + begin
        if self.score.audience_k == 0 or len(rows) == 0 or len(self.tasters.ids) == 0:
            return Piece(empty_frame(LAKE["artwork_audiences"]))
        people, works = self.tasters.side, works_side(self.foldings[self.default].items[rows])
        seen_by = self.tasters.seen_by[rows]
        ids, shares = artwork_audiences(people, works, self.score.audience_k, seen_by=seen_by, **self._how)
        frame = self._ranked(rows, ids, shares, USER_ID, self.tasters.ids)
        return Piece(conform(self._stamped(frame, self.world.any_simulated), LAKE["artwork_audiences"]))

    def popular_artworks(self) -> pl.DataFrame:
        """The popular works of every segment."""
        shown = self.world.catalogue.filter(pl.Series(self._shown))
        frame = popular_artworks(shown, self.world.users_per_artwork[self._shown], self.score.popular_k)
        return conform(self._stamped(frame, self.world.any_simulated), LAKE["popular_artworks"])

    def all_pairs(self, begin: int, end: int) -> Piece:
        """The scores of people begin..end with every work, seen or filtered or not, in order of (user_id, strategy, artwork_id)."""
        frames = [self._pairs(name, folding, begin, end) for name, folding in self.foldings.items()]
        return Piece(conform(pl.concat(frames).sort(USER_ID, STRATEGY, ARTWORK_ID), LAKE["all_pairs"]))

    def people_by_list(self) -> dict[str, int]:
        """How many people get lists of their own by the default strategy, and how many get popular works."""
        own = len(self._with_tastes)
        return {"own": own, "popular": self.world.shape[0] - own}

    def _recommended(self, name: str, made: Made, begin: int) -> pl.DataFrame:
        ids, personal = made.ids, made.personal
        rows, ranks = np.nonzero(ids >= 0)
        said = list(self.world.reasons.rows(begin, ids, personal))
        frame = pl.DataFrame(
            {
                USER_ID: self.world.user_ids.gather(rows + begin),
                RANK: ranks + 1,
                ARTWORK_ID: self.world.artwork_ids.gather(ids[rows, ranks]),
                SCORE: made.scores[rows, ranks],
                REASON: pl.Series([reason for reason, _ in said], dtype=pl.String),
                BECAUSE_OF: pl.Series([because_of for _, because_of in said], dtype=pl.String),
            }
        ).with_columns(pl.lit(name).alias(STRATEGY))
        # A list of popular works comes from everyone's events.
        simulated = self.world.simulated[rows + begin] | (~personal[rows] & self.world.any_simulated)
        return self._stamped(frame, pl.Series(simulated, dtype=pl.Boolean))

    def _pairs(self, name: str, folding: Folding, begin: int, end: int) -> pl.DataFrame:
        scores = every_score(folding.users(begin, end), folding.items, threads=self.score.threads)
        works = self.world.shape[1]
        people = pl.Series(np.repeat(np.arange(begin, end), works))
        return pl.DataFrame(
            {
                USER_ID: self.world.user_ids.gather(people),
                ARTWORK_ID: self.world.artwork_ids.gather(np.tile(np.arange(works), end - begin)),
                SCORE: scores.reshape(-1),
            }
        ).with_columns(pl.lit(name).alias(STRATEGY))

    @cached_property
    def _directions(self) -> PreparedItems:
        return PreparedItems(self.world.unit_items)

    @cached_property
    def _shown(self) -> npt.NDArray[np.bool_]:
        return self.lists[self.default].allowed.works

    @cached_property
    def _shown_rows(self) -> npt.NDArray[np.int64] | None:
        return None if self._shown.all() else np.flatnonzero(self._shown)

    @cached_property
    def _out(self) -> npt.NDArray[np.bool_]:
        return self.blocked[self.default].works

    @cached_property
    def _with_tastes(self) -> npt.NDArray[np.int64]:
        """Rows of the people with lists of their own: only they have tastes to compare."""
        return np.flatnonzero(self.lists[self.default].personal(np.arange(self.world.shape[0])))

    @cached_property
    def tasters(self) -> Tasters:
        """Whose tastes are compared where audiences are made."""
        return self.find_tasters(self.log_totals)

    def find_tasters(self, totals_of: Callable[[Float32Array], Float32Array]) -> Tasters:
        """`tasters` where `log_totals` are made elsewhere."""
        users = self.foldings[self.default].users_of(self._with_tastes)
        seen_by = self.world.seen_pairs[self._with_tastes].T.tocsr()
        return Tasters(self.world.user_ids.gather(self._with_tastes), people_side(users, totals_of(users)), seen_by)

    def log_totals(self, users: Float32Array) -> Float32Array:
        """Log of the summed exponentials of people's scores by the default strategy, (U,), from their folded vectors (U, D)."""
        return log_totals(users, self.foldings[self.default].items, threads=self.score.threads)

    def _ranked(
        self, works: npt.NDArray[np.int64], ids: Int32Array, scores: Float32Array, column: str, names: pl.Series
    ) -> pl.DataFrame:
        """Rows of ARTWORK_ID, RANK, `column` and SCORE from the lists of these works."""
        rows, ranks = np.nonzero(ids >= 0)
        return pl.DataFrame(
            {
                ARTWORK_ID: self.world.artwork_ids.gather(works[rows]),
                RANK: ranks + 1,
                column: names.gather(ids[rows, ranks]),
                SCORE: scores[rows, ranks],
            }
        )

    def _stamped(self, frame: pl.DataFrame, simulated: bool | pl.Series) -> pl.DataFrame:
        flags = pl.lit(simulated) if isinstance(simulated, bool) else simulated
        version, day = pl.lit(self.world.model_version), pl.lit(self.world.day)
        return frame.with_columns(day.alias(RUN_DATE), version.alias(MODEL_VERSION), flags.alias(SIMULATED))
