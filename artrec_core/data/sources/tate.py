"""Tate: records as in its open collection data (CC0)."""

import re
from functools import lru_cache
from typing import Any

from artrec_core.data.names import Creator, creator, is_nationality, known, natural, plain
from artrec_core.data.text import (
    Record,
    clean,
    distinct,
    joined,
    lower,
    natural_order,
    object_at,
    objects_at,
    text_at,
    whole_at,
)
from artrec_core.data.years import life, settled

MUSEUM = "Tate"
LICENCE = "CC0"
MOST_SUBJECTS = 20
_MOST_LEAVES = 16

# Branches of the subject tree that are worth naming besides their leaves.
_BRANCHES = {
    "landscape": "landscape",
    "seascapes and coasts": "seascape",
    "townscapes, man-made features": "townscape",
    "water: inland": "inland water",
    "transport: water": "boats and ships",
    "animals: mammals": "animals",
    "animals: birds": "birds",
    "animals: fish and aquatic life": "aquatic life",
    "animals: fantastic": "fantastic animals",
    "plants and flowers": "plants and flowers",
    "portraits": "portrait",
    "nudes": "nude",
    "children": "children",
    "named individuals": "named person",
    "non-representational": "abstract art",
    "from recognisable sources": "abstract art",
    "ruins": "ruins",
    "weather": "weather",
    "music and entertainment": "music and entertainment",
    "sport": "sport",
    "domestic": "domestic life",
    "family": "family",
    "social comment": "social comment",
    "government and politics": "politics",
    "crime and punishment": "crime and punishment",
    "fine arts and music": "art and music",
    "Bible: New Testament": "bible",
    "Bible: Old Testament": "bible",
    "classical myths: gods and heroes": "classical mythology",
    "classical myths: creatures": "classical mythology",
    "classical myths: events, themes": "classical mythology",
    "Shakespeare": "shakespeare",
    "military: World War I": "world war i",
    "military: World War II": "world war ii",
}

# Leaves that say nothing without their branch.
_LEAVES = {
    "portraits": {
        "individuals: male": "male portrait",
        "individuals: female": "female portrait",
        "groups": "group portrait",
        "self-portraits": "self-portrait",
    },
    "nudes": {"female": "female nude", "male": "male nude", "figure": "nude"},
}
_LEAF_WITH_BRANCH = {
    "ruins": "{} ruins",
    "non-representational": "abstract {}",
    "from recognisable sources": "abstracted {}",
    "animals: features": "animal {}",
    "dress: nations/regions": "dress of {}",
    "dress: fantasy/fancy": "{} costume",
    "ethnicity": "{} people",
}
# Where "Venice, Grand Canal" or "Homer, 'Iliad'" is a name and no inverted term.
_NAMES = {"literature and fiction", "history", "symbols & personifications"}
_NAMING = {"fine art and design, named works", "reading, writing, printed matter", "named groups", "named families"}


def artwork(record: Record) -> dict[str, Any]:
    """One Tate record as our columns. Raises `ValueError` where a field holds the wrong kind of value."""
    dates = object_at(record, "dateRange")
    date_text = text_at(record, "dateText")
    year_from, year_to = settled(whole_at(dates, "startYear"), whole_at(dates, "endYear"), date_text)
    title, original = text_at(record, "title"), text_at(record, "foreignTitle")
    group = text_at(record, "groupTitle")
    return {
        "artwork_id": text_at(record, "id"),
        "title": title or original,
        # `title` is the English one, `foreignTitle` the artist's own.
        "title_original": original if original != title else None,
        "creators": known([_creator(one) for one in objects_at(record, "contributors")]),
        "year_from": year_from,
        "year_to": year_to,
        "date_text": None if _says_unknown(date_text) else date_text,
        "classification": lower(text_at(record, "classification")),
        "medium": text_at(record, "medium"),
        "movement": joined(_movement(text_at(one, "name")) for one in objects_at(record, "movements")),
        "subjects": _subjects(object_at(record, "subjects")),
        # Tate describes few works in this data; the sketchbook or series a sheet belongs to tells most about it.
        "description": f"Part of: {group}" if group and group != title else None,
        "museum": MUSEUM,
        "image_url": text_at(record, "thumbnailUrl"),
        "url": text_at(record, "url"),
        "licence": LICENCE,
    }


def _says_unknown(date_text: str | None) -> bool:
    return date_text is None or date_text.lower() in ("date not known", "no date")


def _creator(record: Record) -> Creator:
    name = text_at(record, "fc")
    inverted = text_at(record, "mda")
    name = plain(name) if name else natural(inverted) if inverted else None
    dates = text_at(record, "date")
    role, gender = text_at(record, "role"), text_at(record, "gender")
    # "British (?) School 18th century" is nobody in particular, and its dates are the century's.
    school = re.match(r"\??([^()?]*?)(?: \(\?\))? School\b", name or "")
    if school is not None and is_nationality(school[1]):
        return creator(None, role=role, nationality=school[1])
    is_group = name is not None and re.search(r"\b(?:School|family)\b", name, re.IGNORECASE) is not None
    born, died = (None, None) if dates is None or is_group else life(dates)
    return creator(name, role=role, gender=gender, born=born, died=died)


def _movement(name: str | None) -> str | None:
    # "Blaue Reiter, Der" is inverted; "Netherlands-trained, working in Britain" is not.
    if name is not None and re.search(r", (?:Der|Die|Das|The|Brotherhood of)$", name):
        return natural_order(name)
    return name


def _subjects(tree: Record) -> list[str] | None:
    """The leaves in the tree's order, places, books and events after the others, then branches worth naming."""
    leaves: list[str] = []
    named: list[str] = []
    branches: list[str] = []
    for group in objects_at(tree, "children"):
        theme = text_at(group, "name") or ""
        for branch in objects_at(group, "children"):
            name = text_at(branch, "name") or ""
            branches.append(_BRANCHES.get(name, ""))
            found = named if theme == "places" or theme in _NAMES else leaves
            found += [_leaf(theme, name, leaf) for leaf in _leaf_names(branch)]
    specific = distinct([*leaves, *named], most=_MOST_LEAVES) or []
    return distinct([*specific, *branches], most=MOST_SUBJECTS)


def _leaf_names(branch: Record) -> list[str]:
    """The names at the ends of a branch, however deep it goes."""
    found: list[str] = []
    waiting = objects_at(branch, "children")[::-1]
    while waiting:
        node = waiting.pop()
        children = objects_at(node, "children")
        waiting += children[::-1]
        name = node.get("name")
        if not children and name is not None:
            found.append(name if isinstance(name, str) else clean(name, "a subject's name") or "")
    return found


@lru_cache(maxsize=65536)
def _leaf(theme: str, branch: str, name: str) -> str:
    cleaned = clean(name) or ""
    term = cleaned.removesuffix(" - non-specific")
    if term in _LEAVES.get(branch, {}):
        return _LEAVES[branch][term]
    if theme == "places":
        # Only counties are inverted: "Yorkshire, North".
        term = natural_order(term) if branch == "UK counties" else term
    elif theme not in _NAMES and branch not in _NAMING and not re.search(r"['\d:]", term):
        term = natural_order(term)
    return _LEAF_WITH_BRANCH.get(branch, "{}").format(term.lower()) if term else ""
