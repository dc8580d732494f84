"""What each line of a strategy changes in people's lists: what it costs in score, and what it wins in variety and exposure.

Measured on some people with lists of their own, who are the same whatever the shards. Scores have no zero of their own, so they
are measured from the mean score of the whole catalogue, person by person: a list drawn blindly keeps nothing, the list of the best
scores keeps all.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.config import Block, Caps, Filters
from artrec_core.recs.strategies.constraints import KINDS, in_group
from artrec_core.recs.strategies.exploration import hashes
from artrec_core.recs.strategies.lists import Lists, Made
from artrec_core.recs.tables.scored_tables import Scored

PEOPLE_ASKED = 2000
GROUPS_TOLD = 8
EXPOSURE = ("source", "gender", "nationality")
Shares = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Change:
    """What one line (`what`) of a strategy, or all of them, changes in the lists of `people`.

    `score_kept` is the mean share of the lists' score that is kept, `overlap` the mean share of places whose work stays in the
    list; `diversity` is the mean of 1 - cosine (of artwork vectors) over pairs of works of a list, and `works` how many works these
    people are shown together, each (before, after). `exposure` holds shares of all places, (before, after), by kind and group,
    the largest groups of what may be shown; `floors` the same for the groups that floors name.
    """

    strategy: str
    what: str
    people: int
    score_kept: float
    overlap: float
    diversity: tuple[float, float]
    works: tuple[int, int]
    exposure: dict[str, Shares]
    floors: Shares

    def told(self) -> dict[str, Any]:
        """As JSON holds it, rounded."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def changes(scored: Scored, people_asked: int = PEOPLE_ASKED) -> Iterator[Change]:
    """What filters and block lists change in the best K, and what re-ranking changes in what they leave: each line alone, and all."""
    for strategy in sorted(scored.strategies, key=lambda one: one.name):
        lists = scored.lists[strategy.name]
        bare = strategy.model_copy(update={**NO_LINES})
        filtered = bool(strategy.filters.model_fields_set) or lists.blocked.any()
        if not filtered and not strategy.reranks:
            continue
        people = _asked(lists, people_asked)
        if len(people) == 0:
            continue
        before = scored.lists_of(bare).of(people)
        if filtered:
            unfiltered = scored.lists_of(
                bare.model_copy(update={"filters": Filters(), "block": Block()}), unblocked=True
            )
            yield _change(lists, "filters and block lists", people, unfiltered.of(people), before)
        alone = {name: bare.model_copy(update={name: getattr(strategy, name)}) for name in NO_LINES}
        used = {name: one for name, one in alone.items() if one.reranks}
        for name, one in used.items():
            yield _change(lists, name, people, before, scored.lists_of(one).of(people))
        if len(used) > 1:
            yield _change(lists, "all of these", people, before, lists.of(people))


NO_LINES: dict[str, Any] = {"caps": Caps(), "diversity": None, "exploration": None, "floors": []}


def _asked(lists: Lists, most: int) -> npt.NDArray[np.int64]:
    """Rows of up to so many people with lists of their own, drawn by a hash of their ids."""
    own = np.flatnonzero(lists.personal(np.arange(lists.world.shape[0])))
    drawn = np.argsort(hashes(lists.world.user_ids.gather(own), "asked"), kind="stable")[:most]
    return np.sort(own[drawn])


def _change(lists: Lists, what: str, people: npt.NDArray[np.int64], before: Made, after: Made) -> Change:
    catalogue, shown = lists.world.catalogue, lists.allowed.works
    counts = [_counts(made.ids, len(shown)) for made in (before, after)]
    groups = {floor.group: in_group(catalogue, floor.group) for floor in lists.strategy.floors}
    return Change(
        strategy=lists.strategy.name,
        what=what,
        people=len(people),
        score_kept=_score_kept(lists, people, before, after),
        overlap=float(np.mean([len(np.intersect1d(*_there(pair))) / max(1, (pair[0] >= 0).sum()) for pair in zip(before.ids, after.ids, strict=True)])),
        diversity=tuple(_diversity(lists.world.unit_items, made.ids) for made in (before, after)),  # type: ignore[arg-type]
        works=tuple(int((one > 0).sum()) for one in counts),  # type: ignore[arg-type]
        exposure={kind: found for kind in EXPOSURE if (found := _exposure(catalogue, kind, counts))},
        floors={group: (_share(counts[0], works), _share(counts[1], works)) for group, works in groups.items()},
    )  # fmt: skip


def _there(pair: tuple[Int32Array, Int32Array]) -> tuple[Int32Array, Int32Array]:
    return pair[0][pair[0] >= 0], pair[1][pair[1] >= 0]


def _score_kept(lists: Lists, people: npt.NDArray[np.int64], before: Made, after: Made) -> float:
    """The mean over people of (sum after) / (sum before), scores measured from the catalogue's mean."""
    mean = lists.folding.items.mean(axis=0, dtype=np.float64)
    zero = lists.folding.users_of(people).astype(np.float64) @ mean
    sums = [np.where(made.ids >= 0, made.scores.astype(np.float64) - zero[:, None], 0).sum(axis=1) for made in (before, after)]  # fmt: skip
    # Somebody whose filters left nothing got popular works, which have no score.
    told = (sums[0] > 0) & before.personal & after.personal
    return float(np.mean(sums[1][told] / sums[0][told])) if told.any() else 1.0


def _diversity(vectors: Float32Array, ids: Int32Array) -> float:
    """The mean over lists of the mean of 1 - cosine over pairs; the sum over pairs comes from the length of the sum."""
    there = ids >= 0
    found = np.where(there[:, :, None], vectors[ids], np.float32(0)).astype(np.float64)
    many = there.sum(axis=1)
    own = (found**2).sum(axis=(1, 2))
    cosines = (found.sum(axis=1) ** 2).sum(axis=1) - own
    told = many > 1
    pairs = (many * (many - 1))[told]
    return float(np.mean(1 - cosines[told] / pairs)) if told.any() else 0.0


def _counts(ids: Int32Array, works: int) -> npt.NDArray[np.int64]:
    return np.bincount(ids[ids >= 0], minlength=works)


def _exposure(catalogue: pl.DataFrame, kind: str, counts: list[npt.NDArray[np.int64]]) -> Shares:
    """Shares of all places by group, (before, after), the groups of most places after or before first."""
    both = catalogue.select(KINDS[kind].fill_null("not known").alias("group")).with_columns(
        pl.Series("before", counts[0]), pl.Series("after", counts[1])
    )
    sums = (
        both.group_by("group")
        .agg(pl.sum("before", "after"))
        .sort(pl.max_horizontal("before", "after"), "group", descending=[True, False])
    )
    if sums.height < 2:
        return {}
    all_before, all_after = max(1, int(counts[0].sum())), max(1, int(counts[1].sum()))
    return {name: (b / all_before, a / all_after) for name, b, a in sums.head(GROUPS_TOLD).iter_rows()}


def _share(counts: npt.NDArray[np.int64], works: npt.NDArray[np.bool_]) -> float:
    return float(counts[works].sum() / max(1, counts.sum()))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value
