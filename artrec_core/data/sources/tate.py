"""Tate: records as in its open collection data (CC0)."""

import re
from functools import lru_cache
from typing import Any

from artrec_core.data.names import Creator, creator, is_nationality, known_creators, natural_name, strip_honours
from artrec_core.data.text import (
    Record,
    clean,
    distinct_values,
    integer_at,
    join_distinct,
    lower,
    natural_order,
    object_at,
    objects_at,
    text_at,
)
from artrec_core.data.years import parse_life, reconcile_years

MUSEUM = "Tate"
LICENCE = "CC0"
MAX_SUBJECTS = 20
_MAX_LEAVES = 16

# Branches of the subject tree that become subjects in addition to their leaves.
_BRANCH_SUBJECTS = {
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

# Leaves that mean little without the name of their branch.
_LEAF_SUBJECTS = {
    "portraits": {
        "individuals: male": "male portrait",
        "individuals: female": "female portrait",
        "groups": "group portrait",
        "self-portraits": "self-portrait",
    },
    "nudes": {"female": "female nude", "male": "male nude", "figure": "nude"},
}
_LEAF_TEMPLATES = {
    "ruins": "{} ruins",
    "non-representational": "abstract {}",
    "from recognisable sources": "abstracted {}",
    "animals: features": "animal {}",
    "dress: nations/regions": "dress of {}",
    "dress: fantasy/fancy": "{} costume",
    "ethnicity": "{} people",
}
# In these themes and branches, "Venice, Grand Canal" or "Homer, 'Iliad'" is a name and not an inverted term.
_NAME_THEMES = {"literature and fiction", "history", "symbols & personifications"}
_NAME_BRANCHES = {
    "fine art and design, named works",
    "reading, writing, printed matter",
    "named groups",
    "named families",
}


def artwork(record: Record) -> dict[str, Any]:
    """Map a Tate record to the columns of ARTWORK. Raises `ValueError` if a value is of the wrong type."""
    dates = object_at(record, "dateRange")
    date_text = text_at(record, "dateText")
    year_from, year_to = reconcile_years(integer_at(dates, "startYear"), integer_at(dates, "endYear"), date_text)
    title, original = text_at(record, "title"), text_at(record, "foreignTitle")
    group = text_at(record, "groupTitle")
    return {
        "artwork_id": text_at(record, "id"),
        "title": title or original,
        # `title` is English, `foreignTitle` is in the artist's language.
        "title_original": original if original != title else None,
        "creators": known_creators([_creator(maker) for maker in objects_at(record, "contributors")]),
        "year_from": year_from,
        "year_to": year_to,
        "date_text": None if _says_unknown(date_text) else date_text,
        "classification": lower(text_at(record, "classification")),
        "medium": text_at(record, "medium"),
        "movement": join_distinct(_movement(text_at(movement, "name")) for movement in objects_at(record, "movements")),
        "subjects": _subjects(object_at(record, "subjects")),
        # Few records have a description. The sketchbook or series of a sheet is the best substitute.
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
    name = strip_honours(name) if name else natural_name(inverted) if inverted else None
    dates = text_at(record, "date")
    role, gender = text_at(record, "role"), text_at(record, "gender")
    # "British (?) School 18th century" is not a person, and its dates are those of the century.
    school = re.match(r"\??([^()?]*?)(?: \(\?\))? School\b", name or "")
    if school is not None and is_nationality(school[1]):
        return creator(None, role=role, nationality=school[1])
    is_group = name is not None and re.search(r"\b(?:School|family)\b", name, re.IGNORECASE) is not None
    born, died = (None, None) if dates is None or is_group else parse_life(dates)
    return creator(name, role=role, gender=gender, born=born, died=died)


def _movement(name: str | None) -> str | None:
    # "Blaue Reiter, Der" is inverted; "Netherlands-trained, working in Britain" is not.
    if name is not None and re.search(r", (?:Der|Die|Das|The|Brotherhood of)$", name):
        return natural_order(name)
    return name


def _subjects(tree: Record) -> list[str] | None:
    """The leaves in the order of the tree, then places, books and events, then the branches that become subjects."""
    leaves: list[str] = []
    proper_names: list[str] = []
    branches: list[str] = []
    for group in objects_at(tree, "children"):
        theme = text_at(group, "name") or ""
        for branch in objects_at(group, "children"):
            name = text_at(branch, "name") or ""
            branches.append(_BRANCH_SUBJECTS.get(name, ""))
            target = proper_names if theme == "places" or theme in _NAME_THEMES else leaves
            target += [_leaf(theme, name, leaf) for leaf in _leaf_names(branch)]
    specific = distinct_values([*leaves, *proper_names], limit=_MAX_LEAVES) or []
    return distinct_values([*specific, *branches], limit=MAX_SUBJECTS)


def _leaf_names(branch: Record) -> list[str]:
    """The names of all leaves below a branch, at any depth."""
    names: list[str] = []
    pending = objects_at(branch, "children")[::-1]
    while pending:
        node = pending.pop()
        children = objects_at(node, "children")
        pending += children[::-1]
        name = node.get("name")
        if not children and name is not None:
            names.append(name if isinstance(name, str) else clean(name, "a subject's name") or "")
    return names


@lru_cache(maxsize=65536)
def _leaf(theme: str, branch: str, name: str) -> str:
    term = (clean(name) or "").removesuffix(" - non-specific")
    if term in _LEAF_SUBJECTS.get(branch, {}):
        return _LEAF_SUBJECTS[branch][term]
    if theme == "places":
        # Among the places, only counties are inverted: "Yorkshire, North".
        term = natural_order(term) if branch == "UK counties" else term
    elif theme not in _NAME_THEMES and branch not in _NAME_BRANCHES and not re.search(r"['\d:]", term):
        term = natural_order(term)
    return _LEAF_TEMPLATES.get(branch, "{}").format(term.lower()) if term else ""
