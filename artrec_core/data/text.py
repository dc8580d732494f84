"""Text as people wrote it, made fit to show and to read: no markup, no control characters, folded white space.

Also the readers of raw JSON: a value of the wrong kind is a `ValueError` whose message a curator understands.
"""

import html
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]

_HIDDEN = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)


# A word may be marked up in its middle; every other tag stands between words.
_INLINE = re.compile(r"</?(?:a|abbr|b|em|font|i|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE)


def _replacements() -> dict[int, str | None]:
    """Controls, direction marks, lone surrogates and non-characters go; white space becomes a blank."""
    table: dict[int, str | None] = dict.fromkeys([*range(0x20), 0x7F, *range(0x80, 0xA0)])
    table |= dict.fromkeys([0x200B, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
    table |= dict.fromkeys(range(0xD800, 0xE000))
    table |= dict.fromkeys((0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), " ")
    # Windows-1252 read as Latin-1, as in Carnegie's "Saint Michael\x92s Church".
    for code in range(0x80, 0xA0):
        if code != 0x85:
            table[code] = bytes([code]).decode("cp1252", errors="ignore") or None
    return table


_REPLACEMENTS = _replacements()


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def clean(value: object, what: str = "a field") -> str | None:
    """The text without markup, entities and control characters, white space folded; None where nothing is left.

    A number is read as its digits. Raises `ValueError` for anything else; `what` names the place in its message.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return _digits(value, what)
    if value.isascii() and value.isprintable() and "<" not in value and "&" not in value:
        return " ".join(value.split()) or None
    text = _without_tags(value)
    if "&" in text:
        text = _without_tags(html.unescape(text))
    text = unicodedata.normalize("NFC", text.translate(_REPLACEMENTS))
    return " ".join(text.split()) or None


def _digits(value: object, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} holds {kind_of(value)} where text was expected")
    try:
        return str(value)
    except ValueError:
        raise ValueError(f"{what} holds a number of more digits than can be read") from None


def _without_tags(text: str) -> str:
    return _TAG.sub(" ", _INLINE.sub("", _HIDDEN.sub(" ", text))) if "<" in text else text


def text_at(record: Record, key: str) -> str | None:
    """The clean text at a key, or None."""
    return clean(record.get(key), key)


def list_at(record: Record, key: str) -> list[Any]:
    """The list at a key; empty where there is none. Raises `ValueError` for another kind of value."""
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{key} holds {kind_of(value)} where a list was expected")
    return value


def objects_at(record: Record, key: str) -> list[Record]:
    """The list of objects at a key, nulls left out. Raises `ValueError` for another kind of value."""
    found = [value for value in list_at(record, key) if value is not None]
    for value in found:
        if not isinstance(value, dict):
            raise ValueError(f"{key} holds {kind_of(value)} where a list of objects was expected")
    return found


def object_at(record: Record, key: str) -> Record:
    """The object at a key; empty where there is none. Raises `ValueError` for another kind of value."""
    value = record.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} holds {kind_of(value)} where an object was expected")
    return value


def whole_at(record: Record, key: str) -> int | None:
    """The whole number at a key, or None where there is none or it is no number."""
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


def distinct(values: Iterable[str | None], *, most: int | None = None) -> list[str] | None:
    """The values without nulls and repetitions, in their order, at most so many; None where none is left."""
    found = list(dict.fromkeys(value for value in values if value))
    return found[:most] or None


def joined(values: Iterable[str | None]) -> str | None:
    """The distinct values joined by "; ", or None."""
    found = distinct(values)
    return "; ".join(found) if found else None


def parts(text: str | None) -> list[str]:
    """The pieces of a text between semicolons and line ends."""
    return [] if text is None else [piece.strip() for piece in re.split(r"[;\r\n]+", text) if piece.strip()]


def lower(text: str | None) -> str | None:
    """The text in lower case, or None."""
    return None if text is None else text.lower()


def natural_order(term: str) -> str:
    """A catalogue's inverted term in natural order: "boat, sailing" -> "sailing boat"; others as they are."""
    head, comma, tail = term.partition(", ")
    return f"{tail} {head}" if comma and ", " not in tail else term
