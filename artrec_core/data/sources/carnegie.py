"""Carnegie Museum of Art: records as in its open collection data (CC0)."""

import re
from typing import Any

from artrec_core.data.names import Creator, creator, known_creators, natural_name
from artrec_core.data.text import Record, join_distinct, lower, objects_at, text_at
from artrec_core.data.years import parse_years, reconcile_years

MUSEUM = "Carnegie Museum of Art, Pittsburgh"
LICENCE = "CC0"

_ISO = re.compile(r"^(-?\d{4,5})-(\d{2})-(\d{2})")
_UNKNOWN = re.compile(r"^(?:unknown|anonymous|unidentified)\b(?: (?:artist|maker))?[, ]*", re.IGNORECASE)


def artwork(record: Record) -> dict[str, Any]:
    """Map a Carnegie record to the columns of ARTWORK. Raises `ValueError` if a value is of the wrong type."""
    date_text = text_at(record, "creation_date")
    year_from, year_to = _years(record, date_text)
    makers = objects_at(record, "creator")
    identifier = text_at(record, "id")
    return {
        "artwork_id": identifier.removeprefix("cmoa:things/") if identifier else None,
        "title": text_at(record, "title"),
        "creators": known_creators([_creator(maker) for maker in makers]),
        "year_from": year_from,
        "year_to": year_to,
        "date_text": None if date_text is None or date_text.lower() in ("no date", "not dated") else date_text,
        "classification": lower(text_at(record, "classification")),
        "medium": text_at(record, "medium"),
        "culture": join_distinct(_culture(maker) for maker in makers),
        "museum": MUSEUM,
        "image_url": next(
            (url for image in objects_at(record, "images") if (url := text_at(image, "image_url"))), None
        ),
        "url": text_at(record, "web_url"),
        "licence": LICENCE,
    }


def _years(record: Record, date_text: str | None) -> tuple[int | None, int | None]:
    start, end = (
        _iso_year(text_at(record, "creation_date_earliest")),
        _iso_year(text_at(record, "creation_date_latest")),
    )
    if start is None and end is not None and (date_text is None or parse_years(date_text) is None):
        # "no date", latest 1984: the artwork came to the museum in that year. When it was made is unknown.
        return None, end
    return reconcile_years(start, end, date_text)


def _iso_year(date: str | None) -> int | None:
    """The year of an ISO date.

    The museum converted 1 January of the Julian calendar to a date in late December of the year before. Such a date
    counts for the year after.
    """
    match = _ISO.match(date) if date else None
    if match is None:
        return None
    year = int(match[1])
    return year + 1 if 0 < year < 1753 and match[2] == "12" and int(match[3]) >= 20 else year


def _creator(record: Record) -> Creator:
    name, inverted = text_at(record, "full_name"), text_at(record, "cited_name")
    name = name or (natural_name(inverted) if inverted else None)
    name = None if name is None or _UNKNOWN.match(name) else name
    # The "birth date" of a firm is its foundation.
    is_person = name is not None and record.get("party_type") in (None, "Person")
    nationality = text_at(record, "nationality")
    return creator(
        name,
        role=text_at(record, "role") or "artist",
        nationality=None if nationality in (None, "undetermined") else nationality.replace(" | ", " and "),
        born=_iso_year(text_at(record, "birth_date")) if is_person else None,
        died=_iso_year(text_at(record, "death_date")) if is_person else None,
    )


def _culture(record: Record) -> str | None:
    """The culture in the name of an unknown maker: "unknown Italian, Naples" -> "Italian, Naples"."""
    name = text_at(record, "full_name") or ""
    match = _UNKNOWN.match(name)
    return name[match.end() :].strip() or None if match else None
