"""Tables as arrays: vectors in the order of given ids, and events as sparse matrices."""

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from artrec_core.arrays import BoolArray, Float32Array
from artrec_core.columns import ARTWORK_ID, USER_ID, VECTOR
from artrec_core.errors import ArtrecError

# Columns that `add_row_numbers` adds: the positions of an event's user and artwork.
USER_ROW = "user_row"
ARTWORK_ROW = "artwork_row"


def matrix(vectors: pl.Series) -> Float32Array:
    """A column of lists of equal length as (rows, d) float32. Raises `ArtrecError` if lengths differ."""
    lengths = vectors.list.len().unique().to_list()
    if len(vectors) == 0:
        return np.zeros((0, 0), np.float32)
    if len(lengths) != 1 or vectors.null_count():
        raise ArtrecError(
            f"vectors of different lengths ({sorted(map(str, lengths))}) in one table; run `artrec embed` again"
        )
    return vectors.explode(empty_as_null=False).cast(pl.Float32).to_numpy().reshape(len(vectors), lengths[0])


def vectors_of(ids: pl.Series, table: pl.DataFrame, key: str) -> tuple[Float32Array, BoolArray]:
    """The vectors of these ids, in their order.

    Parameters
    ----------
    ids
        The ids (n,); an id may repeat.
    table
        A table with the columns `key` and VECTOR.
    key
        The column of the ids.

    Returns
    -------
    vectors : (n, d) float32
        Zero for ids that the table does not have.
    has_vector : (n,)
        Whether the table has a vector of this id.

    Raises
    ------
    ArtrecError
        The vectors of the table have different lengths.
    """
    rows = table.unique(key, keep="first", maintain_order=True).select(key, VECTOR).with_row_index("row")
    positions = (
        ids.rename(key).to_frame().join(rows.select(key, "row"), on=key, how="left", maintain_order="left")["row"]
    )
    has_vector = positions.is_not_null().to_numpy()
    table_vectors = matrix(rows[VECTOR])
    vectors = np.zeros((len(ids), table_vectors.shape[1]), np.float32)
    vectors[has_vector] = table_vectors[positions.drop_nulls().to_numpy()]
    return vectors, has_vector


def add_row_numbers(histories: pl.DataFrame, user_ids: pl.Series, artwork_ids: pl.Series) -> pl.DataFrame:
    """The events of these users with these artworks, with two more columns: their positions in the two series.

    Parameters
    ----------
    histories
        Events, with the columns USER_ID and ARTWORK_ID. Events of other users or artworks are dropped.
    user_ids, artwork_ids
        Distinct ids. The columns USER_ROW and ARTWORK_ROW hold positions in these series.
    """
    users = user_ids.rename(USER_ID).to_frame().with_row_index(USER_ROW)
    artworks = artwork_ids.rename(ARTWORK_ID).to_frame().with_row_index(ARTWORK_ROW)
    return histories.join(users, on=USER_ID, maintain_order="left").join(artworks, on=ARTWORK_ID, maintain_order="left")


def pair_matrix(events: pl.DataFrame, users: int, artworks: int) -> csr_array:
    """A CSR matrix (users, artworks) with 1 for each pair that has an event; `events` come from `add_row_numbers`."""
    pairs = events.select(USER_ROW, ARTWORK_ROW).unique().sort(USER_ROW, ARTWORK_ROW)
    starts = np.searchsorted(pairs[USER_ROW].to_numpy(), np.arange(users + 1))
    return csr_array(
        (np.ones(pairs.height, np.float32), pairs[ARTWORK_ROW].to_numpy().astype(np.int32), starts),
        shape=(users, artworks),
    )
