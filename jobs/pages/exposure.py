"""Exposure: how many artworks are recommended at all, how evenly, and of which groups."""

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
    SOURCE,
    STRATEGY,
)

# The column of all tables of counts in this folder.
COUNT = "count"
GROUPS_SHOWN = 10


@dataclass(frozen=True)
class ExposureCounts:
    """Counts over a table of recommendations.

    Attributes
    ----------
    artworks : (STRATEGY, ARTWORK_ID, COUNT) in how many lists an artwork is
    users, rows : number of users and of rows, by strategy
    scores : (RANK, SCORE) all rows of the default strategy
    because_of : (BECAUSE_OF, COUNT) rows of the default strategy by what their reason names
    model_versions : versions that made the rows
    """

    artworks: pl.DataFrame
    users: dict[str, int]
    rows: dict[str, int]
    scores: pl.DataFrame
    because_of: pl.DataFrame
    model_versions: tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """How recommendations spread over a catalogue.

    Attributes
    ----------
    artworks : number of artworks in the catalogue
    reached : number of artworks that are recommended at least once
    gini : 0 if all artworks are recommended equally often; near 1 if one artwork gets everything
    top_artworks : number of artworks in the most recommended 1 %, rounded up
    top_share : share (0 to 1) of all recommendations that these get
    """

    artworks: int
    reached: int
    gini: float
    top_artworks: int
    top_share: float


@dataclass(frozen=True)
class GroupShares:
    """A group of artworks: its size, and its shares (0 to 1).

    Attributes
    ----------
    name : name of the group
    artworks : number of artworks in the group
    catalogue : share of the artworks in the catalogue
    liked : share of the users' positive events; None if there are none
    recommended : share of the recommendations
    """

    name: str
    artworks: int
    catalogue: float
    liked: float | None
    recommended: float

    @property
    def largest(self) -> float:
        """The largest share."""
        return max(self.catalogue, self.liked or 0.0, self.recommended)


def count_exposure(parts: Iterable[pl.DataFrame], strategy: str) -> ExposureCounts:
    """Count over the parts of the table `recommendations`, with only one of them in memory.

    Parameters
    ----------
    parts
        The parts.
    strategy
        The default strategy.
    """
    artworks, because_of, scores = [], [], []
    model_versions: set[str] = set()
    users: dict[str, int] = {}
    rows: dict[str, int] = {}
    for part in parts:
        artworks.append(part.group_by(STRATEGY, ARTWORK_ID).len(COUNT))
        # Every user has one row of rank 1.
        counts = part.group_by(STRATEGY).agg(pl.len(), (pl.col(RANK) == 1).sum().alias("users"))
        for name, row_count, user_count in counts.iter_rows():
            rows[name] = rows.get(name, 0) + row_count
            users[name] = users.get(name, 0) + user_count
        own_rows = part.filter(pl.col(STRATEGY) == strategy)
        scores.append(own_rows.select(RANK, SCORE))
        because_of.append(own_rows.group_by(BECAUSE_OF).len(COUNT))
        model_versions |= set(part.get_column(MODEL_VERSION).unique().drop_nulls().to_list())
    return ExposureCounts(
        artworks=_sum_counts(artworks, [STRATEGY, ARTWORK_ID]),
        users=dict(sorted(users.items())),
        rows=dict(sorted(rows.items())),
        scores=pl.concat(scores) if scores else pl.DataFrame(schema={RANK: pl.Int32(), SCORE: pl.Float32()}),
        because_of=_sum_counts(because_of, [BECAUSE_OF]),
        model_versions=tuple(sorted(model_versions)),
    )


def counts_per_artwork(catalogue: pl.DataFrame, counts: pl.DataFrame) -> npt.NDArray[np.int64]:
    """(artworks,) the counts (ARTWORK_ID, COUNT) in the catalogue's order, 0 for artworks without a count."""
    joined = catalogue.select(ARTWORK_ID).join(
        counts.select(ARTWORK_ID, COUNT), on=ARTWORK_ID, how="left", maintain_order="left"
    )
    return joined.get_column(COUNT).fill_null(0).cast(pl.Int64).to_numpy()


def measure_spread(counts: npt.NDArray[np.int64]) -> Spread:
    """The spread of (artworks,) counts. Gini is 2 * sum(i * x_i) / (n * sum(x)) - (n + 1) / n over sorted counts x."""
    artworks, total = len(counts), int(counts.sum())
    top_artworks = math.ceil(artworks / 100)
    if artworks == 0 or total == 0:
        return Spread(artworks, 0, 0.0, top_artworks, 0.0)
    ascending = np.sort(counts)
    positions = np.arange(1, artworks + 1)
    gini = float(2 * (positions * ascending).sum() / (artworks * total) - (artworks + 1) / artworks)
    top_share = float(ascending[artworks - top_artworks :].sum() / total)
    return Spread(artworks, int((counts > 0).sum()), gini, top_artworks, top_share)


