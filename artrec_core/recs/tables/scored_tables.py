"""The scored tables, built piece by piece. The rows do not depend on how a table is cut into pieces."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from artrec_core.arrays import BoolArray, Float32Array, Int32Array, Int64Array
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
from artrec_core.recs.strategies.components import build_components
from artrec_core.recs.strategies.filters import BlockedArtworks, find_blocked
from artrec_core.recs.strategies.folding import Folding, fold
from artrec_core.recs.strategies.lists import ListBuilder, RankedLists
from artrec_core.recs.tables.all_pairs import score_all_pairs
from artrec_core.recs.tables.audiences import artwork_audiences, artwork_side, log_totals, user_side
from artrec_core.recs.topk.search import PreparedItems


@dataclass(frozen=True)
class TablePiece:
    """Some rows of a table. `relaxed_counts` says, by strategy, in how many lists each constraint was relaxed."""

    rows: pl.DataFrame
    relaxed_counts: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class AudienceUsers:
    """The users that audiences are chosen from: those with a personal list.

    `ids` (U,); `side` (U, D + 1) is their side of the product; `seen_by` is a CSR (I, U) of who has seen which
    artwork.
    """

    ids: pl.Series
    side: PreparedItems
    seen_by: Any


class ScoredTables:
    """The scored tables of a run. What all pieces share is computed once, when the first piece needs it.

    Blocked artworks (`score.block`) are in no table. The filters and the block list of the default strategy also
    apply to similar artworks, popular artworks and audiences: they show no artwork that the default strategy would
    not show.
    """

    def __init__(self, data: ScoringData, strategies: Sequence[Strategy], default: str, score: Score) -> None:
        """`default` names the strategy that audiences are made with."""
        self.data, self.strategies, self.default, self.score = data, strategies, default, score
        self._engine_options: dict[str, Any] = {"threads": score.threads, "memory_mb": score.memory_mb}

    def piece(self, table: str, begin: int, end: int) -> TablePiece:
        """Build rows begin..end of a table; these are users or artworks, depending on the table."""
        builders = {
            "recommendations": self.recommendations,
            "similar_artworks": self.similar_artworks,
            "artwork_audiences": self.artwork_audiences,
            "all_pairs": self.all_pairs,
        }
        return builders[table](begin, end)

    def without_users(self, threads: int | None) -> "ScoredTables":
        """The artwork side of every table, computed: what machines that score some users share."""
        score = self.score.model_copy(update={"threads": threads})
        tables = ScoredTables(self.data.without_users(), self.strategies, self.default, score)
        tables.blocked = self.blocked
        tables.foldings = {
            name: folding.with_users({part.name: part.users[:0] for part in folding.personal_parts})
            for name, folding in self.foldings.items()
        }
        _ = tables.list_builders
        return tables

    def with_users(self, data: ScoringData, vectors: Mapping[str, Float32Array]) -> "ScoredTables":
        """The tables of some users, from tables without users.

        Parameters
        ----------
        data
            These users and all artworks.
        vectors
            Vectors of components that cannot be computed from `data`, by name, (U, d).
        """
        names = self._personal_components - vectors.keys()
        computed = {part.name: part.users for part in build_components(data, names) if part.users is not None}
        tables = copy(self)
        tables.data = data
        tables.foldings = {name: folding.with_users({**computed, **vectors}) for name, folding in self.foldings.items()}
        tables.list_builders = {
            name: builder.with_users(data, tables.foldings[name]) for name, builder in self.list_builders.items()
        }
        return tables

    @property
    def uses_text(self) -> bool:
        """Whether a score depends on the texts that users liked or wrote."""
        return "text" in self._personal_components

    @property
    def _personal_components(self) -> set[str]:
        return {part.name for folding in self.foldings.values() for part in folding.personal_parts}

    def with_audience_users(self, users: AudienceUsers) -> "ScoredTables":
        """The tables of audiences, from tables without users."""
        tables = copy(self)
        tables.audience_users = users
        return tables

    @cached_property
    def foldings(self) -> dict[str, Folding]:
        """Every strategy folded, in order of their names."""
        names = {
            name
            for strategy in self.strategies
            for name, weight in strategy.weights.model_dump().items()
            if weight
        }  # fmt: skip
        components = list(build_components(self.data, names))
        by_name = sorted(self.strategies, key=lambda strategy: strategy.name)
        return {
            strategy.name: fold(components, strategy.weights.model_dump(), strategy.alignment) for strategy in by_name
        }

    @cached_property
    def list_builders(self) -> dict[str, ListBuilder]:
        """The builder of every strategy's lists, in order of their names."""
        strategies = {strategy.name: strategy for strategy in self.strategies}
        return {name: self.list_builder(strategies[name]) for name in self.foldings}

    def list_builder(self, strategy: Strategy, *, unblocked: bool = False) -> ListBuilder:
        """The builder of a strategy's lists.

        Parameters
        ----------
        strategy
            One of the strategies, or another with the same name, weights and alignment.
        unblocked
            Whether to ignore block lists.
        """
        is_blocked = np.zeros(self.data.shape[1], bool) if unblocked else self.blocked[strategy.name].mask
        return ListBuilder(self.data, strategy, self.foldings[strategy.name], self.score, is_blocked)

    @cached_property
    def blocked(self) -> dict[str, BlockedArtworks]:
        """The artworks that each strategy must not show."""
        return {
            strategy.name: find_blocked(self.data.catalogue, [self.score.block, strategy.block])
            for strategy in self.strategies
        }

    def recommendations(self, begin: int, end: int) -> TablePiece:
        """The lists of users begin..end, in order of (user_id, strategy, rank)."""
        lists = {name: builder.build(np.arange(begin, end)) for name, builder in self.list_builders.items()}
        frames = [self._list_rows(name, strategy_lists, begin) for name, strategy_lists in lists.items()]
        rows = conform(pl.concat(frames).sort(USER_ID, STRATEGY, RANK), LAKE["recommendations"])
        return TablePiece(rows, {name: strategy_lists.relaxed_counts for name, strategy_lists in lists.items()})

    def similar_artworks(self, begin: int, end: int) -> TablePiece:
        """The artworks most similar to each of artworks begin..end, without blocked ones on either side."""
        rows = np.flatnonzero(~self._is_blocked[begin:end]) + begin
        if self.score.similar_k == 0 or len(rows) == 0:
            return TablePiece(empty_frame(LAKE["similar_artworks"]))
        ids, cosines = similar_artworks(
            self._prepared_units, self.score.similar_k, rows, among=self._allowed_rows, **self._engine_options
        )
        frame = self._ranked_rows(rows, ids, cosines, OTHER_ARTWORK_ID, self.data.artwork_ids)
        return TablePiece(conform(self._with_origin(frame, self.data.any_simulated), LAKE["similar_artworks"]))

    def artwork_audiences(self, begin: int, end: int) -> TablePiece:
        """The users most likely to want each of artworks begin..end that may be shown; users who saw it are left out."""
        rows = np.flatnonzero(self._is_allowed[begin:end]) + begin
        if self.score.audience_k == 0 or len(rows) == 0 or len(self.audience_users.ids) == 0:
            return TablePiece(empty_frame(LAKE["artwork_audiences"]))
        users, artworks = self.audience_users.side, artwork_side(self.foldings[self.default].items[rows])
        seen_by = self.audience_users.seen_by[rows]
        ids, shares = artwork_audiences(users, artworks, self.score.audience_k, seen_by=seen_by, **self._engine_options)
        frame = self._ranked_rows(rows, ids, shares, USER_ID, self.audience_users.ids)
        return TablePiece(conform(self._with_origin(frame, self.data.any_simulated), LAKE["artwork_audiences"]))

    def popular_artworks(self) -> pl.DataFrame:
        """The popular artworks of every segment."""
        allowed_catalogue = self.data.catalogue.filter(pl.Series(self._is_allowed))
        frame = popular_artworks(allowed_catalogue, self.data.users_per_artwork[self._is_allowed], self.score.popular_k)
        return conform(self._with_origin(frame, self.data.any_simulated), LAKE["popular_artworks"])

    def all_pairs(self, begin: int, end: int) -> TablePiece:
        """The scores of users begin..end with every artwork, in order of (user_id, strategy, artwork_id).

        Seen and filtered artworks are included.
        """
        frames = [self._pair_rows(name, folding, begin, end) for name, folding in self.foldings.items()]
        return TablePiece(conform(pl.concat(frames).sort(USER_ID, STRATEGY, ARTWORK_ID), LAKE["all_pairs"]))

    def count_users_by_list(self) -> dict[str, int]:
        """Count the users with a personal list by the default strategy ("own") and with popular artworks ("popular")."""
        own = len(self._users_with_own_list)
        return {"own": own, "popular": self.data.shape[0] - own}

    def _list_rows(self, name: str, lists: RankedLists, begin: int) -> pl.DataFrame:
        ids, is_personal = lists.ids, lists.is_personal
        rows, ranks = np.nonzero(ids >= 0)
        reasons = list(self.data.reasons.rows(begin, ids, is_personal))
        frame = pl.DataFrame(
            {
                USER_ID: self.data.user_ids.gather(rows + begin),
                RANK: ranks + 1,
                ARTWORK_ID: self.data.artwork_ids.gather(ids[rows, ranks]),
                SCORE: lists.scores[rows, ranks],
                REASON: pl.Series([reason for reason, _ in reasons], dtype=pl.String),
                BECAUSE_OF: pl.Series([because_of for _, because_of in reasons], dtype=pl.String),
            }
        ).with_columns(pl.lit(name).alias(STRATEGY))
        # A list of popular artworks comes from the events of all users.
        simulated = self.data.simulated[rows + begin] | (~is_personal[rows] & self.data.any_simulated)
        return self._with_origin(frame, pl.Series(simulated, dtype=pl.Boolean))

    def _pair_rows(self, name: str, folding: Folding, begin: int, end: int) -> pl.DataFrame:
        scores = score_all_pairs(folding.users(begin, end), folding.items, threads=self.score.threads)
        artwork_count = self.data.shape[1]
        users = pl.Series(np.repeat(np.arange(begin, end), artwork_count))
        return pl.DataFrame(
            {
                USER_ID: self.data.user_ids.gather(users),
                ARTWORK_ID: self.data.artwork_ids.gather(np.tile(np.arange(artwork_count), end - begin)),
                SCORE: scores.reshape(-1),
            }
        ).with_columns(pl.lit(name).alias(STRATEGY))

    @cached_property
    def _prepared_units(self) -> PreparedItems:
        return PreparedItems(self.data.unit_items)

    @cached_property
    def _is_allowed(self) -> BoolArray:
        return self.list_builders[self.default].allowed.mask

    @cached_property
    def _allowed_rows(self) -> Int64Array | None:
        return None if self._is_allowed.all() else np.flatnonzero(self._is_allowed)

    @cached_property
    def _is_blocked(self) -> BoolArray:
        return self.blocked[self.default].mask

    @cached_property
    def _users_with_own_list(self) -> Int64Array:
        """Rows of the users with a personal list: only they have a taste that can be compared."""
        return np.flatnonzero(self.list_builders[self.default].has_own_list(np.arange(self.data.shape[0])))

    @cached_property
    def audience_users(self) -> AudienceUsers:
        """The users that audiences are chosen from."""
        return self.find_audience_users(self.log_totals)

    def find_audience_users(self, compute_log_totals: Callable[[Float32Array], Float32Array]) -> AudienceUsers:
        """`audience_users`, with a function in place of `log_totals`."""
        vectors = self.foldings[self.default].users_of(self._users_with_own_list)
        seen_by = self.data.seen_pairs[self._users_with_own_list].T.tocsr()
        ids = self.data.user_ids.gather(self._users_with_own_list)
        return AudienceUsers(ids, user_side(vectors, compute_log_totals(vectors)), seen_by)

    def log_totals(self, users: Float32Array) -> Float32Array:
        """`audiences.log_totals` of users by the default strategy, (U,), from their folded vectors (U, D)."""
        return log_totals(users, self.foldings[self.default].items, threads=self.score.threads)

    def _ranked_rows(
        self, artworks: Int64Array, ids: Int32Array, scores: Float32Array, id_column: str, names: pl.Series
    ) -> pl.DataFrame:
        """Rows of ARTWORK_ID, RANK, `id_column` and SCORE from the lists of these artworks."""
        rows, ranks = np.nonzero(ids >= 0)
        return pl.DataFrame(
            {
                ARTWORK_ID: self.data.artwork_ids.gather(artworks[rows]),
                RANK: ranks + 1,
                id_column: names.gather(ids[rows, ranks]),
                SCORE: scores[rows, ranks],
            }
        )

    def _with_origin(self, frame: pl.DataFrame, simulated: bool | pl.Series) -> pl.DataFrame:
        """The frame with RUN_DATE, MODEL_VERSION and SIMULATED."""
        flags = pl.lit(simulated) if isinstance(simulated, bool) else simulated
        version, day = pl.lit(self.data.model_version), pl.lit(self.data.day)
        return frame.with_columns(day.alias(RUN_DATE), version.alias(MODEL_VERSION), flags.alias(SIMULATED))
