"""What a user without a history gets: popular artworks, by segment or in a varied order."""

import polars as pl

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.columns import ARTWORK_ID, MOVEMENT, MUSEUM, OVERALL, POSITIVE, RANK, SCORE, SEGMENT, USER_ID

_USERS = "users"
_GROUP = "group"
_ROUND = "round"
_ROW = "row"


def users_per_artwork(histories: pl.DataFrame, artwork_ids: pl.Series) -> Float32Array:
    """How many users have a positive event with each of these artworks, (artworks,) float32."""
    counts = histories.filter(POSITIVE).group_by(ARTWORK_ID).agg(pl.col(USER_ID).n_unique().alias(_USERS))
    artworks = artwork_ids.rename(ARTWORK_ID).to_frame().join(counts, on=ARTWORK_ID, how="left", maintain_order="left")
    return artworks[_USERS].fill_null(0).cast(pl.Float32).to_numpy()


def popular_artworks(catalogue: pl.DataFrame, users: Float32Array, k: int) -> pl.DataFrame:
    """The k most popular artworks of each segment: SEGMENT, RANK, ARTWORK_ID, SCORE.

    Segments are `overall`, `museum:<name>` and `movement:<name>`. SCORE is the number of users. Of equal scores the
    lower artwork_id comes first. Artworks without users fill up a segment, so that no segment is empty.

    Parameters
    ----------
    catalogue
        ARTWORK_ID, MUSEUM and MOVEMENT of each artwork.
    users
        How many users each artwork has, (artworks,), in the order of the catalogue.
    k
        How many artworks a segment has at most.
    """
    artworks = catalogue.select(ARTWORK_ID, MUSEUM, MOVEMENT).with_columns(pl.Series(SCORE, users, pl.Float32))
    segments = [
        artworks.with_columns(pl.lit(OVERALL).alias(SEGMENT)),
        *(artworks.with_columns((pl.lit(f"{name}:") + pl.col(name)).alias(SEGMENT)) for name in (MUSEUM, MOVEMENT)),
    ]
    rows = (
        pl.concat(segments)
        .filter(pl.col(SEGMENT).is_not_null())
        .sort(SEGMENT, SCORE, ARTWORK_ID, descending=[False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(SEGMENT).alias(RANK))
    )
    return rows.filter(pl.col(RANK) <= k).select(SEGMENT, RANK, ARTWORK_ID, SCORE)


def varied_order(catalogue: pl.DataFrame, users: Float32Array) -> Int32Array:
    """All rows of the catalogue, popular artworks first, taken in turn from each movement.

    Artworks without a movement are grouped by museum. Each round takes the next most popular artwork of every group.
    Within a round the more popular artwork comes first, then the lower artwork_id.

    Parameters
    ----------
    catalogue
        ARTWORK_ID, MUSEUM and MOVEMENT of each artwork.
    users
        How many users each artwork has, (artworks,), in the order of the catalogue.
    """
    return (
        catalogue.select(ARTWORK_ID, pl.coalesce(MOVEMENT, MUSEUM, pl.lit("")).alias(_GROUP))
        .with_row_index(_ROW)
        .with_columns(pl.Series(_USERS, users))
        .sort(_GROUP, _USERS, ARTWORK_ID, descending=[False, True, False])
        .with_columns(pl.int_range(pl.len()).over(_GROUP).alias(_ROUND))
        .sort(_ROUND, _USERS, ARTWORK_ID, descending=[False, True, False])[_ROW]
        .cast(pl.Int32)
        .to_numpy()
    )