def lorenz_curve(counts: npt.NDArray[np.int64], points: int = 100) -> list[tuple[float, float]]:
    """The Lorenz curve of (artworks,) counts; empty if all counts are 0.

    A point is (percent of the artworks, percent of the recommendations that these get). The artworks that are
    recommended least come first.
    """
    artworks, total = len(counts), int(counts.sum())
    if artworks == 0 or total == 0:
        return []
    cumulative = np.concatenate([[0], np.cumsum(np.sort(counts))])
    places = np.unique(np.linspace(0, artworks, min(points, artworks) + 1).round().astype(int))
    return [(100 * float(place) / artworks, 100 * float(cumulative[place]) / total) for place in places]


def group_shares(
    catalogue: pl.DataFrame, group: pl.Expr, recommended: pl.DataFrame, liked: pl.DataFrame
) -> list[GroupShares]:
    """Shares of groups of artworks. The largest groups of the catalogue come first; the rest are one group.

    Parameters
    ----------
    catalogue
        The catalogue.
    group
        The name of an artwork's group, as an expression on the catalogue.
    recommended, liked
        (ARTWORK_ID, COUNT) how often an artwork is recommended, and how often it is liked.

    Returns
    -------
    list of GroupShares
        Empty if fewer than two groups are known.
    """
    artworks = catalogue.select(ARTWORK_ID, group.str.strip_chars().replace("", None).alias("group"))
    if artworks.get_column("group").drop_nulls().n_unique() < 2:
        return []
    for name, counts in (("recommended", recommended), ("liked", liked)):
        artworks = artworks.join(counts.select(ARTWORK_ID, pl.col(COUNT).alias(name)), on=ARTWORK_ID, how="left")
    sums = artworks.group_by("group").agg(
        pl.len().alias("artworks"), pl.sum("recommended").fill_null(0), pl.sum("liked").fill_null(0)
    )
    known_groups = sums.filter(pl.col("group").is_not_null()).sort("artworks", "group", descending=[True, False])
    rest = known_groups.slice(GROUPS_SHOWN)
    rows = [*known_groups.head(GROUPS_SHOWN).iter_rows()]
    if rest.height:
        rows.append((f"{rest.height} others", *rest.select("artworks", "recommended", "liked").sum().row(0)))
    rows += [("not known", *row[1:]) for row in sums.filter(pl.col("group").is_null()).iter_rows()]
    total_artworks, total_recommended, total_liked = (sum(row[column] for row in rows) for column in (1, 2, 3))
    return [
        GroupShares(
            name=name,
            artworks=artwork_count,
            catalogue=artwork_count / total_artworks,
            liked=liked_count / total_liked if total_liked else None,
            recommended=recommended_count / total_recommended if total_recommended else 0.0,
        )
        for name, artwork_count, recommended_count, liked_count in rows
    ]


def groupings() -> dict[str, pl.Expr]:
    """The ways to group artworks: heading on the page -> expression on the catalogue."""
    first_creator = pl.col(CREATORS).list.first()
    return {
        "Museum": pl.coalesce(MUSEUM, SOURCE),
        "Source": pl.col(SOURCE),
        "Movement": pl.col(MOVEMENT),
        "Gender of the first creator": first_creator.struct.field("gender"),
        "Nationality of the first creator": first_creator.struct.field("nationality"),
    }


def liked_counts(histories: pl.DataFrame) -> pl.DataFrame:
    """(ARTWORK_ID, COUNT) the number of positive events of each artwork."""
    return histories.filter(pl.col(POSITIVE)).group_by(ARTWORK_ID).len(COUNT).sort(ARTWORK_ID)


def score_bins(scores: pl.DataFrame, bins: int = 40) -> tuple[list[float], dict[str, list[float]]]:
    """Histograms of the scores (RANK, SCORE) of all recommendations, and of those of rank 1.

    Returns
    -------
    edges : list of bins + 1 floats
    layers : dict of name -> percent of the rows in each bin
        Both are empty if no score is finite.
    """
    rows = scores.filter(pl.col(SCORE).is_finite())
    if rows.is_empty():
        return [], {}
    low, high = float(rows[SCORE].min()), float(rows[SCORE].max())  # type: ignore[arg-type]
    edges = np.linspace(*((low, high) if high > low else (low - 0.5, low + 0.5)), bins + 1)
    layers = {"all recommendations": rows, "each visitor's first": rows.filter(pl.col(RANK) == 1)}
    return edges.tolist(), {
        name: (100 * np.histogram(layer[SCORE].to_numpy(), edges)[0] / max(1, layer.height)).tolist()
        for name, layer in layers.items()
    }


def _sum_counts(counts: list[pl.DataFrame], keys: list[str]) -> pl.DataFrame:
    if not counts:
        return pl.DataFrame(schema={**dict.fromkeys(keys, pl.String()), COUNT: pl.UInt32()})
    return pl.concat(counts).group_by(keys).agg(pl.sum(COUNT)).sort(keys)
