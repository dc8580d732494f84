"""The Walters Art Museum: records as in its open collection data (CC0)."""

import re
from functools import lru_cache
from typing import Any

from artrec_core.data.names import Creator, creator, is_nationality, known_creators, split_attribution
from artrec_core.data.sources.walters_places import ENGLISH_NAMES
from artrec_core.data.text import (
    Record,
    distinct_values,
    integer_at,
    join_distinct,
    lower,
    object_at,
    objects_at,
    split_parts,
    text_at,
)
from artrec_core.data.years import parse_life, reconcile_years

MUSEUM = "The Walters Art Museum, Baltimore"
LICENCE = "CC0"
MAX_SUBJECTS = 20
# Keywords that describe the museum's own digitisation or nothing at all, and not the artwork.
_NO_SUBJECTS = frozenset({"walters art museum", "n/a", "none"})


def artwork(record: Record) -> dict[str, Any]:
    """Map a Walters record to the columns of ARTWORK. Raises `ValueError` if a value is of the wrong type."""
    date_text = text_at(record, "DateText")
    year_from, year_to = reconcile_years(
        integer_at(record, "DateBeginYear"), integer_at(record, "DateEndYear"), date_text
    )
    movement = _names_at(record, "Style") or _names_at(record, "Period")
    creators = known_creators([_creator(maker) for maker in objects_at(record, "Creators")])
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


def _names_at(record: Record, key: str) -> str | None:
    """The names in a field, without marks of doubt and older spellings.

    Examples are "Safavid Dynasty (?)" and "Qing [Ch'ing] Dynasty".
    """
    text = text_at(record, key)
    return None if text is None else join_distinct(_without_brackets(piece) for piece in re.split(r"[;~]", text))


def _without_brackets(text: str) -> str:
    return re.sub(r"\s+(?=[-,;]|$)", "", re.sub(r"\s*\[[^\]]*\]|\s*\(\?\)", "", text)).strip()


def _culture(record: Record, creators: list[Creator], movement: str | None) -> str | None:
    """The culture and the dynasty.

    Without a culture, the nationality of the unnamed makers takes its place. Without culture and dynasty, it is the place
    of origin, but only if no creator has a nationality.
    """
    culture, dynasty = _names_at(record, "Culture"), _names_at(record, "Dynasty")
    culture = culture or join_distinct(creator["nationality"] for creator in creators if creator["name"] is None)
    if culture or dynasty:
        # A dynasty with the same name as the period ("Safavid") is already in the movement.
        periods = set(split_parts(movement)) if culture else set()
        dynasties = [name for name in split_parts(dynasty) if name.removesuffix(" Dynasty") not in periods]
        return join_distinct([*split_parts(culture), *dynasties])
    if any(creator["nationality"] for creator in creators):
        return None
    return join_distinct(_place(geography) for geography in objects_at(record, "Geographies"))


def _place(record: Record) -> str | None:
    """The English name of the country of origin, else the place as the museum names it."""
    if record.get("GeoType") != "Place of Origin":
        return None
    term, hierarchy = text_at(record, "GeographyTerm"), text_at(record, "GeoHierarchy") or ""
    nation = re.search(r"\\nations\\([^\\]+)", hierarchy)
    place = nation[1] if nation else term
    return ENGLISH_NAMES.get(place, place) if place else None


def _subjects(record: Record) -> list[str] | None:
    """Keywords, then the kinds of object: visitors search for both."""
    keywords = record.get("Keywords")
    # Line ends separate keywords too. Cleaning would turn them into blanks, so the text is split first.
    pieces = split_parts(keywords) if isinstance(keywords, str) else split_parts(text_at(record, "Keywords"))
    pieces = [piece for keyword in pieces for piece in keyword.split(" -- ")]
    terms = [text_at({"Keywords": piece}, "Keywords") for piece in pieces]
    subjects = [lower(term) for term in [*terms, *split_parts(text_at(record, "ObjectName"))]]
    return distinct_values((subject for subject in subjects if subject not in _NO_SUBJECTS), limit=MAX_SUBJECTS)


def _image(images: list[Record]) -> str | None:
    """The primary image in full size, else the first image."""
    ordered = sorted(images, key=lambda image: image.get("IsPrimary") is not True)
    return next((url for image in ordered if (url := text_at(object_at(image, "ImageURLs"), "Raw"))), None)


def _creator(record: Record) -> Creator:
    name, attribution, nationality, dates = _parse_display_name(text_at(record, "ConcatDisplayName") or "")
    born, died = parse_life(dates) if dates and name else (None, None)
    role = attribution or text_at(record, "Role")
    return creator(name, role=role, nationality=nationality, gender=text_at(record, "Gender"), born=born, died=died)


_LABEL = re.compile(r"^[A-Z][a-z]+(?: [a-z]+)*: ")
_BRACKETS = re.compile(r"^(?P<name>[^()]*?)\s*\((?P<details>[^()]+)\)(?P<rest>.*)$")


@lru_cache(maxsize=16384)
def _parse_display_name(display: str) -> tuple[str | None, str | None, str | None, str | None]:
    """(name, attribution, nationality, life dates) of a text like "Workshop of Guido Reni (Italian, 1575-1642) (?)"."""
    text = re.sub(r"\(\s*\)", "", _LABEL.sub("", display))
    # A "(?)" at the end is about the creator. One inside, as in "1774 (?)-1829", is about a year.
    without_doubt = re.sub(r"\s*\(?\?\)?\s*$", "", re.sub(r"\(\?\)(?=[^()]*\))", "", text))
    attribution, text = split_attribution(without_doubt.strip())
    match = _BRACKETS.match(text.replace("(?)", " "))
    name, details = (match["name"], match["details"]) if match else (text, "")
    if match and not name:
        name = text
    if match and re.search(r"attributed to\s*$", match["rest"]):
        attribution = attribution or "attributed to"
    nationality, dates = _parse_details(details)
    if is_nationality(name):
        return None, attribution, name.strip(), None
    if not name or re.match(r"(?:anonymous|unknown|unidentified)\b", name, re.IGNORECASE):
        return None, attribution, nationality, None
    if display.rstrip().endswith("?)"):
        attribution = attribution or "possibly by"
    return name.strip(" ,"), attribution, nationality, dates


def _parse_details(details: str) -> tuple[str | None, str | None]:
    """(nationality, life dates) of a text like "Italian, 1575-1642", "Spain, 570-636" or "ca. 1203-1283"."""
    head, _, rest = details.partition(",")
    head = re.sub(r"\s+", " ", head.replace("|", "and")).strip()
    if is_nationality(head):
        return head, rest.strip() or None
    return None, (rest if rest and not re.search(r"\d", head) else details).strip() or None
