"""What somebody unknown gets: the popular works, of a segment or with variety."""

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.arrays import Float32Array
from artrec_core.columns import ARTWORK_ID, MOVEMENT, MUSEUM, POSITIVE, RANK, SCORE, SEGMENT, USER_ID

OVERALL = "overall"
_PEOPLE = "people"
_GROUP = "group"
_ROUND = "round"
_ROW = "row"


def users_per_artwork(histories: pl.DataFrame, artwork_ids: pl.Series) -> Float32Array:
    """How many people took each of these works up (positive events), (works,) float32."""
    taken = histories.filter(POSITIVE).group_by(ARTWORK_ID).agg(pl.col(USER_ID).n_unique().alias(_PEOPLE))
    works = artwork_ids.rename(ARTWORK_ID).to_frame().join(taken, on=ARTWORK_ID, how="left", maintain_order="left")
    return works[_PEOPLE].fill_null(0).cast(pl.Float32).to_numpy()


def popular_artworks(catalogue: pl.DataFrame, people: Float32Array, k: int) -> pl.DataFrame:
    """The k works of each segment that most people took up, ties by artwork_id: SEGMENT, RANK, ARTWORK_ID, SCORE.

    Segments are `overall`, `museum:<name>` and `movement:<name>`. SCORE is the number of people; works nobody took up yet
    fill a segment, so that none is empty. `people` (works,) follows the catalogue's rows.
    """
    works = catalogue.select(ARTWORK_ID, MUSEUM, MOVEMENT).with_columns(pl.Series(SCORE, people, pl.Float32))
    segments = [
        works.with_columns(pl.lit(OVERALL).alias(SEGMENT)),
        *(works.with_columns((pl.lit(f"{name}:") + pl.col(name)).alias(SEGMENT)) for name in (MUSEUM, MOVEMENT)),
    ]
    ranked = (
        pl.concat(segments)
        .filter(pl.col(SEGMENT).is_not_null())
        .sort(SEGMENT, SCORE, ARTWORK_ID, descending=[False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(SEGMENT).alias(RANK))
    )
    return ranked.filter(pl.col(RANK) <= k).select(SEGMENT, RANK, ARTWORK_ID, SCORE)


def varied_order(catalogue: pl.DataFrame, people: Float32Array) -> npt.NDArray[np.int32]:
    """All rows of the catalogue, popular ones first, taken in turn from each movement (where unknown, each museum).

    Each round takes the next most popular work of every group; within a round the more popular comes first, then the
    lower artwork_id.
    """
    return (
        catalogue.select(ARTWORK_ID, pl.coalesce(MOVEMENT, MUSEUM, pl.lit("")).alias(_GROUP))
        .with_row_index(_ROW)
        .with_columns(pl.Series(_PEOPLE, people))
        .sort(_GROUP, _PEOPLE, ARTWORK_ID, descending=[False, True, False])
        .with_columns(pl.int_range(pl.len()).over(_GROUP).alias(_ROUND))
        .sort(_ROUND, _PEOPLE, ARTWORK_ID, descending=[False, True, False])[_ROW]
        .cast(pl.Int32)
        .to_numpy()
    )
