"""Tables to arrays: vectors by id, and who did what as sparse matrices."""

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array
from artrec_core.columns import ARTWORK_ID, USER_ID, VECTOR
from artrec_core.errors import ArtrecError


def matrix(vectors: pl.Series) -> Float32Array:
    """A column of lists of equal length as (rows, d) float32. Raises `ArtrecError` where lengths differ."""
    lengths = vectors.list.len().unique().to_list()
    if len(vectors) == 0:
        return np.zeros((0, 0), np.float32)
    if len(lengths) != 1 or vectors.null_count():
        raise ArtrecError(
            f"vectors of different lengths ({sorted(map(str, lengths))}) in one table; run `artrec embed` again"
        )
    return vectors.explode(empty_as_null=False).cast(pl.Float32).to_numpy().reshape(len(vectors), lengths[0])


def vectors_of(ids: pl.Series, table: pl.DataFrame, key: str) -> tuple[Float32Array, np.ndarray]:
    """The vectors of these ids, (ids, d) float32 in their order, and which of them the table has; the others are zero."""
    rows = table.unique(key, keep="first", maintain_order=True).select(key, VECTOR).with_row_index("row")
    found = ids.rename(key).to_frame().join(rows.select(key, "row"), on=key, how="left", maintain_order="left")["row"]
    known = found.is_not_null().to_numpy()
    stored = matrix(rows[VECTOR])
    out = np.zeros((len(ids), stored.shape[1]), np.float32)
    out[known] = stored[found.drop_nulls().to_numpy()]
    return out, known


def add_row_numbers(histories: pl.DataFrame, user_ids: pl.Series, artwork_ids: pl.Series) -> pl.DataFrame:
    """The events of these people with these works, with columns `person` and `work`: their rows in the two series."""
    people = user_ids.rename(USER_ID).to_frame().with_row_index("person")
    works = artwork_ids.rename(ARTWORK_ID).to_frame().with_row_index("work")
    return histories.join(people, on=USER_ID, maintain_order="left").join(works, on=ARTWORK_ID, maintain_order="left")


def pair_matrix(events: pl.DataFrame, people: int, works: int) -> csr_array:
    """A CSR (people, works) that holds 1 for each pair with an event; `events` has columns `person` and `work`."""
    once = events.select("person", "work").unique().sort("person", "work")
    starts = np.searchsorted(once["person"].to_numpy(), np.arange(people + 1))
    return csr_array(
        (np.ones(once.height, np.float32), once["work"].to_numpy().astype(np.int32), starts), shape=(people, works)
    )
