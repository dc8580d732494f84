"""Documents as a poorer museum would have written them: facts missing, in another order, in other words of the trade.

What training sees of a work that is told in full then also teaches it what to make of a work of which little is told.
"""

import re

import numpy as np

DROPPED = 0.3
SHUFFLED = 0.5
SWAPPED = 0.5

# Terms that museums use for one thing. None stands in two groups, and none is a name.
SYNONYMS = (
    ("oil on canvas", "oil painting on canvas", "oil paint on canvas", "oils on canvas"),
    ("oil on panel", "oil on wood", "oil painting on panel"),
    ("watercolour", "watercolor", "aquarelle"),
    ("engraving", "copperplate print", "copper engraving"),
    ("woodcut", "woodblock print", "xylograph"),
    ("etching", "etched print"),
    ("lithograph", "lithographic print", "stone print"),
    ("screenprint", "silkscreen", "serigraph"),
    ("photograph", "photo", "photographic print"),
    ("drawing", "sketch"),
    ("pen and ink", "ink and pen"),
    ("gouache", "body colour", "bodycolour"),
    ("portrait", "likeness"),
    ("self-portrait", "self portrait", "portrait of the artist"),
    ("still life", "nature morte", "still-life"),
    ("landscape", "scenery", "rural view"),
    ("seascape", "marine", "view of the sea"),
    ("cityscape", "townscape", "city view"),
    ("genre scene", "scene of everyday life"),
    ("nude", "unclothed figure"),
    ("altarpiece", "retable", "altar painting"),
    ("icon", "holy image"),
    ("sculpture", "statuary", "carved work"),
    ("statuette", "figurine", "small figure"),
    ("relief", "bas-relief", "low relief"),
    ("ceramic", "pottery", "fired clay"),
    ("earthenware", "terracotta"),
    ("porcelain", "china ware"),
    ("jewellery", "jewelry"),
    ("textile", "fabric", "woven cloth"),
    ("tapestry", "wall hanging"),
    ("manuscript", "handwritten book"),
    ("mother and child", "woman with her child"),
    ("madonna and child", "virgin and child"),
    ("crucifixion", "christ on the cross"),
    ("impressionism", "impressionist"),
    ("baroque", "baroque style"),
    ("renaissance", "renaissance style"),
    ("boat", "vessel"),
    ("gilded", "gilt"),
    ("grey", "gray"),
)

# Facts end in a full stop; one after a short word or an initial ("St.", "c.", "U.S.") is none.
_FACT_END = re.compile(r"(?<=[^\s.]{3}\.) +")
_GROUP_OF = {term: group for group in SYNONYMS for term in group}
_TERM = re.compile(
    r"(?<![\w-])(?:" + "|".join(sorted(map(re.escape, _GROUP_OF), key=len, reverse=True)) + r")(?![\w-])", re.I
)


def facts(document: str) -> list[str]:
    """The document's facts: title, makers, date, movement, medium, subjects, sentences of the description."""
    return _FACT_END.split(document.strip())


def augmented(document: str, random: np.random.Generator) -> str:
    """The document with facts left out (at least one stays) and shuffled, and terms of the trade swapped for synonyms."""
    told = facts(document)
    kept = np.flatnonzero(random.random(len(told)) >= DROPPED)
    if not len(kept):
        kept = random.integers(len(told), size=1)
    if random.random() < SHUFFLED:
        kept = random.permutation(kept)
    return with_synonyms(" ".join(told[row] for row in kept), random)


def with_synonyms(text: str, random: np.random.Generator) -> str:
    """The text with half of the terms it shares with `SYNONYMS` swapped for another of their group, capitals kept."""

    def swapped(found: re.Match[str]) -> str:
        term = found[0]
        if random.random() >= SWAPPED:
            return term
        others = [one for one in _GROUP_OF[term.lower()] if one != term.lower()]
        other = others[random.integers(len(others))]
        return other[0].upper() + other[1:] if term[0].isupper() else other

    return _TERM.sub(swapped, text)
