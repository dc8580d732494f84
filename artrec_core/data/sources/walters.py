"""The Walters Art Museum: records as in its open collection data (CC0)."""

import re
from functools import lru_cache
from typing import Any

from artrec_core.data.names import Creator, attribution, creator, is_nationality, known
from artrec_core.data.sources.walters_places import ENGLISH
from artrec_core.data.text import (
    Record,
    distinct,
    joined,
    lower,
    object_at,
    objects_at,
    parts,
    text_at,
    whole_at,
)
from artrec_core.data.years import life, settled

MUSEUM = "The Walters Art Museum, Baltimore"
LICENCE = "CC0"
MOST_SUBJECTS = 20
# What the museum says of its own digitizing, not of the work.
_NO_SUBJECTS = frozenset({"walters art museum", "n/a", "none"})


def artwork(record: Record) -> dict[str, Any]:
    """One Walters record as our columns. Raises `ValueError` where a field holds the wrong kind of value."""
    date_text = text_at(record, "DateText")
    year_from, year_to = settled(whole_at(record, "DateBeginYear"), whole_at(record, "DateEndYear"), date_text)
    movement = _named(record, "Style") or _named(record, "Period")
    creators = known([_creator(one) for one in objects_at(record, "Creators")])
    return {
        "artwork_id": text_at(record, "ObjectID"),
        "title": text_at(record, "Title"),
        "creators": creators,
        "year_from": year_from,
        "year_to": year_to,
        "date_text": None if date_text is None or date_text.lower() in ("n.d.", "n. d.") else date_text,
        "classification": lower(text_at(record, "Classification")),
        "medium": text_at(record, "Medium"),
        "movement": movement,
        "culture": _culture(record, creators or [], movement),
        "subjects": _subjects(record),
        "description": text_at(record, "Description"),
        "museum": MUSEUM,
        "image_url": _image(objects_at(record, "Images")),
        "url": text_at(record, "ResourceURL"),
        "licence": LICENCE,
    }


def _named(record: Record, key: str) -> str | None:
    """The names at a key, without doubts and older spellings: "Qing [Ch'ing] Dynasty", "Safavid Dynasty (?)"."""
    text = text_at(record, key)
    return None if text is None else joined(_without_brackets(piece) for piece in re.split(r"[;~]", text))


def _without_brackets(text: str) -> str:
    return re.sub(r"\s+(?=[-,;]|$)", "", re.sub(r"\s*\[[^\]]*\]|\s*\(\?\)", "", text)).strip()


def _culture(record: Record, creators: list[Creator], movement: str | None) -> str | None:
    """The culture, else the people an unnamed maker is of, and the dynasty; else where a nameless work was made."""
    culture, dynasty = _named(record, "Culture"), _named(record, "Dynasty")
    culture = culture or joined(one["nationality"] for one in creators if one["name"] is None)
    if culture or dynasty:
        # "Safavid" is told already where the period is called like the dynasty.
        told = set(parts(movement)) if culture else set()
        dynasties = [one for one in parts(dynasty) if one.removesuffix(" Dynasty") not in told]
        return joined([*parts(culture), *dynasties])
    if any(one["nationality"] for one in creators):
        return None
    return joined(_place(one) for one in objects_at(record, "Geographies"))


def _place(record: Record) -> str | None:
    """The country of origin in English, else the place as the museum names it."""
    if record.get("GeoType") != "Place of Origin":
        return None
    term, hierarchy = text_at(record, "GeographyTerm"), text_at(record, "GeoHierarchy") or ""
    nation = re.search(r"\\nations\\([^\\]+)", hierarchy)
    place = nation[1] if nation else term
    return ENGLISH.get(place, place) if place else None


def _subjects(record: Record) -> list[str] | None:
    """Keywords, then the kinds of object: both are what a visitor would search for."""
    keywords = record.get("Keywords")
    # Line ends separate keywords too, so they are split before white space is folded.
    pieces = parts(keywords) if isinstance(keywords, str) else parts(text_at(record, "Keywords"))
    pieces = [piece for keyword in pieces for piece in keyword.split(" -- ")]
    terms = [text_at({"Keywords": piece}, "Keywords") for piece in pieces]
    found = [lower(term) for term in [*terms, *parts(text_at(record, "ObjectName"))]]
    return distinct((term for term in found if term not in _NO_SUBJECTS), most=MOST_SUBJECTS)


def _image(images: list[Record]) -> str | None:
    """The primary image in full size, else the first."""
    ordered = sorted(images, key=lambda image: image.get("IsPrimary") is not True)
    return next((url for image in ordered if (url := text_at(object_at(image, "ImageURLs"), "Raw"))), None)


def _creator(record: Record) -> Creator:
    name, tie, nationality, dates = _read(text_at(record, "ConcatDisplayName") or "")
    born, died = life(dates) if dates and name else (None, None)
    role = tie or text_at(record, "Role")
    return creator(name, role=role, nationality=nationality, gender=text_at(record, "Gender"), born=born, died=died)


_LABEL = re.compile(r"^[A-Z][a-z]+(?: [a-z]+)*: ")
_BRACKETS = re.compile(r"^(?P<name>[^()]*?)\s*\((?P<told>[^()]+)\)(?P<rest>.*)$")


@lru_cache(maxsize=16384)
def _read(display: str) -> tuple[str | None, str | None, str | None, str | None]:
    """(name, tie to the work, nationality, life dates) out of "Workshop of Guido Reni (Italian, 1575-1642) (?)"."""
    text = re.sub(r"\(\s*\)", "", _LABEL.sub("", display))
    # The doubt is about the maker only at the end: "1774 (?)-1829" is about a year.
    plain = re.sub(r"\s*\(?\?\)?\s*$", "", re.sub(r"\(\?\)(?=[^()]*\))", "", text))
    tie, text = attribution(plain.strip())
    match = _BRACKETS.match(text.replace("(?)", " "))
    name, told = (match["name"], match["told"]) if match else (text, "")
    if match and not name:
        name = text
    if match and re.search(r"attributed to\s*$", match["rest"]):
        tie = tie or "attributed to"
    nationality, dates = _told(told)
    if is_nationality(name):
        return None, tie, name.strip(), None
    if not name or re.match(r"(?:anonymous|unknown|unidentified)\b", name, re.IGNORECASE):
        return None, tie, nationality, None
    if display.rstrip().endswith("?)"):
        tie = tie or "possibly by"
    return name.strip(" ,"), tie, nationality, dates


def _told(told: str) -> tuple[str | None, str | None]:
    """(nationality, life dates) out of "Italian, 1575-1642", "Spain, 570-636" or "ca. 1203-1283"."""
    head, _, rest = told.partition(",")
    head = re.sub(r"\s+", " ", head.replace("|", "and")).strip()
    if is_nationality(head):
        return head, rest.strip() or None
    return None, (rest if rest and not re.search(r"\d", head) else told).strip() or None
