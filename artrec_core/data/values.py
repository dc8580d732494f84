"""What one value of a received record may be in a column of ours; everything else is a `ValueError` that says why.

A value is brought to its one spelling here and nowhere else: the gates judge, and the lake keeps, what these functions return.
"""

import json
import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

# Keys of the warehouse: PostgreSQL refuses an index entry of more than 2,704 bytes, and a character takes up to four.
LONGEST_ID = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0", "0.0"), False),
}
# Also behind the prefix of a source, as in "tate:55.0".
_WHOLE = re.compile(r"((?:.*:)?)(-?[0-9]+)\.0+")
# A float holds every whole number up to this one; beyond it, two ids may have become the same float.
_LARGEST_EXACT = 2.0**53
# Nobody sees these: zero width space, word joiner, byte order mark.
_INVISIBLE = dict.fromkeys((0x200B, 0x2060, 0xFEFF))
_REPLACED = "\ufffd"


def identifier(value: Any) -> str | None:
    """An id in its one spelling, whatever table or file it comes from; null where nothing is left.

    Text is in Unicode's form NFC, without blanks at its ends or invisible characters, with single blanks inside. A whole
    number is its digits: 55, 55.0, "55" and "55.0" are one id ("055" is another). Raises `ValueError` for anything else,
    and for what no warehouse can hold as a key: control characters, more than `LONGEST_ID` characters. Bytes that were
    no UTF-8 are refused too: replaced, two ids could have become one.
    """
    if isinstance(value, float):
        if not value.is_integer() or abs(value) > _LARGEST_EXACT:
            raise ValueError(f"is {shown(value)}, not an id")
        return str(int(value))
    try:
        spelt = text(value)
    except UnicodeError:
        raise
    except ValueError:
        raise ValueError(f"is {shown(value)}, not an id") from None
    if spelt is None:
        return None
    spelt = " ".join(spelt.translate(_INVISIBLE).split())
    if whole := _WHOLE.fullmatch(spelt):
        spelt = whole[1] + ("0" if whole[2] == "-0" else whole[2])
    if len(spelt) > LONGEST_ID:
        raise ValueError(f"is an id of {len(spelt):,} characters; at most {LONGEST_ID} can be a key of the warehouse")
    if _REPLACED in spelt:
        raise ValueError(f"is {shown(spelt)}: some of its bytes are no UTF-8; write the file as UTF-8")
    if any(unicodedata.category(character) == "Cc" for character in spelt):
        raise ValueError(f"is {shown(spelt)}: an id has no control characters")
    return spelt or None


def text(value: Any) -> str | None:
    """Text in Unicode's form NFC without blanks at its ends, or a whole number as text; blank text is null."""
    if isinstance(value, str):
        # Half of a surrogate pair is legal in JSON and in no text we could write.
        value.encode()
        if "\0" in value:
            raise ValueError(f"is {shown(value)}: no database takes a NUL character")
        return unicodedata.normalize("NFC", value).strip() or None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None if value is None else str(value)
    raise ValueError(f"is {shown(value)}, not text")


def statement(value: Any) -> str | None:
    """Text, or a list of texts joined by "; ", as of interests that are ticked off a list."""
    if isinstance(value, list):
        return "; ".join(piece for each in value if (piece := text(each))) or None
    return text(value)


def number(value: Any) -> float | None:
    """A finite number, or text that spells one; blank text is null."""
    if _is_blank(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"is {shown(value)}, not a number")
    try:
        found = _float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"is {shown(value)}, not a number")
    return found


def truth(value: Any) -> bool | None:
    """True or false, also as 1 and 0 or as words (yes, y, t, on; no, n, f, off); blank text is null."""
    if _is_blank(value):
        return None
    found = _WORDS.get(str(value).strip().lower()) if isinstance(value, int | float | str) else None
    if found is None:
        raise ValueError(f"is {shown(value)}, not true or false")
    return found


def moment(value: Any) -> int | None:
    """Microseconds since 1970 of an ISO date or time (UTC where it names no zone) or of seconds since 1970."""
    if _is_blank(value):
        return None
    try:
        if isinstance(value, str):
            return _spelt(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _since_epoch(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"is {shown(value)}, not a date or time")


def shown(value: Any) -> str:
    """A value as a reason shows it, short."""
    written = json.dumps(value, ensure_ascii=True, default=str)
    return written if len(written) <= 60 else written[:57] + "..."


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _spelt(value: str) -> int:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return _since_epoch(_float(value))
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _since_epoch(seconds: float) -> int:
    found = _EPOCH + timedelta(seconds=seconds)
    return (found - _EPOCH) // _MICROSECOND


def _float(value: int | float | str) -> float:
    """Python reads 1_2 as 12; nobody who writes a file means that."""
    if isinstance(value, str) and "_" in value:
        raise ValueError(value)
    return float(value)
