"""Example users: their histories and their recommendations, side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from artrec_core.columns import (
    ARTWORK_ID,
    BECAUSE_OF,
    CREATORS,
    DATE_TEXT,
    EVENT_ID,
    INTERESTS,
    KIND,
    MOVEMENT,
    MUSEUM,
    NEGATIVE,
    OCCURRED_AT,
    POSITIVE,
    RANK,
    REASON,
    SCORE,
    SEEN,
    SIMULATED,
    SOURCE,
    STRATEGY,
    TITLE,
    TITLE_ORIGINAL,
    URL,
    USER_ID,
    VALUE,
    YEAR_FROM,
    YEAR_TO,
)
from jobs.pages import web_address
from jobs.pages.exposure import COUNT

# A history of at most this many artworks is short.
SHORT_HISTORY = 3
HISTORY_SHOWN = 8
RECOMMENDATIONS_SHOWN = 8


@dataclass(frozen=True)
class Caption:
    """An artwork in words. `original` is the original title if it differs; `url` is a web page or None."""

    artwork_id: str
    title: str
    original: str | None
    creators: str
    date: str
    place: str
    url: str | None


@dataclass(frozen=True)
class HistoryEntry:
    """An artwork in a history.

    Attributes
    ----------
    day : day of the user's latest event with the artwork
    actions : what the user did, in order, as in `view, like`
    sign : +1 with positive events, -1 with negative ones, 0 with neither or both
    artwork : the artwork in words
    """

    day: str
    actions: str
    sign: int
    artwork: Caption

    @property
    def sign_text(self) -> str:
        """The sign in words."""
        return {1: "positive", -1: "negative"}.get(self.sign, "seen")


@dataclass(frozen=True)
class Recommendation:
    """A recommended artwork with its reason."""

    rank: int
    score: float
    reason: str | None
    artwork: Caption


@dataclass(frozen=True)
class ExampleUser:
    """A user as an example. `history` holds the latest of `artwork_count` seen artworks, the newest first."""

    kind: str
    user_id: str
    simulated: bool
    interests: str | None
    artwork_count: int
    history: tuple[HistoryEntry, ...]
    recommendations: tuple[Recommendation, ...]


def choose_users(users: pl.DataFrame, histories: pl.DataFrame) -> dict[str, str]:
    """Choose a user of each kind, as kind -> user id.

    The choice depends on the rows and not on their order. Among equal users, the smallest id is taken. The length of
    a history is its number of seen artworks, so impressions do not count. A kind without users is left out.
    """
    lengths = histories.filter(pl.col(SEEN)).group_by(USER_ID).agg(pl.col(ARTWORK_ID).n_unique().alias("length"))
    users = users.join(lengths, on=USER_ID, how="left").with_columns(pl.col("length").fill_null(0))
    users = users.sort("length", USER_ID)
    has_interests = pl.col(INTERESTS).fill_null("").str.strip_chars() != ""
    with_history = users.filter(pl.col("length") > 0)
    candidates_by_kind = {
        "A long history": with_history.sort("length", USER_ID, descending=[True, False]),
        # The median: half of the users have a history of at most this length.
        "A typical history": with_history.slice(max(0, (with_history.height - 1) // 2)),
        "A short history": with_history.filter(pl.col("length") <= SHORT_HISTORY),
        "Interests only": users.filter((pl.col("length") == 0) & has_interests),
        "Nothing known": users.filter((pl.col("length") == 0) & ~has_interests),
    }
    user_ids: dict[str, str] = {}
    for kind, candidates in candidates_by_kind.items():
        remaining = candidates.filter(~pl.col(USER_ID).is_in(list(user_ids.values())))
        if remaining.height:
            user_ids[kind] = str(remaining.get_column(USER_ID)[0])
    return user_ids


def example_users(
    users: pl.DataFrame,
    histories: pl.DataFrame,
    recommendation_parts: Iterable[pl.DataFrame],
    catalogue: pl.DataFrame,
    strategy: str,
) -> list[ExampleUser]:
    """Example users with their histories and recommendations.

    Parameters
    ----------
    users, histories, catalogue
        The tables `people`, `histories` and `catalogue` of the night.
    recommendation_parts
        The parts of the table `recommendations`. They are read once, one at a time.
    strategy
        The strategy whose recommendations are shown.
    """
    user_ids = choose_users(users, histories)
    is_example = pl.col(USER_ID).is_in(sorted(user_ids.values()))
    events = histories.filter(is_example)
    kept_parts = [
        part.filter(is_example & (pl.col(STRATEGY) == strategy) & (pl.col(RANK) <= RECOMMENDATIONS_SHOWN))
        for part in recommendation_parts
    ]
    recommendations = pl.concat(kept_parts).sort(USER_ID, RANK) if kept_parts else None
    artwork_ids = {*events[ARTWORK_ID], *(recommendations[ARTWORK_ID] if recommendations is not None else ())}
    captions = captions_by_id(catalogue.filter(pl.col(ARTWORK_ID).is_in(list(artwork_ids))))
    users = users.filter(is_example)
    return [
        _example_user(
            kind,
            users.row(by_predicate=pl.col(USER_ID) == user_id, named=True),
            events.filter(pl.col(USER_ID) == user_id),
            None if recommendations is None else recommendations.filter(pl.col(USER_ID) == user_id),
            captions,
        )
        for kind, user_id in user_ids.items()
    ]


def captions_by_id(catalogue: pl.DataFrame) -> dict[str, Caption]:
    """The captions of the artworks of a catalogue, by artwork id."""
    return {row[ARTWORK_ID]: _caption(row) for row in catalogue.iter_rows(named=True)}


def _caption(row: dict[str, Any]) -> Caption:
    names = [str(creator["name"]) for creator in row[CREATORS] or [] if creator and creator["name"]]
    original = row[TITLE_ORIGINAL]
    return Caption(
        artwork_id=str(row[ARTWORK_ID]),
        title=str(row[TITLE] or row[ARTWORK_ID]),
        original=None if not original or original == row[TITLE] else str(original),
        creators=", ".join(names[:2]) + (" and others" if len(names) > 2 else ""),
        date=str(row[DATE_TEXT] or _years_text(row[YEAR_FROM], row[YEAR_TO])),
        place=" · ".join(str(text) for text in (row[MOVEMENT], row[MUSEUM] or row[SOURCE]) if text),
        url=web_address(row[URL]),
    )


def _years_text(first: int | None, last: int | None) -> str:
    years = [str(year) if year > 0 else f"{-year} BC" for year in (first, last) if year is not None]
    return "–".join(dict.fromkeys(years))


def _example_user(
    kind: str,
    user: dict[str, Any],
    events: pl.DataFrame,
    recommendations: pl.DataFrame | None,
    captions: dict[str, Caption],
) -> ExampleUser:
    entries = (
        events.filter(pl.col(SEEN))
        .sort(OCCURRED_AT, EVENT_ID)
        .group_by(ARTWORK_ID)
        .agg(
            pl.col(OCCURRED_AT).last(),
            _action_text().unique(maintain_order=True).alias("actions"),
            (pl.col(POSITIVE).any().cast(pl.Int8) - pl.col(NEGATIVE).any().cast(pl.Int8)).alias("sign"),
        )
        .sort(OCCURRED_AT, ARTWORK_ID, descending=[True, False])
    )
    interests = user[INTERESTS]
    return ExampleUser(
        kind=kind,
        user_id=str(user[USER_ID]),
        simulated=bool(user[SIMULATED]),
        interests=str(interests) if interests else None,
        artwork_count=entries.height,
        history=tuple(_history_entry(row, captions) for row in entries.head(HISTORY_SHOWN).iter_rows(named=True)),
        recommendations=tuple(
            Recommendation(row[RANK], row[SCORE], row[REASON], _caption_of(row[ARTWORK_ID], captions))
            for row in (recommendations.iter_rows(named=True) if recommendations is not None else ())
        ),
    )


def _action_text() -> pl.Expr:
    """An event in words: its kind, with the value of a rating, and whether a view was long enough to be positive."""
    kind = pl.col(KIND)
    rating = pl.format("rating {}", pl.col(VALUE).round(1))
    return (
        pl.when((kind == "rating") & pl.col(VALUE).is_not_null())
        .then(rating)
        .when((kind == "view") & pl.col(POSITIVE))
        .then(pl.lit("long view"))
        .otherwise(kind)
    )


def _history_entry(row: dict[str, Any], captions: dict[str, Caption]) -> HistoryEntry:
    day = row[OCCURRED_AT].date().isoformat()
    return HistoryEntry(day, ", ".join(row["actions"]), row["sign"], _caption_of(row[ARTWORK_ID], captions))


def _caption_of(artwork_id: str, captions: dict[str, Caption]) -> Caption:
    """The caption of an artwork, or its bare id if the catalogue does not have it."""
    return captions.get(artwork_id) or Caption(artwork_id, artwork_id, None, "", "", "", None)


def count_reasons(because_of: pl.DataFrame, catalogue: pl.DataFrame) -> dict[str, int]:
    """Count recommendations by what their reason names: an artwork, a stated interest, or nothing of the visitor.

    Parameters
    ----------
    because_of
        (BECAUSE_OF, COUNT) how many recommendations have each `because_of`.
    catalogue
        The catalogue. A `because_of` that is no artwork id of it is an interest.
    """
    reason = (
        pl.when(pl.col(BECAUSE_OF).is_null())
        .then(pl.lit("popularity among all visitors"))
        .when(pl.col(BECAUSE_OF).is_in(catalogue.get_column(ARTWORK_ID).to_list()))
        .then(pl.lit("an artwork of the visitor's history"))
        .otherwise(pl.lit("an interest that the visitor stated"))
    )
    counts = because_of.group_by(reason.alias("reason")).agg(pl.sum(COUNT))
    return dict(counts.sort(COUNT, "reason", descending=[True, False]).iter_rows())
