"""What one value of a received record may be in a column of ours; everything else is a `ValueError` that says why."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def text(value: Any) -> str | None:
    """Text, or a whole number as text (ids are often numbers); the empty text of a CSV cell is null."""
    if isinstance(value, str):
        # Half of a surrogate pair is legal in JSON and in no text we could write.
        value.encode()
        return value or None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None if value is None else str(value)
    raise ValueError(f"is {shown(value)}, not text")


def number(value: Any) -> float | None:
    """A finite number, or text that spells one."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"is {shown(value)}, not a number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"is {shown(value)}, not a number")
    return found


def truth(value: Any) -> bool | None:
    """True or false, also as 1 and 0 or as words."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return value
    found = _WORDS.get(str(value).strip().lower()) if isinstance(value, int | str) else None
    if found is None:
        raise ValueError(f"is {shown(value)}, not true or false")
    return found


def moment(value: Any) -> int | None:
    """Microseconds since 1970 of an ISO date or time (UTC where it names no zone) or of seconds since 1970."""
    if value is None or value == "":
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


def _spelt(value: str) -> int:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return _since_epoch(float(value))
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _since_epoch(seconds: float) -> int:
    found = _EPOCH + timedelta(seconds=seconds)
    return (found - _EPOCH) // _MICROSECOND
