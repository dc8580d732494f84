"""Creators and their names, as museums write them.

A name may be inverted, carry honours, or begin with "after" or "workshop of". Instead of a name there may be a
nationality alone.
"""

import re
from typing import TypedDict


class Creator(TypedDict):
    """A creator of an artwork. A creator whose name is unknown has the name None, but may have a nationality."""

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


# These roles contributed to an artwork but did not make it. They are listed after its makers.
_SECONDARY_ROLE_WORDS = """
    author binder commissioner distributor dealer editor founder other owner patron printer publisher publishers
    repairer restorer retailer translator
"""
_SECONDARY_ROLES = frozenset(_SECONDARY_ROLE_WORDS.split())


def known_creators(creators: list[Creator]) -> list[Creator] | None:
    """The distinct creators with a name or a nationality, makers first; None if there is none."""
    distinct: list[Creator] = []
    for creator in creators:
        if (creator["name"] or creator["nationality"]) and creator not in distinct:
            distinct.append(creator)
    return sorted(distinct, key=lambda creator: creator["role"] in _SECONDARY_ROLES) or None


_HONOURS = re.compile(r"(?:,?\s+(?:OM|CH|CBE|OBE|MBE|KBE|DBE|KCVO|KCB|PRA|ARA|RA|RSA|PRSA|RI|RBA|FRS|Bt|Esq)\b\.?)+$")
_ALIAS = re.compile(r"\s+\((?!\?|the )[^()]*\)$")


def strip_honours(name: str) -> str:
    """Remove honours ("Henry Moore OM, CH") and the civil name in brackets ("Christo (Christo Javacheff)")."""
    return _ALIAS.sub("", _HONOURS.sub("", name)).strip() or name


def natural_name(name: str) -> str:
    """Put an inverted name into natural order and remove honours: "Blake, Robert" -> "Robert Blake"."""
    pieces = [piece for piece in re.split(r",\s*", _HONOURS.sub("", name)) if piece]
    if len(pieces) < 2:
        return name.strip()
    family, first_names, *rest = pieces
    suffix = "".join(f", {piece}" if piece[:1].isupper() else f" {piece}" for piece in rest)
    return f"{first_names} {family}{suffix}"


_ATTRIBUTION = re.compile(
    r"^(copy after|after|(?:previously |formerly |tentatively )?(?:attributed|ascribed|apprenticed) to"
    r"|workshop of|style of|circle of|follower of|school of|manner of|studio of|possibly|probably)\s+"
    r"(?:painting by |the )?",
    re.IGNORECASE,
)


def split_attribution(name: str) -> tuple[str | None, str]:
    """Split a name into (attribution, name): "Workshop of Guido Reni" -> ("workshop of", "Guido Reni").

    The attribution says how the creator is related to the artwork; it is None if the name has none.
    """
    attribution = None
    while match := _ATTRIBUTION.match(name):
        words = match[1].lower()
        attribution = attribution or (f"{words} by" if words in ("possibly", "probably") else words)
        name = name[match.end() :]
    without_suffix = re.sub(r"\s*,\s*attributed to$", "", name, flags=re.IGNORECASE)
    if without_suffix != name:
        attribution, name = attribution or "attributed to", without_suffix
    return attribution, re.sub(r"\s+or(?: follower)?$", "", name)


_NATIONALITY_WORDS = """
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
_NATIONALITIES = frozenset(_NATIONALITY_WORDS.split())
_QUALIFIER_WORDS = """
    ancient and central costa eastern east greco gallo hispano indo lanka magna mid moresque near neo new north
    northern old or puerto romano sino south southern sri syro upper west western
"""
_QUALIFIERS = frozenset(_QUALIFIER_WORDS.split())
_COMPOUND_NATIONALITIES = frozenset(
    {"near eastern", "sri lankan", "north african", "hispano-moresque", "native american", "anglo-dutch"}
)


def is_nationality(text: str) -> bool:
    """Whether a text is a nationality, not a person's name: "Japanese", "South German or Austrian", "Greco-Roman"."""
    text = text.lower()
    words = [word for word in re.split(r"[\s/|-]+", text) if word]
    return text in _COMPOUND_NATIONALITIES or (
        any(word in _NATIONALITIES for word in words)
        and all(word in _NATIONALITIES or word in _QUALIFIERS for word in words)
    )
