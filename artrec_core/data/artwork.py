"""The Artwork record: what every source is turned into."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from artrec_core.columns import ARTWORK, CONTENT_HASH, CREATOR, CREATORS, VOLATILE, conform
from artrec_core.data.text import kind_of

# What the model reads and an app shows.
HASHED = tuple(name for name in ARTWORK if name != CONTENT_HASH and name not in VOLATILE)

_INT32 = range(-(2**31), 2**31)
_CREATOR_FIELDS = {field.name: field.dtype for field in CREATOR.fields}


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, each of its column's type. Raises `ValueError`, and names the field, where one is not."""
    for name, value in fields.items():
        if value is not None:
            _check(name, value, ARTWORK[name])
    return dict(fields)


def _check(name: str, value: Any, dtype: pl.DataType) -> None:
    if isinstance(dtype, pl.String):
        expected = isinstance(value, str)
    elif isinstance(dtype, pl.Int32):
        if isinstance(value, int) and value not in _INT32:
            raise ValueError(f"{name} holds a number that cannot be a year")
        expected = isinstance(value, int)
    elif isinstance(dtype, pl.Float64):
        expected = isinstance(value, float)
    elif name == CREATORS:
        for one in value:
            for field, field_dtype in _CREATOR_FIELDS.items():
                if one[field] is not None:
                    _check(f"a creator's {field}", one[field], field_dtype)  # type: ignore[arg-type]
        return
    else:
        expected = isinstance(value, list) and all(isinstance(one, str) for one in value)
    if not expected:
        raise ValueError(f"{name} holds {kind_of(value)}, which is not what it should")


def frame(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The rows (dicts of checked values; a column they lack is null) as a frame of these columns."""
    return pl.DataFrame([pl.Series(name, [row.get(name) for row in rows], dtype) for name, dtype in schema.items()])


def content_hash() -> pl.Expr:
    """A digest of everything the model reads and an app shows: the same record, the same digest, whenever crawled."""
    return pl.struct(HASHED).struct.json_encode().map_elements(_digest, return_dtype=pl.String)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def with_content_hash(artworks: pl.DataFrame) -> pl.DataFrame:
    """The artworks (ARTWORK, and columns beside it) with their content hash computed anew."""
    hashed = conform(artworks, {name: ARTWORK[name] for name in HASHED}).select(content_hash().alias(CONTENT_HASH))
    return artworks.with_columns(hashed[CONTENT_HASH])


def creator_names() -> pl.Expr:
    """The names of a work's creators (list of text); makers known by nationality only are left out, null where none."""
    names = pl.col(CREATORS).list.eval(pl.element().struct.field("name").drop_nulls()).list.unique(maintain_order=True)
    return pl.when(names.list.len() > 0).then(names)
