"""Why a work is recommended: a work of the person's own history, or an interest they stated.

Of the works in somebody's history the one nearest to the recommended work (cosine of artwork vectors) is cited, and what
the two share, where they share something one can name. People with no history but stated interests have those cited; anyone
else is told whose visitors a work is popular with. Nothing is claimed of a work that the person did not do.
"""

import re
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.columns import (
    ARTWORK_ID,
    CLASSIFICATION,
    CREATORS,
    CULTURE,
    KIND,
    MOVEMENT,
    MUSEUM,
    NEGATIVE,
    OCCURRED_AT,
    POSITIVE,
    SEEN,
    SUBJECTS,
    TITLE,
    VALUE,
)
from artrec_core.recs.topk.float32_loops import canonical_score, compile_loop

# What people did, strongest first, in words that hold for it.
DEEDS = {
    "purchase": "bought",
    "favourite": "saved",
    "rating": "rated",
    "like": "liked",
    "comment": "commented on",
    "view": "looked at",
}
UNKNOWN_CREATORS = frozenset(
    {"unknown", "unknown artist", "unknown maker", "anonymous", "unidentified", "various", "artist unknown"}
)
LONGEST_TEXT = 80
Reason = tuple[str, str | None]


@dataclass(frozen=True)
class Facets:
    """What can be said of a work."""

    artwork_id: str
    title: str
    creators: tuple[str, ...]
    movement: str | None
    culture: str | None
    classification: str | None
    museum: str | None
    subjects: tuple[str, ...]

    @property
    def name(self) -> str:
        """The work as a sentence names it: title and first creator."""
        return f"{self.title} by {self.creators[0]}" if self.creators else self.title

    @property
    def words(self) -> tuple[str, ...]:
        """All its facets, lower case."""
        named = (
            *self.creators,
            self.movement,
            self.culture,
            self.classification,
            self.museum,
            *self.subjects,
            self.title,
        )
        return tuple(word.lower() for word in named if word)


def facets_of(catalogue: pl.DataFrame) -> list[Facets]:
    """The facets of each work, in the catalogue's order; a work's subjects stand rarest first."""
    columns = (ARTWORK_ID, TITLE, CREATORS, MOVEMENT, CULTURE, CLASSIFICATION, MUSEUM, SUBJECTS)
    rows = list(catalogue.select(columns).iter_rows())
    common = Counter(subject for row in rows for subject in row[-1] or ())
    return [
        Facets(
            artwork_id=artwork_id,
            title=_short(title) if title else "an untitled work",
            creators=tuple(
                one["name"] for one in creators or () if one["name"] and one["name"].lower() not in UNKNOWN_CREATORS
            ),
            movement=movement or None,
            culture=culture or None,
            classification=classification or None,
            museum=museum or None,
            subjects=tuple(sorted(filter(None, subjects or ()), key=lambda one: (common[one], one))),
        )
        for artwork_id, title, creators, movement, culture, classification, museum, subjects in rows
    ]


def shared_facet(one: Facets, other: Facets) -> str | None:
    """What two works have in common, as words after "both", or None."""
    if creator := next((name for name in one.creators if name in other.creators), None):
        return f"by {creator}"
    if one.movement and one.movement == other.movement:
        return f"of {one.movement}"
    if subjects := [subject for subject in one.subjects if subject in other.subjects][:2]:
        return f"about {' and '.join(subjects)}"
    if one.culture and one.culture == other.culture:
        return f"from {one.culture}"
    if one.classification and one.classification == other.classification:
        return f"classified as {one.classification}"
    return None


def because_of_work(kind: str, value: float | None, cited: Facets, recommended: Facets, similarity: float) -> str:
    """The sentence that cites a work of somebody's history; `similarity` is the cosine of the two works."""
    deed = f"you {DEEDS.get(kind, 'took up')} {cited.name}"
    if kind == "rating" and value is not None:
        deed += f" {value:g}"
    if common := shared_facet(recommended, cited):
        return f"Because {deed}: both {common}"
    return f"Because {deed}" if similarity > 0 else f"From your history as a whole; nearest in it: {deed}"


# What people write before the thing itself: "I love pictures of boats" is an interest in boats.
_LEAD_IN = re.compile(
    r"^(?:i\s+)?(?:really\s+)?(?:(?:love|like|enjoy|adore|prefer|am\s+interested\s+in|am\s+fond\s+of)\s+)?"
    r"(?:the\s+works?\s+of\s+|works?\s+by\s+|pictures\s+of\s+|paintings\s+of\s+)?",
    re.IGNORECASE,
)


def because_of_interest(interests: str, recommended: Facets) -> str:
    """The sentence that cites a stated interest: the phrase that the work answers to, or all of it."""
    for phrase in re.split(r"[,;|/\n]|\.\s|\band\b", interests):
        named = _LEAD_IN.sub("", phrase.strip(" ."))
        said = named.lower()
        if len(said) >= 3 and any(re.search(rf"\b{re.escape(said)}\b", word) for word in recommended.words):
            return f"Matches your interest in {named}"
    return f"Chosen by what you told us: “{_short(' '.join(interests.split()))}”"


