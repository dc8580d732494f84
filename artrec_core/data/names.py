"""Makers' names as museums write them: inverted, with honours, "after", "workshop of", or only a nationality."""

import re
from typing import TypedDict


class Creator(TypedDict):
    """Who made a work. A maker whose name is not known has none, but may have a nationality."""

    name: str | None
    role: str | None
    nationality: str | None
    gender: str | None
    born: int | None
    died: int | None


def creator(
    name: str | None,
    *,
    role: str | None = None,
    nationality: str | None = None,
    gender: str | None = None,
    born: int | None = None,
    died: int | None = None,
) -> Creator:
    """A creator; role and gender in lower case."""
    return {
        "name": name,
        "role": role.lower() if role else None,
        "nationality": nationality,
        "gender": gender.lower() if gender else None,
        "born": born,
        "died": died,
    }


# Who had a hand in a work but did not make it: named after those who did.
_HANDS = """
    author binder commissioner distributor dealer editor founder other owner patron printer publisher publishers
    repairer restorer retailer translator
"""
_BESIDES = frozenset(_HANDS.split())


def known(creators: list[Creator]) -> list[Creator] | None:
    """The creators of whom at least a name or a nationality is known, each once and makers first; None for none."""
    found: list[Creator] = []
    for one in creators:
        if (one["name"] or one["nationality"]) and one not in found:
            found.append(one)
    return sorted(found, key=lambda one: one["role"] in _BESIDES) or None


_HONOURS = re.compile(r"(?:,?\s+(?:OM|CH|CBE|OBE|MBE|KBE|DBE|KCVO|KCB|PRA|ARA|RA|RSA|PRSA|RI|RBA|FRS|Bt|Esq)\b\.?)+$")
_ALIAS = re.compile(r"\s+\((?!\?|the )[^()]*\)$")


def plain(name: str) -> str:
    """Without honours and the civil name in brackets: "Henry Moore OM, CH", "Christo (Christo Javacheff)"."""
    return _ALIAS.sub("", _HONOURS.sub("", name)).strip() or name


def natural(name: str) -> str:
    """An inverted name in natural order: "Blake, Robert" -> "Robert Blake"; honours go."""
    pieces = [piece for piece in re.split(r",\s*", _HONOURS.sub("", name)) if piece]
    if len(pieces) < 2:
        return name.strip()
    family, given, *rest = pieces
    suffix = "".join(f", {one}" if one[:1].isupper() else f" {one}" for one in rest)
    return f"{given} {family}{suffix}"


_ATTRIBUTION = re.compile(
    r"^(copy after|after|(?:previously |formerly |tentatively )?(?:attributed|ascribed|apprenticed) to"
    r"|workshop of|style of|circle of|follower of|school of|manner of|studio of|possibly|probably)\s+"
    r"(?:painting by |the )?",
    re.IGNORECASE,
)


def attribution(name: str) -> tuple[str | None, str]:
    """How a maker is tied to the work, and the name: "Workshop of Guido Reni" -> ("workshop of", "Guido Reni")."""
    tie = None
    while match := _ATTRIBUTION.match(name):
        word = match[1].lower()
        tie = tie or (f"{word} by" if word in ("possibly", "probably") else word)
        name = name[match.end() :]
    suffixed = re.sub(r"\s*,\s*attributed to$", "", name, flags=re.IGNORECASE)
    if suffixed != name:
        tie, name = tie or "attributed to", suffixed
    return tie, re.sub(r"\s+or(?: follower)?$", "", name)


_PEOPLES = """
    achaemenid african akkadian albanian algerian american anatolian apulian arabian argentine armenian asante asian
    assyrian attic australian austrian avaric azerbaijani aztec babylonian balkan bamana bamileke baulé belgian beninese
    bohemian brazilian british bulgarian burgundian burkinabe burmese byzantine cambodian cameroonian campanian canadian
    carolingian carthaginian celtic chilean chimú chinese chola colombian congolese coptic croatian cuban cycladic
    cypriot cypriote czech czechoslovakian dalmatian danish dogon dominican dutch ecuadorian egyptian ejagham elamite
    english estonian ethiopian etruscan european filipino finnish flemish frankish french georgian german graecian greek
    greenlandic guatemalan guinean himalayan hittite honduran hungarian hunnish icelandic indian iranian iraqi irish
    islamic israeli italian italic ivorian jamaican japanese javanese jewish jordanian khmer kissi korean kuba langobardic
    laotian latvian lebanese levantine liberian lithuanian luxembourgeois lydian macedonian malagasy malian maltese maya
    mediterranean meroitic mesopotamian mexican michoacan minoan mitannian moche mongolian montenegrin moravian moroccan
    mosan mughal mycenaean nepalese netherlandish nicaraguan nigerian norwegian nubian olmec ostrogothic ottoman
    pakistani palestinian panamanian parthian pende persian peruvian philippine phoenician polish pontic portuguese
    praenestine punic rhenish rican roman romanian russian sasanian sassanian scandinavian scottish scythian serbian
    siberian sicilian slovak slovene spanish sudanese sumerian swabian swedish swiss syrian taiwanese tarascan thai
    tibetan tunisian turkish ukrainian urartean urartian uruguayan uzbek uzbeki venetian venezuelan vietnamese
    villanovan visigothic welsh yemeni yoruba yugoslavian zapotec
"""
_NATIONALITIES = frozenset(_PEOPLES.split())
_QUALIFIERS = """
    ancient and central costa eastern east greco gallo hispano indo lanka magna mid moresque near neo new north
    northern old or puerto romano sino south southern sri syro upper west western
"""
_QUALIFYING = frozenset(_QUALIFIERS.split())
_OTHER = frozenset(
    {"near eastern", "sri lankan", "north african", "hispano-moresque", "native american", "anglo-dutch"}
)


def is_nationality(text: str) -> bool:
    """Whether a text names a people and nobody in particular: "Japanese", "South German or Austrian", "Greco-Roman"."""
    text = text.lower()
    words = [word for word in re.split(r"[\s/|-]+", text) if word]
    return text in _OTHER or (
        any(word in _NATIONALITIES for word in words)
        and all(word in _NATIONALITIES or word in _QUALIFYING for word in words)
    )
