"""A handful of people, their histories and what they are recommended, side by side."""

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
from jobs.pages import web

SHORT_HISTORY = 3
WORKS_SHOWN = 8
RECOMMENDATIONS_SHOWN = 8


@dataclass(frozen=True)
class Work:
    """An artwork as a line of text shows it; `url` opens a web page or is None."""

    artwork_id: str
    title: str
    original: str | None
    creators: str
    date: str
    where: str
    url: str | None


@dataclass(frozen=True)
class Known:
    """A work of a history: what the person `did` with it, in order, and when last.

    `sign` is +1 where that speaks for the work, -1 where against it, else 0.
    """

    day: str
    did: str
    sign: int
    work: Work

    @property
    def says(self) -> str:
        """The sign in words."""
        return {1: "speaks for it", -1: "speaks against it"}.get(self.sign, "seen")


@dataclass(frozen=True)
class Advice:
    """A recommendation with its reason."""

    rank: int
    score: float
    reason: str | None
    work: Work


@dataclass(frozen=True)
class Person:
    """Somebody as an example; `history` are the latest works they know, the newest first, of `works` in all."""

    kind: str
    user_id: str
    simulated: bool
    interests: str | None
    works: int
    history: tuple[Known, ...]
    advice: tuple[Advice, ...]


def choose(people: pl.DataFrame, histories: pl.DataFrame) -> dict[str, str]:
    """Kind of person -> the id of one, the same for the same tables; a kind that nobody is of is left out.

    Among equals the smallest id is taken; histories count the works that people know, not what they were merely shown.
    """
    known = histories.filter(pl.col(SEEN)).group_by(USER_ID).agg(pl.col(ARTWORK_ID).n_unique().alias("works"))
    everybody = (
        people.join(known, on=USER_ID, how="left").with_columns(pl.col("works").fill_null(0)).sort("works", USER_ID)
    )
    stated = pl.col(INTERESTS).fill_null("").str.strip_chars() != ""
    with_history = everybody.filter(pl.col("works") > 0)
    kinds = {
        "A long history": with_history.sort("works", USER_ID, descending=[True, False]),
        # Half of the people have no more than this one.
        "A typical history": with_history.slice(max(0, (with_history.height - 1) // 2)),
        "A short history": with_history.filter(pl.col("works") <= SHORT_HISTORY),
        "Interests only": everybody.filter((pl.col("works") == 0) & stated),
        "Nothing known": everybody.filter((pl.col("works") == 0) & ~stated),
    }
    chosen: dict[str, str] = {}
    for kind, candidates in kinds.items():
        left = candidates.filter(~pl.col(USER_ID).is_in(list(chosen.values())))
        if left.height:
            chosen[kind] = str(left.get_column(USER_ID)[0])
    return chosen


def examples(
    people: pl.DataFrame,
    histories: pl.DataFrame,
    recommended: Iterable[pl.DataFrame],
    catalogue: pl.DataFrame,
    strategy: str,
) -> list[Person]:
    """The chosen people with their histories and the strategy's recommendations (its parts are read once)."""
    chosen = choose(people, histories)
    ids = sorted(chosen.values())
    theirs = pl.col(USER_ID).is_in(ids)
    events = histories.filter(theirs)
    advice = [
        part.filter(theirs & (pl.col(STRATEGY) == strategy) & (pl.col(RANK) <= RECOMMENDATIONS_SHOWN))
        for part in recommended
    ]
    rows = pl.concat(advice).sort(USER_ID, RANK) if advice else None
    shown = {*events[ARTWORK_ID], *(rows[ARTWORK_ID] if rows is not None else ())}
    works = works_of(catalogue.filter(pl.col(ARTWORK_ID).is_in(list(shown))))
    people = people.filter(theirs)
    return [
        _person(
            kind,
            people.row(by_predicate=pl.col(USER_ID) == user_id, named=True),
            events.filter(pl.col(USER_ID) == user_id),
            None if rows is None else rows.filter(pl.col(USER_ID) == user_id),
            works,
        )
        for kind, user_id in chosen.items()
    ]


def works_of(catalogue: pl.DataFrame) -> dict[str, Work]:
    """Works by their id."""
    return {row[ARTWORK_ID]: _work(row) for row in catalogue.iter_rows(named=True)}


def _work(row: dict[str, Any]) -> Work:
    creators = [str(one["name"]) for one in row[CREATORS] or [] if one and one["name"]]
    original = row[TITLE_ORIGINAL]
    return Work(
        artwork_id=str(row[ARTWORK_ID]),
        title=str(row[TITLE] or row[ARTWORK_ID]),
        original=None if not original or original == row[TITLE] else str(original),
        creators=", ".join(creators[:2]) + (" and others" if len(creators) > 2 else ""),
        date=str(row[DATE_TEXT] or _years(row[YEAR_FROM], row[YEAR_TO])),
        where=" · ".join(str(one) for one in (row[MOVEMENT], row[MUSEUM] or row[SOURCE]) if one),
        url=web(row[URL]),
    )


def _years(first: int | None, last: int | None) -> str:
    years = [str(year) if year > 0 else f"{-year} BC" for year in (first, last) if year is not None]
    return "–".join(dict.fromkeys(years))


def _person(
    kind: str, person: dict[str, Any], events: pl.DataFrame, advice: pl.DataFrame | None, works: dict[str, Work]
) -> Person:
    known = (
        events.filter(pl.col(SEEN))
        .sort(OCCURRED_AT, EVENT_ID)
        .group_by(ARTWORK_ID)
        .agg(
            pl.col(OCCURRED_AT).last(),
            _deed().unique(maintain_order=True).alias("did"),
            (pl.col(POSITIVE).any().cast(pl.Int8) - pl.col(NEGATIVE).any().cast(pl.Int8)).alias("sign"),
        )
        .sort(OCCURRED_AT, ARTWORK_ID, descending=[True, False])
    )
    interests = person[INTERESTS]
    return Person(
        kind=kind,
        user_id=str(person[USER_ID]),
        simulated=bool(person[SIMULATED]),
        interests=str(interests) if interests else None,
        works=known.height,
        history=tuple(_known(row, works) for row in known.head(WORKS_SHOWN).iter_rows(named=True)),
        advice=tuple(
            Advice(row[RANK], row[SCORE], row[REASON], _found(row[ARTWORK_ID], works))
            for row in (advice.iter_rows(named=True) if advice is not None else ())
        ),
    )


def _deed() -> pl.Expr:
    """An event in words: its kind, what a rating gave, and whether a view was long enough to speak for the work."""
    kind = pl.col(KIND)
    rating = pl.format("rating {}", pl.col(VALUE).round(1))
    return (
        pl.when((kind == "rating") & pl.col(VALUE).is_not_null())
        .then(rating)
        .when((kind == "view") & pl.col(POSITIVE))
        .then(pl.lit("long view"))
        .otherwise(kind)
    )


def _known(row: dict[str, Any], works: dict[str, Work]) -> Known:
    return Known(
        row[OCCURRED_AT].date().isoformat(), ", ".join(row["did"]), row["sign"], _found(row[ARTWORK_ID], works)
    )


def _found(artwork_id: str, works: dict[str, Work]) -> Work:
    """The work, or its bare id where the catalogue does not know it."""
    return works.get(artwork_id) or Work(artwork_id, artwork_id, None, "", "", "", None)


def reasons(because_of: pl.DataFrame, catalogue: pl.DataFrame) -> dict[str, int]:
    """What the reasons cite -> rows: a work, something else (an interest), nothing."""
    cites = (
        pl.when(pl.col(BECAUSE_OF).is_null())
        .then(pl.lit("nothing of their own: what many like"))
        .when(pl.col(BECAUSE_OF).is_in(catalogue.get_column(ARTWORK_ID).to_list()))
        .then(pl.lit("a work of the person's history"))
        .otherwise(pl.lit("an interest the person stated"))
    )
    counts = because_of.group_by(cites.alias("cites")).agg(pl.sum("times"))
    return dict(counts.sort("times", "cites", descending=[True, False]).iter_rows())
