"""The scored tables, a piece at a time: what stands in a row never depends on the piece it was made in."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

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
    empty,
)
from artrec_core.config import Score, Strategy
from artrec_core.recs.audiences import artwork_audiences, audience_sides, log_totals
from artrec_core.recs.components import components
from artrec_core.recs.popular import popular_artworks
from artrec_core.recs.similar import similar_artworks
from artrec_core.recs.strategies import Folding, fold
from artrec_core.recs.topk import Floats, Ints, padded, top_k
from artrec_core.recs.world import World

# Rows of people, or of works, from begin to end.
Piece: TypeAlias = Callable[[int, int], pl.DataFrame]


class Scored:
    """The tables of a night; what all pieces share is made once, when the first piece needs it."""

    def __init__(self, world: World, strategies: Sequence[Strategy], default: str, score: Score) -> None:
        """`default` names the strategy that audiences are made by."""
        self.world, self.strategies, self.default, self.score = world, strategies, default, score
        self._how: dict[str, Any] = {"threads": score.threads, "memory_mb": score.memory_mb}

    @cached_property
    def foldings(self) -> dict[str, Folding]:
        """Every strategy folded, in order of their names."""
        wanted = {name for one in self.strategies for name, weight in one.weights.model_dump().items() if weight}
        made = list(components(self.world, wanted))
        by_name = sorted(self.strategies, key=lambda one: one.name)
        return {one.name: fold(made, one.weights.model_dump(), one.alignment) for one in by_name}

    def recommendations(self, begin: int, end: int) -> pl.DataFrame:
        """The rows of people begin..end, in order of (user_id, strategy, rank)."""
        frames = [self._recommended(name, folding, begin, end) for name, folding in self.foldings.items()]
        return conform(pl.concat(frames).sort(USER_ID, STRATEGY, RANK), LAKE["recommendations"])

    def similar_artworks(self, begin: int, end: int) -> pl.DataFrame:
        """The works most like each of works begin..end."""
        if self.score.similar_k == 0:
            return empty(LAKE["similar_artworks"])
        ids, cosines = similar_artworks(self.world.unit_items, self.score.similar_k, begin, end, **self._how)
        frame = self._ranked(begin, ids, cosines, OTHER_ARTWORK_ID, self.world.artwork_ids)
        return conform(self._stamped(frame, self.world.any_simulated), LAKE["similar_artworks"])

    def artwork_audiences(self, begin: int, end: int) -> pl.DataFrame:
        """The people likeliest to want each of works begin..end, who do not know it yet."""
        if self.score.audience_k == 0 or len(self._with_tastes) == 0:
            return empty(LAKE["artwork_audiences"])
        people, works = self._audience_sides
        seen_by = self._seen_by[begin:end]
        ids, shares = artwork_audiences(people, works[begin:end], self.score.audience_k, seen_by=seen_by, **self._how)
        frame = self._ranked(begin, ids, shares, USER_ID, self.world.user_ids.gather(self._with_tastes))
        return conform(self._stamped(frame, self.world.any_simulated), LAKE["artwork_audiences"])

    def popular_artworks(self) -> pl.DataFrame:
        """The popular works of every segment."""
        frame = popular_artworks(self.world.catalogue, self.world.people_a_work, self.score.popular_k)
        return conform(self._stamped(frame, self.world.any_simulated), LAKE["popular_artworks"])

    def people_by_list(self) -> dict[str, int]:
        """How many people get lists of their own by the default strategy, and how many get popular works."""
        own = int(self._personal(self.foldings[self.default], 0, self.world.shape[0]).sum())
        return {"own": own, "popular": self.world.shape[0] - own}

    def _recommended(self, name: str, folding: Folding, begin: int, end: int) -> pl.DataFrame:
        ids, scores, personal = self._lists(folding, begin, end)
        rows, ranks = np.nonzero(ids >= 0)
        said = list(self.world.reasons.rows(begin, ids, personal))
        frame = pl.DataFrame(
            {
                USER_ID: self.world.user_ids.gather(rows + begin),
                RANK: ranks + 1,
                ARTWORK_ID: self.world.artwork_ids.gather(ids[rows, ranks]),
                SCORE: scores[rows, ranks],
                REASON: pl.Series([reason for reason, _ in said], dtype=pl.String),
                BECAUSE_OF: pl.Series([because_of for _, because_of in said], dtype=pl.String),
            }
        ).with_columns(pl.lit(name).alias(STRATEGY))
        # A list of popular works comes from everyone's events.
        simulated = self.world.simulated[rows + begin] | (~personal[rows] & self.world.any_simulated)
        return self._stamped(frame, pl.Series(simulated, dtype=pl.Boolean))

    def _personal(self, folding: Folding, begin: int, end: int) -> npt.NDArray[np.bool_]:
        """Whose list is their own: there is a vector, and something of theirs that a reason can cite."""
        return self.world.reasons.has_evidence(begin, end) & folding.has_vector(begin, end)

    def _lists(self, folding: Folding, begin: int, end: int) -> tuple[Ints, Floats, npt.NDArray[np.bool_]]:
        """Ids and scores (people, k) and whose list is their own; the others get popular works with variety, at score 0."""
        ids, scores = padded(end - begin, self.score.k)
        personal = self._personal(folding, begin, end)
        # A strategy of biases alone ranks the works in one way for everyone.
        ranked = personal if folding.is_personal else np.ones(end - begin, bool)
        rows, seen = np.flatnonzero(ranked), self.world.seen[begin:end]
        users = folding.users(begin, end)[rows]
        ids[rows], scores[rows] = top_k(users, folding.items, self.score.k, exclude=seen[rows], **self._how)
        for row in np.flatnonzero(~ranked):
            known = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
            best = self.world.popular_order[: self.score.k + len(known)]
            best = best[~np.isin(best, known)][: self.score.k]
            ids[row, : len(best)], scores[row, : len(best)] = best, 0.0
        return ids, scores, personal

    @cached_property
    def _with_tastes(self) -> npt.NDArray[np.int64]:
        """Rows of the people with lists of their own: only they have tastes to compare."""
        return np.flatnonzero(self._personal(self.foldings[self.default], 0, self.world.shape[0]))

    @cached_property
    def _audience_sides(self) -> tuple[Floats, Floats]:
        folding = self.foldings[self.default]
        users = folding.users(0, self.world.shape[0])[self._with_tastes]
        return audience_sides(users, folding.items, log_totals(users, folding.items, threads=self.score.threads))

    @cached_property
    def _seen_by(self) -> Any:
        return self.world.seen[self._with_tastes].T.tocsr()

    def _ranked(self, begin: int, ids: Ints, scores: Floats, column: str, names: pl.Series) -> pl.DataFrame:
        """Rows of ARTWORK_ID, RANK, `column` and SCORE from the lists of works begin, begin + 1, ...."""
        rows, ranks = np.nonzero(ids >= 0)
        return pl.DataFrame(
            {
                ARTWORK_ID: self.world.artwork_ids.gather(rows + begin),
                RANK: ranks + 1,
                column: names.gather(ids[rows, ranks]),
                SCORE: scores[rows, ranks],
            }
        )

    def _stamped(self, frame: pl.DataFrame, simulated: bool | pl.Series) -> pl.DataFrame:
        flags = pl.lit(simulated) if isinstance(simulated, bool) else simulated
        version, day = pl.lit(self.world.model_version), pl.lit(self.world.day)
        return frame.with_columns(day.alias(RUN_DATE), version.alias(MODEL_VERSION), flags.alias(SIMULATED))
