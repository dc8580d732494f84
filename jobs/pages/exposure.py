"""Who gets shown what: how much of the catalogue reaches somebody, how evenly, and which kinds of works."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.columns import (
    ARTWORK_ID,
    BECAUSE_OF,
    CREATORS,
    MODEL_VERSION,
    MOVEMENT,
    MUSEUM,
    POSITIVE,
    RANK,
    SCORE,
    SIMULATED,
    SOURCE,
    STRATEGY,
)

TIMES = "times"
GROUPS_SHOWN = 10


@dataclass(frozen=True)
class Tally:
    """What a table of recommendations adds up to, a part at a time.

    `times` counts (STRATEGY, ARTWORK_ID, TIMES); `people`, `rows` by strategy; `scores` (RANK, SCORE), `because_of`
    (BECAUSE_OF, TIMES) and `people_simulated` are of the default strategy alone.
    """

    times: pl.DataFrame
    people: dict[str, int]
    rows: dict[str, int]
    scores: pl.DataFrame
    because_of: pl.DataFrame
    people_simulated: int
    model_versions: tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """How recommendations spread over a catalogue of `works`.

    `reached` works go to somebody; `gini` is 0 where all works are shown alike and nears 1 where one gets everything;
    `top_share` is the share of all recommendations that the `top_works` most shown (1 % of the catalogue) take.
    """

    works: int
    reached: int
    gini: float
    top_works: int
    top_share: float


@dataclass(frozen=True)
class Group:
    """Works of one kind: their number, and their share (0 to 1) of the catalogue, of what people liked, and of what is recommended."""

    name: str
    works: int
    catalogue: float
    liked: float | None
    recommended: float

    @property
    def top(self) -> float:
        """The largest share."""
        return max(self.catalogue, self.liked or 0.0, self.recommended)


def tally(parts: Iterable[pl.DataFrame], strategy: str) -> Tally:
    """Add up recommendations part by part; a part is never held with another."""
    times, because, scores, versions = [], [], [], set()
    people: dict[str, int] = {}
    rows: dict[str, int] = {}
    simulated = 0
    for part in parts:
        times.append(part.group_by(STRATEGY, ARTWORK_ID).len(TIMES))
        for name, all_rows, firsts in (
            part.group_by(STRATEGY).agg(pl.len(), (pl.col(RANK) == 1).sum().alias("firsts")).iter_rows()
        ):
            rows[name] = rows.get(name, 0) + all_rows
            people[name] = people.get(name, 0) + firsts
        own = part.filter(pl.col(STRATEGY) == strategy)
        scores.append(own.select(RANK, SCORE))
        because.append(own.group_by(BECAUSE_OF).len(TIMES))
        simulated += own.filter((pl.col(RANK) == 1) & pl.col(SIMULATED)).height
        versions |= set(part.get_column(MODEL_VERSION).unique().drop_nulls().to_list())
    return Tally(
        times=_summed(times, [STRATEGY, ARTWORK_ID]),
        people=dict(sorted(people.items())),
        rows=dict(sorted(rows.items())),
        scores=pl.concat(scores) if scores else pl.DataFrame(schema={RANK: pl.Int32(), SCORE: pl.Float32()}),
        because_of=_summed(because, [BECAUSE_OF]),
        people_simulated=simulated,
        model_versions=tuple(sorted(versions)),
    )


def per_work(catalogue: pl.DataFrame, times: pl.DataFrame) -> npt.NDArray[np.int64]:
    """(works,) how often each work of the catalogue occurs in `times` (ARTWORK_ID, TIMES), in the catalogue's order."""
    joined = catalogue.select(ARTWORK_ID).join(
        times.select(ARTWORK_ID, TIMES), on=ARTWORK_ID, how="left", maintain_order="left"
    )
    return joined.get_column(TIMES).fill_null(0).cast(pl.Int64).to_numpy()


def spread(times: npt.NDArray[np.int64]) -> Spread:
    """The spread of (works,) counts; Gini by the mean difference formula over the sorted counts."""
    works, total = len(times), int(times.sum())
    top = math.ceil(works / 100)
    if works == 0 or total == 0:
        return Spread(works, 0, 0.0, top, 0.0)
    ordered = np.sort(times)
    places = np.arange(1, works + 1)
    gini = float(2 * (places * ordered).sum() / (works * total) - (works + 1) / works)
    return Spread(works, int((times > 0).sum()), gini, top, float(ordered[works - top :].sum() / total))


