"""Cleaning of text from sources, and typed access to the fields of a raw JSON record.

Clean text has no markup and no control characters; each run of white space is one blank. A field with a value of the
wrong type raises a `ValueError` whose message a curator understands.
"""

import html
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]

_INVISIBLE_ELEMENT = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
# These tags may stand inside a word and are removed without a trace. Every other tag becomes a blank.
_INLINE_TAG = re.compile(r"</?(?:a|abbr|b|em|font|i|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE)


def _replacements() -> dict[int, str | None]:
    """A table for `str.translate`.

    Control characters, direction marks, lone surrogates and non-characters are removed. White space becomes a blank.
    """
    table: dict[int, str | None] = dict.fromkeys([*range(0x20), 0x7F, *range(0x80, 0xA0)])
    table |= dict.fromkeys([0x200B, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
    table |= dict.fromkeys(range(0xD800, 0xE000))
    table |= dict.fromkeys((0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), " ")
    # Some text is Windows-1252 that was decoded as Latin-1, as in Carnegie's "Saint Michael\x92s Church".
    for code in range(0x80, 0xA0):
        if code != 0x85:
            table[code] = bytes([code]).decode("cp1252", errors="ignore") or None
    return table


_REPLACEMENTS = _replacements()


def type_in_words(value: object) -> str:
    """The type of a JSON value in words, as in "a number"."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def clean(value: object, field: str = "a field") -> str | None:
    """Clean a text: remove markup, entities and control characters, and fold white space. None if nothing is left.

    A number becomes its digits. Any other type raises `ValueError`; `field` is the field's name in the message.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return _digits(value, field)
    if value.isascii() and value.isprintable() and "<" not in value and "&" not in value:
        return " ".join(value.split()) or None
    text = _without_tags(value)
    if "&" in text:
        text = _without_tags(html.unescape(text))
    text = unicodedata.normalize("NFC", text.translate(_REPLACEMENTS))
    return " ".join(text.split()) or None


def _digits(value: object, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{field} holds {type_in_words(value)} where text was expected")
    try:
        return str(value)
    except ValueError:
        raise ValueError(f"{field} holds a number with more digits than can be read") from None


def _without_tags(text: str) -> str:
    return _TAG.sub(" ", _INLINE_TAG.sub("", _INVISIBLE_ELEMENT.sub(" ", text))) if "<" in text else text


def text_at(record: Record, key: str) -> str | None:
    """The clean text of a field, or None."""
    return clean(record.get(key), key)


def list_at(record: Record, key: str) -> list[Any]:
    """The list in a field, empty if the field is missing. Raises `ValueError` if the value is of another type."""
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{key} holds {type_in_words(value)} where a list was expected")
    return value


def objects_at(record: Record, key: str) -> list[Record]:
    """The list of objects in a field, without nulls. Raises `ValueError` if the value is of another type."""
    objects = [value for value in list_at(record, key) if value is not None]
    for value in objects:
        if not isinstance(value, dict):
            raise ValueError(f"{key} holds {type_in_words(value)} where a list of objects was expected")
    return objects


def object_at(record: Record, key: str) -> Record:
    """The object in a field, empty if the field is missing. Raises `ValueError` if the value is of another type."""
    value = record.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} holds {type_in_words(value)} where an object was expected")
    return value


def integer_at(record: Record, key: str) -> int | None:
    """The whole number in a field, or None if the field is missing or holds no number. A fraction is cut off."""
    value = record.get(key)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", value):
        return int(value)
    return None


def distinct_values(values: Iterable[str | None], *, limit: int | None = None) -> list[str] | None:
    """The values without nulls, empty texts and repetitions, in their order; None if none is left.

    At most `limit` values are returned (None: all).
    """
    unique = list(dict.fromkeys(value for value in values if value))
    return unique[:limit] or None


def join_distinct(values: Iterable[str | None]) -> str | None:
    """The distinct values, separated by "; ", or None."""
    unique = distinct_values(values)
    return "; ".join(unique) if unique else None


def split_parts(text: str | None) -> list[str]:
    """Split a text at semicolons and line ends; blank parts are left out."""
    return [] if text is None else [piece.strip() for piece in re.split(r"[;\r\n]+", text) if piece.strip()]


def lower(text: str | None) -> str | None:
    """The text in lower case, or None."""
    return None if text is None else text.lower()


def natural_order(term: str) -> str:
    """An inverted catalogue term in natural order: "boat, sailing" -> "sailing boat". Other terms are unchanged."""
    head, comma, tail = term.partition(", ")
    return f"{tail} {head}" if comma and ", " not in tail else term
