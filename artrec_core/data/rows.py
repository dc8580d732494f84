"""Row numbers: tables and arrays name a user or an artwork by its position in a list of ids."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from artrec_core.arrays import Int64Array


def row_numbers(ids: pl.Series, order: Sequence[str]) -> Int64Array:
    """The position of each id in `order`.

    Parameters
    ----------
    ids
        Ids, (n,); an id may repeat.
    order
        Distinct ids.

    Returns
    -------
    Positions, (n,).

    Raises
    ------
    KeyError
        If `order` lacks an id.
    """
    positions = pl.DataFrame({"id": pl.Series(order, dtype=pl.String)}).with_row_index("row")
    rows = ids.cast(pl.String).rename("id").to_frame().join(positions, on="id", how="left", maintain_order="left")
    missing = rows.filter(pl.col("row").is_null())["id"]
    if len(missing):
        raise KeyError(missing[0])
    return rows["row"].to_numpy().astype(np.int64)