def lorenz(times: npt.NDArray[np.int64], points: int = 100) -> list[tuple[float, float]]:
    """The Lorenz curve: (percent of works, the least shown first; percent of recommendations they get together)."""
    works, total = len(times), int(times.sum())
    if works == 0 or total == 0:
        return []
    running = np.concatenate([[0], np.cumsum(np.sort(times))])
    at = np.unique(np.linspace(0, works, min(points, works) + 1).round().astype(int))
    return [(100 * float(i) / works, 100 * float(running[i]) / total) for i in at]


def groups(catalogue: pl.DataFrame, by: pl.Expr, recommended: pl.DataFrame, liked: pl.DataFrame) -> list[Group]:
    """Shares by kind of work, the largest of the catalogue first and those beyond the first few as one.

    Empty where the catalogue tells no work's kind, or all works are of one kind.
    """
    works = catalogue.select(ARTWORK_ID, by.str.strip_chars().replace("", None).alias("group"))
    if works.get_column("group").drop_nulls().n_unique() < 2:
        return []
    for name, times in (("recommended", recommended), ("liked", liked)):
        works = works.join(times.select(ARTWORK_ID, pl.col(TIMES).alias(name)), on=ARTWORK_ID, how="left")
    sums = works.group_by("group").agg(
        pl.len().alias("works"), pl.sum("recommended").fill_null(0), pl.sum("liked").fill_null(0)
    )
    named = sums.filter(pl.col("group").is_not_null()).sort("works", "group", descending=[True, False])
    rest = named.slice(GROUPS_SHOWN)
    few = [*named.head(GROUPS_SHOWN).iter_rows()]
    if rest.height:
        few.append((f"{rest.height} others", *rest.select("works", "recommended", "liked").sum().row(0)))
    few += [("not known", *row[1:]) for row in sums.filter(pl.col("group").is_null()).iter_rows()]
    all_works, all_recommended, all_liked = (sum(row[at] for row in few) for at in (1, 2, 3))
    return [
        Group(
            name=name,
            works=own,
            catalogue=own / all_works,
            liked=own_liked / all_liked if all_liked else None,
            recommended=own_recommended / all_recommended if all_recommended else 0.0,
        )
        for name, own, own_recommended, own_liked in few
    ]


def kinds() -> dict[str, pl.Expr]:
    """How works are grouped: what the page calls it, and the expression on the catalogue."""
    first = pl.col(CREATORS).list.first()
    return {
        "Museum": pl.coalesce(MUSEUM, SOURCE),
        "Source": pl.col(SOURCE),
        "Movement": pl.col(MOVEMENT),
        "Gender of the first creator": first.struct.field("gender"),
        "Nationality of the first creator": first.struct.field("nationality"),
    }


def liked_times(histories: pl.DataFrame) -> pl.DataFrame:
    """(ARTWORK_ID, TIMES) how often people's events speak for a work."""
    return histories.filter(pl.col(POSITIVE)).group_by(ARTWORK_ID).len(TIMES).sort(ARTWORK_ID)


def score_bins(scores: pl.DataFrame, bins: int = 40) -> tuple[list[float], dict[str, list[float]]]:
    """(edges (bins + 1), percent of the rows in each bin) of all recommendations, and of the first of each person."""
    values = scores.filter(pl.col(SCORE).is_finite())
    if values.is_empty():
        return [], {}
    ends = (float(values[SCORE].min()), float(values[SCORE].max()))  # type: ignore[arg-type]
    edges = np.linspace(*(ends if ends[1] > ends[0] else (ends[0] - 0.5, ends[0] + 0.5)), bins + 1)
    layers = {"all recommendations": values, "each person's first": values.filter(pl.col(RANK) == 1)}
    return edges.tolist(), {
        name: (100 * np.histogram(frame[SCORE].to_numpy(), edges)[0] / max(1, frame.height)).tolist()
        for name, frame in layers.items()
    }


def _summed(counts: list[pl.DataFrame], by: list[str]) -> pl.DataFrame:
    if not counts:
        return pl.DataFrame(schema={**dict.fromkeys(by, pl.String()), TIMES: pl.UInt32()})
    return pl.concat(counts).group_by(by).agg(pl.sum(TIMES)).sort(by)
