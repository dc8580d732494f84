"""Any catalogue of JSON records, mapped by the recipe: our column = dotted path in the record."""

import math
import re
from collections.abc import Callable
from typing import Any

from artrec_core.columns import ARTWORK, ARTWORK_ID, CONTENT_HASH, CRAWLED_AT, SOURCE
from artrec_core.data.names import Creator, creator, known
from artrec_core.data.text import Record, clean, distinct, joined, kind_of, text_at, whole_at
from artrec_core.data.values import identifier
from artrec_core.data.years import years
from artrec_core.errors import ConfigError

_MAPPED = set(ARTWORK) - {SOURCE, CRAWLED_AT, CONTENT_HASH}


def mapping(fields: dict[str, str]) -> Callable[[Record], dict[str, Any]]:
    """The function that turns a record into our columns.

    A path leads through objects ("artist.name"), lists by number ("images.0.url"), or every object of a list
    ("artists.name"). Raises `ConfigError` for a column that is not ours.
    """
    unknown = sorted(fields.keys() - _MAPPED)
    if unknown:
        raise ConfigError(
            f"sources.fields: {unknown[0]!r} is no column of an artwork; known are {', '.join(sorted(_MAPPED))}"
        )
    paths = {column: path.split(".") for column, path in fields.items()}

    def artwork(record: Record) -> dict[str, Any]:
        return {column: _value(column, _at(record, path), fields[column]) for column, path in paths.items()}

    return artwork


def _at(value: Any, path: list[str]) -> Any:
    for at, step in enumerate(path):
        if isinstance(value, list) and not step.isdecimal():
            return [found for one in value if (found := _at(one, path[at:])) is not None]
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _value(column: str, value: Any, what: str) -> Any:
    if column == ARTWORK_ID:
        return _id(value, what)
    if column == "creators":
        return known([one for found in _listed(value) for one in _creators(found, what)])
    if column == "subjects":
        return _subjects(value, what)
    if column in ("year_from", "year_to"):
        return _year(value, last=column == "year_to")
    if column == "price":
        return _price(value)
    return joined(clean(one, what) for one in value) if isinstance(value, list) else clean(value, what)


def _id(value: Any, what: str) -> str | None:
    # As events spell it: markup and entities are taken for what they are.
    try:
        return identifier(value)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _creators(value: Any, what: str) -> list[Creator]:
    """The creators of a text ("A; B", and "Joel Coen, Ethan Coen" where every piece is a whole name) or an object."""
    if isinstance(value, dict):
        return [_creator(value)]
    text = clean(value, what)
    if text is None:
        return []
    pieces = text.split(";")
    commas = text.split(",")
    if len(pieces) == 1 and all(len(piece.split()) > 1 for piece in commas):
        pieces = commas
    return [creator(name) for piece in pieces if (name := piece.strip())]


def _creator(value: Record) -> Creator:
    return creator(
        text_at(value, "name"),
        role=text_at(value, "role"),
        nationality=text_at(value, "nationality"),
        gender=text_at(value, "gender"),
        born=whole_at(value, "born"),
        died=whole_at(value, "died"),
    )


def _subjects(value: Any, what: str) -> list[str] | None:
    found = [clean(one, what) for one in _listed(value)]
    if isinstance(value, str):
        found = [piece.strip() for text in found if text for piece in re.split(r"[;|,]", text)]
    return distinct(one.lower() for one in found if one)


def _year(value: Any, *, last: bool) -> int | None:
    """A year out of a number, "1995", "1995-03-01" or prose; None where none is told."""
    if isinstance(value, list):
        found = [year for one in value if (year := _year(one, last=last)) is not None]
        return (max(found) if last else min(found)) if found else None
    number = whole_at({"year": value}, "year")
    if number is not None or not isinstance(value, str):
        return number
    if iso := re.match(r"\s*(-?\d{4})-\d{2}(?:-\d{2})?(?!\d)", value):
        return int(iso[1])
    told = years(value)
    return None if told is None else told[1 if last else 0]


def _price(value: Any) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,12}(\.\d+)?\s*", value):
        return float(value)
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        if value is None or isinstance(value, str):
            return None
        raise ValueError(f"price holds {kind_of(value)} where a number was expected")
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