def because_popular(recommended: Facets, people: float) -> str:
    """The sentence for somebody of whom nothing is known; `people` took the work up."""
    if people <= 0:
        return f"From the collection of {recommended.museum}" if recommended.museum else "From the collection"
    return f"Popular with visitors of {recommended.museum}" if recommended.museum else "Popular with visitors"


def citable_events(events: pl.DataFrame) -> pl.DataFrame:
    """The works of each person's history that a reason may cite: person, work, KIND, VALUE, POSITIVE; by person and work.

    Positive ones, or where a person has none, those they saw; never one they turned down. Of several events with a work the
    strongest is told, the latest of its kind. `events` are HISTORY rows with `person` and `work` (see `arrays.numbered`).
    """
    order = {kind: place for place, kind in enumerate(DEEDS)}
    refused = events.filter(NEGATIVE).select("person", "work").unique()
    return (
        events.filter((pl.col(POSITIVE) | pl.col(SEEN)) & ~pl.col(NEGATIVE))
        .join(refused, on=["person", "work"], how="anti")
        .with_columns(pl.col(KIND).replace_strict(order, default=len(order), return_dtype=pl.Int8).alias("strength"))
        .filter(pl.col(POSITIVE) | ~pl.col(POSITIVE).any().over("person"))
        .sort(["person", "work", POSITIVE, "strength", OCCURRED_AT], descending=[False, False, True, False, True])
        .unique(["person", "work"], keep="first", maintain_order=True)
        .select("person", "work", KIND, VALUE, POSITIVE)
    )


@compile_loop
def _nearest(units: Any, ids: Any, starts: Any, works: Any, places: Any, cosines: Any) -> None:
    for row in range(ids.shape[0]):
        for rank in range(ids.shape[1]):
            if ids[row, rank] < 0:
                continue
            for place in range(starts[row], starts[row + 1]):
                cosine = canonical_score(units[ids[row, rank]], units[works[place]])
                if places[row, rank] < 0 or cosine > cosines[row, rank]:
                    places[row, rank] = place
                    cosines[row, rank] = cosine


def nearest(
    unit_vectors: Float32Array, ids: Int32Array, starts: npt.NDArray[np.int64], works: Int32Array
) -> tuple[npt.NDArray[np.int64], Float32Array]:
    """For each recommended work ids (U, k) the place in `works` of the nearest work of that person, -1 where none; and the cosine.

    Person u's works are works[starts[u] : starts[u + 1]]; of equally near ones the first is taken.
    """
    places, cosines = np.full(ids.shape, -1, np.int64), np.zeros(ids.shape, np.float32)
    _nearest(unit_vectors, ids, starts, works, places, cosines)
    return places, cosines


class Reasons:
    """Says why, for lists of people in their order."""

    def __init__(
        self,
        catalogue: pl.DataFrame,
        unit_vectors: Float32Array,
        cited: pl.DataFrame,
        interests: list[str | None],
        people_a_work: Float32Array,
    ) -> None:
        """`cited` comes from `citable`; `interests` stand in people's order; unit_vectors and people_a_work in works'."""
        self.facets = facets_of(catalogue)
        self.unit_vectors, self.people_a_work = unit_vectors, people_a_work
        self._seat(cited, interests)

    def of(self, cited: pl.DataFrame, interests: list[str | None]) -> "Reasons":
        """Reasons of the same works for other people."""
        other = copy(self)
        other._seat(cited, interests)
        return other

    def _seat(self, cited: pl.DataFrame, interests: list[str | None]) -> None:
        self.interests = interests
        self.starts = np.searchsorted(cited["person"].to_numpy(), np.arange(len(interests) + 1)).astype(np.int64)
        self.works = cited["work"].to_numpy().astype(np.int32)
        self.kinds, self.values = cited[KIND].to_list(), cited[VALUE].to_list()
        self.positive = cited[POSITIVE].to_numpy()

    def has_evidence(self, begin: int, end: int) -> npt.NDArray[np.bool_]:
        """Whether people begin..end have anything a reason could cite."""
        stated = np.array([bool(text) for text in self.interests[begin:end]], bool)
        return stated | (np.diff(self.starts[begin : end + 1]) > 0)

    def rows(self, begin: int, ids: Int32Array, personal: npt.NDArray[np.bool_]) -> Iterator[Reason]:
        """(reason, because_of) of each recommended work of people begin, begin + 1, ..., list after list, padding left out.

        `personal` (people,) is false where the list is made of popular works.
        """
        starts = self.starts[begin : begin + len(ids) + 1]
        places, cosines = nearest(self.unit_vectors, ids, starts, self.works)
        for row, person in enumerate(range(begin, begin + len(ids))):
            interests = self.interests[person]
            liked = starts[row + 1] > starts[row] and (self.positive[starts[row]] or not interests)
            for work, place, cosine in zip(ids[row].tolist(), places[row].tolist(), cosines[row].tolist(), strict=True):
                if work < 0:
                    continue
                recommended = self.facets[work]
                if personal[row] and liked:
                    cited = self.facets[self.works[place]]
                    why = because_of_work(self.kinds[place], self.values[place], cited, recommended, cosine)
                    yield why, cited.artwork_id
                elif personal[row] and interests:
                    yield because_of_interest(interests, recommended), interests
                else:
                    yield because_popular(recommended, float(self.people_a_work[work])), None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1].rstrip() + "…"
