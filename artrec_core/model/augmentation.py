"""Data augmentation for documents: facts are dropped or shuffled, and museum terms are replaced by synonyms.

The result resembles the record of a museum that documents less. So training on complete records also learns to read short ones.
"""

import re

import numpy as np

DROP_PROBABILITY = 0.3
SHUFFLE_PROBABILITY = 0.5
SWAP_PROBABILITY = 0.5

# Groups of terms that museums use for the same thing. No term is in two groups, and no term is a name.
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

# A fact ends with a full stop. A full stop after a short word or an initial ("St.", "c.", "U.S.") ends no fact.
_FACT_END = re.compile(r"(?<=[^\s.]{3}\.) +")
_GROUP_OF = {term: group for group in SYNONYMS for term in group}
_TERM = re.compile(
    r"(?<![\w-])(?:" + "|".join(sorted(map(re.escape, _GROUP_OF), key=len, reverse=True)) + r")(?![\w-])", re.I
)


def split_facts(document: str) -> list[str]:
    """The document's facts: title, makers, date, movement, medium, subjects, sentences of the description."""
    return _FACT_END.split(document.strip())


def augment_document(document: str, random: np.random.Generator) -> str:
    """The document with facts dropped (at least one stays) or shuffled, and terms replaced by synonyms."""
    facts = split_facts(document)
    places = np.flatnonzero(random.random(len(facts)) >= DROP_PROBABILITY)
    if not len(places):
        places = random.integers(len(facts), size=1)
    if random.random() < SHUFFLE_PROBABILITY:
        places = random.permutation(places)
    return swap_synonyms(" ".join(facts[place] for place in places), random)


def swap_synonyms(text: str, random: np.random.Generator) -> str:
    """The text with half of its terms from `SYNONYMS` replaced by another term of the group; capitals stay."""

    def swap(match: re.Match[str]) -> str:
        term = match[0]
        if random.random() >= SWAP_PROBABILITY:
            return term
        synonyms = [synonym for synonym in _GROUP_OF[term.lower()] if synonym != term.lower()]
        synonym = synonyms[random.integers(len(synonyms))]
        return synonym[0].upper() + synonym[1:] if term[0].isupper() else synonym

    return _TERM.sub(swap, text)
