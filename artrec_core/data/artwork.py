"""Rows of the ARTWORK schema: type checks, frames and content hashes."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from artrec_core.columns import ARTWORK, CONTENT_HASH, CREATOR, CREATORS, VOLATILE, conform
from artrec_core.data.text import type_in_words

# The columns that the model reads and applications show.
HASHED_COLUMNS = tuple(name for name in ARTWORK if name != CONTENT_HASH and name not in VOLATILE)

_INT32 = range(-(2**31), 2**31)
_CREATOR_FIELDS = {field.name: field.dtype for field in CREATOR.fields}


def check_types(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an artwork. Raises `ValueError`, which names the field, if a value is of the wrong type."""
    for name, value in fields.items():
        if value is not None:
            _check(name, value, ARTWORK[name])
    return dict(fields)


def _check(name: str, value: Any, dtype: pl.DataType) -> None:
    if isinstance(dtype, pl.String):
        fits = isinstance(value, str)
    elif isinstance(dtype, pl.Int32):
        if isinstance(value, int) and value not in _INT32:
            raise ValueError(f"{name} holds a number that cannot be a year")
        fits = isinstance(value, int)
    elif isinstance(dtype, pl.Float64):
        fits = isinstance(value, float)
    elif name == CREATORS:
        for creator in value:
            for field, field_dtype in _CREATOR_FIELDS.items():
                if creator[field] is not None:
                    _check(f"a creator's {field}", creator[field], field_dtype)  # type: ignore[arg-type]
        return
    else:
        fits = isinstance(value, list) and all(isinstance(element, str) for element in value)
    if not fits:
        raise ValueError(f"{name} holds {type_in_words(value)}, which is the wrong type")


def build_frame(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A frame with the columns of `schema`, one row for each dict; a column that a dict lacks is null.

    The values must already be of the columns' types (`check_types`).
    """
    return pl.DataFrame([pl.Series(name, [row.get(name) for row in rows], dtype) for name, dtype in schema.items()])


def content_hash() -> pl.Expr:
    """A digest of `HASHED_COLUMNS`. The same record has the same digest, whenever it was crawled."""
    return pl.struct(HASHED_COLUMNS).struct.json_encode().map_elements(_digest, return_dtype=pl.String)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def with_content_hash(artworks: pl.DataFrame) -> pl.DataFrame:
    """The artworks (ARTWORK and any further columns) with their content hash computed again."""
    hashes = conform(artworks, {name: ARTWORK[name] for name in HASHED_COLUMNS}).select(
        content_hash().alias(CONTENT_HASH)
    )
    return artworks.with_columns(hashes[CONTENT_HASH])


def creator_names() -> pl.Expr:
    """The distinct names of an artwork's creators, as a list; null if none has a name.

    Creators known by their nationality alone are left out.
    """
    names = pl.col(CREATORS).list.eval(pl.element().struct.field("name").drop_nulls()).list.unique(maintain_order=True)
    return pl.when(names.list.len() > 0).then(names)
