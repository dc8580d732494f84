"""Any catalogue of JSON records. The recipe maps each column to a dotted path in the record."""

import math
import re
from collections.abc import Callable
from typing import Any

from artrec_core.columns import ARTWORK, ARTWORK_ID, CONTENT_HASH, CRAWLED_AT, SOURCE
from artrec_core.data.names import Creator, creator, known_creators
from artrec_core.data.text import Record, clean, distinct_values, integer_at, join_distinct, text_at, type_in_words
from artrec_core.data.values import named_identifier
from artrec_core.data.years import parse_years
from artrec_core.errors import ConfigError

_MAPPABLE_COLUMNS = set(ARTWORK) - {SOURCE, CRAWLED_AT, CONTENT_HASH}


def build_mapper(fields: dict[str, str]) -> Callable[[Record], dict[str, Any]]:
    """Build the function that maps a record to the columns of ARTWORK.

    `fields` maps a column to a path. A path goes through objects ("artist.name"), through one element of a list
    ("images.0.url") or through every object of a list ("artists.name"). Raises `ConfigError` if a column does not exist.
    """
    unknown_columns = sorted(fields.keys() - _MAPPABLE_COLUMNS)
    if unknown_columns:
        raise ConfigError(
            f"sources.fields: {unknown_columns[0]!r} is not a column of an artwork;"
            f" use one of {', '.join(sorted(_MAPPABLE_COLUMNS))}"
        )
    paths = {column: path.split(".") for column, path in fields.items()}

    def artwork(record: Record) -> dict[str, Any]:
        return {column: _value(column, _at(record, path), fields[column]) for column, path in paths.items()}

    return artwork


def _at(value: Any, path: list[str]) -> Any:
    for depth, key in enumerate(path):
        if isinstance(value, list) and not key.isdecimal():
            return [inner for element in value if (inner := _at(element, path[depth:])) is not None]
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _value(column: str, value: Any, field: str) -> Any:
    if column == ARTWORK_ID:
        # Not cleaned like a text: events name the artwork by the same id, with markup and entities left as they are.
        return named_identifier(value, field)
    if column == "creators":
        return known_creators([creator for element in _as_list(value) for creator in _creators(element, field)])
    if column == "subjects":
        return _subjects(value, field)
    if column in ("year_from", "year_to"):
        return _year(value, last=column == "year_to")
    if column == "price":
        return _price(value)
    if isinstance(value, list):
        return join_distinct(clean(element, field) for element in value)
    return clean(value, field)


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _creators(value: Any, field: str) -> list[Creator]:
    """The creators in a text or an object.

    Names in a text are separated by semicolons. They are separated by commas only if each piece has several words, as in
    "Joel Coen, Ethan Coen": "Blake, Robert" is one name.
    """
    if isinstance(value, dict):
        return [_creator(value)]
    text = clean(value, field)
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
        born=integer_at(value, "born"),
        died=integer_at(value, "died"),
    )


def _subjects(value: Any, field: str) -> list[str] | None:
    subjects = [clean(element, field) for element in _as_list(value)]
    if isinstance(value, str):
        subjects = [piece.strip() for text in subjects if text for piece in re.split(r"[;|,]", text)]
    return distinct_values(subject.lower() for subject in subjects if subject)


def _year(value: Any, *, last: bool) -> int | None:
    """The first or last year in a number, "1995", "1995-03-01", a date text or a list of these; None if there is none."""
    if isinstance(value, list):
        years = [year for element in value if (year := _year(element, last=last)) is not None]
        return (max(years) if last else min(years)) if years else None
    number = integer_at({"year": value}, "year")
    if number is not None or not isinstance(value, str):
        return number
    if iso := re.match(r"\s*(-?\d{4})-\d{2}(?:-\d{2})?(?!\d)", value):
        return int(iso[1])
    span = parse_years(value)
    return None if span is None else span[1 if last else 0]


def _price(value: Any) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,12}(\.\d+)?\s*", value):
        return float(value)
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        if value is None or isinstance(value, str):
            return None
        raise ValueError(f"price holds {type_in_words(value)} where a number was expected")
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
