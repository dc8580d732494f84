"""Why an artwork is recommended: because of an artwork in the user's history, or of an interest the user stated.

Of the artworks in a user's history, the reason cites the nearest to the recommended artwork (by the cosine of artwork
vectors). It adds what the two have in common, if that has a name. Users without a history but with stated interests get
a reason that cites these. All others are told that an artwork is popular, and with the visitors of which museum. A
reason claims nothing that the user did not do.
"""

import re
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from artrec_core.arrays import BoolArray, Float32Array, Int32Array, Int64Array
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
from artrec_core.recs.inputs.arrays import ARTWORK_ROW, USER_ROW
from artrec_core.recs.topk.float32_loops import canonical_score, compile_loop

# The verb for each kind of event, strongest kind first.
VERBS = {
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
# A sentence, and what it cites: an artwork_id, the stated interests, or nothing.
Reason = tuple[str, str | None]


@dataclass(frozen=True)
class Facets:
    """What a reason can say about an artwork."""

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
        """The artwork as a sentence names it: title and first creator."""
        return f"{self.title} by {self.creators[0]}" if self.creators else self.title

    @property
    def words(self) -> tuple[str, ...]:
        """All facets in lower case."""
        facets = (
            *self.creators,
            self.movement,
            self.culture,
            self.classification,
            self.museum,
            *self.subjects,
            self.title,
        )
        return tuple(word.lower() for word in facets if word)


def facets_of(catalogue: pl.DataFrame) -> list[Facets]:
    """The facets of each artwork, in the order of the catalogue. The rarest subject of an artwork comes first."""
    columns = (ARTWORK_ID, TITLE, CREATORS, MOVEMENT, CULTURE, CLASSIFICATION, MUSEUM, SUBJECTS)
    rows = list(catalogue.select(columns).iter_rows())
    subject_counts = Counter(subject for row in rows for subject in row[-1] or ())
    return [
        Facets(
            artwork_id=artwork_id,
            title=_short(title) if title else "an untitled work",
            creators=tuple(
                creator["name"]
                for creator in creators or ()
                if creator["name"] and creator["name"].lower() not in UNKNOWN_CREATORS
            ),
            movement=movement or None,
            culture=culture or None,
            classification=classification or None,
            museum=museum or None,
            subjects=tuple(
                sorted(filter(None, subjects or ()), key=lambda subject: (subject_counts[subject], subject))
            ),
        )
        for artwork_id, title, creators, movement, culture, classification, museum, subjects in rows
    ]


def shared_facet(first: Facets, second: Facets) -> str | None:
    """What two artworks have in common, as words that follow "both", or None."""
    if creator := next((name for name in first.creators if name in second.creators), None):
        return f"by {creator}"
    if first.movement and first.movement == second.movement:
        return f"of {first.movement}"
    if subjects := [subject for subject in first.subjects if subject in second.subjects][:2]:
        return f"about {' and '.join(subjects)}"
    if first.culture and first.culture == second.culture:
        return f"from {first.culture}"
    if first.classification and first.classification == second.classification:
        return f"classified as {first.classification}"
    return None


def artwork_reason(kind: str, value: float | None, cited: Facets, recommended: Facets, similarity: float) -> str:
    """The sentence that cites an artwork of the user's history.

    Parameters
    ----------
    kind, value
        The kind and the value of the user's event with the cited artwork.
    cited, recommended
        The two artworks.
    similarity
        The cosine of the two artworks.
    """
    deed = f"you {VERBS.get(kind, 'took up')} {cited.name}"
    if kind == "rating" and value is not None:
        deed += f" {value:g}"
    if common := shared_facet(recommended, cited):
        return f"Because {deed}: both {common}"
    return f"Because {deed}" if similarity > 0 else f"From your history as a whole; nearest in it: {deed}"


# Words before the interest itself: "I love pictures of boats" is an interest in boats.
_LEAD_IN = re.compile(
    r"^(?:i\s+)?(?:really\s+)?(?:(?:love|like|enjoy|adore|prefer|am\s+interested\s+in|am\s+fond\s+of)\s+)?"
    r"(?:the\s+works?\s+of\s+|works?\s+by\s+|pictures\s+of\s+|paintings\s+of\s+)?",
    re.IGNORECASE,
)


def interest_reason(interests: str, recommended: Facets) -> str:
    """The sentence that cites a stated interest: the phrase that matches the artwork, or the whole text."""
    for phrase in re.split(r"[,;|/\n]|\.\s|\band\b", interests):
        interest = _LEAD_IN.sub("", phrase.strip(" ."))
        pattern = interest.lower()
        if len(pattern) >= 3 and any(re.search(rf"\b{re.escape(pattern)}\b", word) for word in recommended.words):
            return f"Matches your interest in {interest}"
    return f"Chosen by what you told us: “{_short(' '.join(interests.split()))}”"


def popularity_reason(recommended: Facets, users: float) -> str:
    """The sentence for a user without history and interests; `users` have a positive event with the artwork."""
    if users <= 0:
        return f"From the collection of {recommended.museum}" if recommended.museum else "From the collection"
    return f"Popular with visitors of {recommended.museum}" if recommended.museum else "Popular with visitors"


def citable_events(events: pl.DataFrame) -> pl.DataFrame:
    """The events that a reason may cite, one for each user and artwork: USER_ROW, ARTWORK_ROW, KIND, VALUE, POSITIVE.

    A reason cites positive events. For a user without any, it cites artworks the user has seen. It never cites an
    artwork with a negative event. Of several events with an artwork, the strongest kind is cited, and of that kind the
    latest event. The result is sorted by user and artwork.

    Parameters
    ----------
    events
        Rows of HISTORY with USER_ROW and ARTWORK_ROW (see `arrays.add_row_numbers`).
    """
    strengths = {kind: rank for rank, kind in enumerate(VERBS)}
    negative_pairs = events.filter(NEGATIVE).select(USER_ROW, ARTWORK_ROW).unique()
    return (
        events.filter((pl.col(POSITIVE) | pl.col(SEEN)) & ~pl.col(NEGATIVE))
        .join(negative_pairs, on=[USER_ROW, ARTWORK_ROW], how="anti")
        .with_columns(
            pl.col(KIND).replace_strict(strengths, default=len(strengths), return_dtype=pl.Int8).alias("strength")
        )
        .filter(pl.col(POSITIVE) | ~pl.col(POSITIVE).any().over(USER_ROW))
        .sort([USER_ROW, ARTWORK_ROW, POSITIVE, "strength", OCCURRED_AT], descending=[False, False, True, False, True])
        .unique([USER_ROW, ARTWORK_ROW], keep="first", maintain_order=True)
        .select(USER_ROW, ARTWORK_ROW, KIND, VALUE, POSITIVE)
    )


@compile_loop
def _fill_nearest(units: Any, ids: Any, starts: Any, history: Any, positions: Any, cosines: Any) -> None:
    for row in range(ids.shape[0]):
        for rank in range(ids.shape[1]):
            if ids[row, rank] < 0:
                continue
            for position in range(starts[row], starts[row + 1]):
                cosine = canonical_score(units[ids[row, rank]], units[history[position]])
                if positions[row, rank] < 0 or cosine > cosines[row, rank]:
                    positions[row, rank] = position
                    cosines[row, rank] = cosine


def nearest_in_history(
    unit_vectors: Float32Array, ids: Int32Array, starts: Int64Array, history: Int32Array
) -> tuple[Int64Array, Float32Array]:
    """For each recommended artwork, the nearest artwork in the user's history. Of equally near ones, the first.

    Parameters
    ----------
    unit_vectors
        (I, d), the artworks, of length 1.
    ids
        (U, k), the recommended artworks; -1 is padding.
    starts, history
        The artworks of user u are history[starts[u] : starts[u + 1]].

    Returns
    -------
    positions : (U, k)
        Positions in `history`; -1 if there is none.
    cosines : (U, k)
        The cosines of the pairs.
    """
    positions, cosines = np.full(ids.shape, -1, np.int64), np.zeros(ids.shape, np.float32)
    _fill_nearest(unit_vectors, ids, starts, history, positions, cosines)
    return positions, cosines


class Reasons:
    """Gives the reasons for recommended artworks, for all users of a run."""

    def __init__(
        self,
        catalogue: pl.DataFrame,
        unit_vectors: Float32Array,
        cited: pl.DataFrame,
        interests: list[str | None],
        users_per_artwork: Float32Array,
    ) -> None:
        """Prepare the facets of all artworks, and the events of all users.

        Parameters
        ----------
        catalogue
            The artworks.
        unit_vectors
            (I, d) of length 1, in the order of the catalogue.
        cited
            From `citable_events`.
        interests
            The stated interests of each user.
        users_per_artwork
            (I,) How many users have a positive event with each artwork.
        """
        self.facets = facets_of(catalogue)
        self.unit_vectors, self.users_per_artwork = unit_vectors, users_per_artwork
        self._set_users(cited, interests)

    def for_users(self, cited: pl.DataFrame, interests: list[str | None]) -> "Reasons":
        """Reasons for the same artworks and other users."""
        reasons = copy(self)
        reasons._set_users(cited, interests)
        return reasons

    def _set_users(self, cited: pl.DataFrame, interests: list[str | None]) -> None:
        self.interests = interests
        self.starts = np.searchsorted(cited[USER_ROW].to_numpy(), np.arange(len(interests) + 1)).astype(np.int64)
        self.history = cited[ARTWORK_ROW].to_numpy().astype(np.int32)
        self.kinds, self.values = cited[KIND].to_list(), cited[VALUE].to_list()
        self.positive = cited[POSITIVE].to_numpy()

    def has_evidence(self, begin: int, end: int) -> BoolArray:
        """Whether a reason can cite a history or an interest of each of the users begin to end."""
        has_interests = np.array([bool(text) for text in self.interests[begin:end]], bool)
        return has_interests | (np.diff(self.starts[begin : end + 1]) > 0)

    def rows(self, begin: int, ids: Int32Array, personal: BoolArray) -> Iterator[Reason]:
        """The reason for each recommended artwork, list after list, without padding.

        Parameters
        ----------
        begin
            The row of the first user.
        ids
            (n, k), the recommended artworks of the users begin, begin + 1, ...; -1 is padding.
        personal
            (n,) False for a user whose list is made of popular artworks.
        """
        starts = self.starts[begin : begin + len(ids) + 1]
        positions, cosines = nearest_in_history(self.unit_vectors, ids, starts, self.history)
        for row, user in enumerate(range(begin, begin + len(ids))):
            interests = self.interests[user]
            cites_history = starts[row + 1] > starts[row] and (self.positive[starts[row]] or not interests)
            for artwork, position, cosine in zip(
                ids[row].tolist(), positions[row].tolist(), cosines[row].tolist(), strict=True
            ):
                if artwork < 0:
                    continue
                recommended = self.facets[artwork]
                if personal[row] and cites_history:
                    cited = self.facets[self.history[position]]
                    sentence = artwork_reason(self.kinds[position], self.values[position], cited, recommended, cosine)
                    yield sentence, cited.artwork_id
                elif personal[row] and interests:
                    yield interest_reason(interests, recommended), interests
                else:
                    yield popularity_reason(recommended, float(self.users_per_artwork[artwork])), None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1].rstrip() + "…"
