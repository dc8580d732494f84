"""Readers of single values: each turns a value of a received record into the value of an artrec column.

A value that a column cannot hold raises a `ValueError` that says why. Values are normalised here and nowhere else: the
gates check, and the lake stores, what these functions return.
"""

import json
import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

# In characters. Ids are keys of the warehouse: PostgreSQL refuses an index entry of more than 2,704 bytes, and a
# character takes up to four bytes.
LONGEST_ID = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0", "0.0"), False),
}
# A whole number written as a decimal, also after the prefix of a source, as in "tate:55.0".
_WHOLE_DECIMAL = re.compile(r"((?:.*:)?)(-?[0-9]+)\.0+")
# A float is exact for every whole number up to this one. Above it, two ids can become the same float.
_LARGEST_EXACT = 2.0**53
# Invisible characters: zero width space, word joiner, byte order mark.
_INVISIBLE = dict.fromkeys((0x200B, 0x2060, 0xFEFF))
_REPLACEMENT_CHARACTER = "\ufffd"


def identifier(value: Any) -> str | None:
    """Normalise an id, so that it is spelt alike in every table and file. None if nothing is left.

    Text is brought to Unicode's form NFC. Outer blanks and invisible characters are removed, inner blanks become single.
    A whole number is written in digits: 55, 55.0, "55" and "55.0" are the same id ("055" is another).

    Raises
    ------
    ValueError
        If the value is of another type, has control characters or more than `LONGEST_ID` characters: no warehouse can
        use it as a key. Also if it holds replacement characters, which stand for bytes that are not UTF-8: two different
        ids could have become the same.
    """
    if isinstance(value, float):
        if not value.is_integer() or abs(value) > _LARGEST_EXACT:
            raise ValueError(f"is {excerpt(value)}, not an id")
        return str(int(value))
    try:
        normalised = text(value)
    except UnicodeError:
        raise
    except ValueError:
        raise ValueError(f"is {excerpt(value)}, not an id") from None
    if normalised is None:
        return None
    normalised = " ".join(normalised.translate(_INVISIBLE).split())
    if match := _WHOLE_DECIMAL.fullmatch(normalised):
        normalised = match[1] + ("0" if match[2] == "-0" else match[2])
    if len(normalised) > LONGEST_ID:
        raise ValueError(f"is an id of {len(normalised):,} characters; a key of the warehouse has at most {LONGEST_ID}")
    if _REPLACEMENT_CHARACTER in normalised:
        raise ValueError(f"is {excerpt(normalised)}: some of its bytes are not UTF-8; write the file as UTF-8")
    if any(unicodedata.category(character) == "Cc" for character in normalised):
        raise ValueError(f"is {excerpt(normalised)}: an id must not have control characters")
    return normalised or None


def named_identifier(value: Any, field: str) -> str | None:
    """Normalise an id as `identifier` does; the message of a `ValueError` begins with the name of the field."""
    try:
        return identifier(value)
    except ValueError as error:
        raise ValueError(f"{field} {error}") from None


def text(value: Any) -> str | None:
    """Text in Unicode's form NFC without outer blanks, or a whole number in digits. Blank text is None."""
    if isinstance(value, str):
        # JSON may hold half of a surrogate pair, which cannot be written as UTF-8.
        value.encode()
        if "\0" in value:
            raise ValueError(f"is {excerpt(value)}: no database stores a NUL character")
        return unicodedata.normalize("NFC", value).strip() or None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None if value is None else str(value)
    raise ValueError(f"is {excerpt(value)}, not text")


def statement(value: Any) -> str | None:
    """Text, or a list of texts joined by "; ": a form may offer interests as a list of choices."""
    if isinstance(value, list):
        return "; ".join(piece for element in value if (piece := text(element))) or None
    return text(value)


def number(value: Any) -> float | None:
    """A finite number, or text that holds one. Blank text is None."""
    if _is_blank(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"is {excerpt(value)}, not a number")
    try:
        parsed = _float(value)
    except (ValueError, OverflowError):
        parsed = math.nan
    if not math.isfinite(parsed):
        raise ValueError(f"is {excerpt(value)}, not a number")
    return parsed


def boolean(value: Any) -> bool | None:
    """True or false, also as 1 and 0 or as words (yes, y, t, on; no, n, f, off). Blank text is None."""
    if _is_blank(value):
        return None
    parsed = _BOOLEANS.get(str(value).strip().lower()) if isinstance(value, int | float | str) else None
    if parsed is None:
        raise ValueError(f"is {excerpt(value)}, not true or false")
    return parsed


def timestamp(value: Any) -> int | None:
    """Microseconds since 1970 (UTC) of an ISO date or time, or of a number of seconds since 1970.

    A time without a zone is UTC. Blank text is None.
    """
    if _is_blank(value):
        return None
    try:
        if isinstance(value, str):
            return _parse_time(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _since_epoch(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"is {excerpt(value)}, not a date or time")


def excerpt(value: Any) -> str:
    """A value as JSON for the message of an error, cut to 60 characters."""
    json_text = json.dumps(value, ensure_ascii=True, default=str)
    return json_text if len(json_text) <= 60 else json_text[:57] + "..."


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _parse_time(value: str) -> int:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return _since_epoch(_float(value))
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _since_epoch(seconds: float) -> int:
    time = _EPOCH + timedelta(seconds=seconds)
    return (time - _EPOCH) // _MICROSECOND


def _float(value: int | float | str) -> float:
    """Like `float`, but text with an underscore is an error: Python reads "1_2" as 12, which no file means."""
    if isinstance(value, str) and "_" in value:
        raise ValueError(value)
    return float(value)
