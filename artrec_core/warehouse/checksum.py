"""The checksum of a day: the same rows give the same checksum, in any order and in any frames."""

from hashlib import blake2b

import numpy as np
import polars as pl

from artrec_core.columns import VOLATILE
from artrec_core.lake import digest_of

# Rows hashed at once: their texts are Python objects of about 300 bytes each.
_CHUNK = 100_000


class RowChecksum:
    """Number of rows of each table and the checksum of all rows, built up frame by frame."""

    def __init__(self) -> None:
        """Start without tables."""
        self.rows: dict[str, int] = {}
        self._sums: dict[str, np.ndarray] = {}

    def add(self, table: str, frame: pl.DataFrame) -> None:
        """Add rows of a table. A table without rows counts too."""
        self.rows[table] = self.rows.get(table, 0) + frame.height
        total = self._sums.setdefault(table, np.zeros(2, dtype=np.uint64))
        for chunk in frame.iter_slices(_CHUNK):
            total += _sum_of_rows(chunk)

    @property
    def checksum(self) -> str:
        """The digest of all rows without their times of processing; the order of rows does not matter."""
        return digest_of(
            {table: [self.rows[table], *(int(part) for part in self._sums[table])] for table in sorted(self.rows)}
        )


def _sum_of_rows(frame: pl.DataFrame) -> np.ndarray:
    """The sum of the rows' 128-bit hashes, as two 64-bit words that wrap around."""
    # The row hash of polars changes between releases; the texts of the columns do not.
    texts = frame.select(pl.concat_str(_texts(frame), separator="\x1f")).to_series().to_list()
    hashes = b"".join([blake2b(text.encode(), digest_size=16).digest() for text in texts])
    total: np.ndarray = np.frombuffer(hashes, dtype="<u8").reshape(-1, 2).sum(axis=0, dtype=np.uint64)
    return total


def _texts(frame: pl.DataFrame) -> list[pl.Expr]:
    floats: dict[pl.DataType, pl.DataType] = {pl.Float32(): pl.UInt32(), pl.Float64(): pl.UInt64()}
    columns = []
    for name in sorted(set(frame.columns) - VOLATILE):
        column = pl.col(name)
        if frame.schema[name] in floats:
            column = column.reinterpret(dtype=floats[frame.schema[name]])
        columns.append(column.cast(pl.String).fill_null("\x00"))
    return columns
