"""Reasons cite what the person did or said, in words that hold for it."""

import time
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, HISTORY, KIND, VALUE, conform
from artrec_core.recs.inputs.arrays import add_row_numbers
from artrec_core.recs.inputs.popularity import users_per_artwork
from artrec_core.recs.inputs.reasons import (
    Facets,
    Reasons,
    because_of_interest,
    because_popular,
    citable_events,
    facets_of,
    shared_facet,
)
from artrec_core.recs.inputs.similarity import unit_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def work(artwork_id: str, title: str | None, creator: str, **facets: object) -> dict[str, object]:
    maker = {"name": creator, "role": "artist", "nationality": None, "gender": None, "born": None, "died": None}
    return {"artwork_id": artwork_id, "title": title, "creators": [maker], "museum": "Orsay", **facets}


CATALOGUE_OF_SIX = conform(
    pl.DataFrame(
        [
            work("1", "Water Lilies", "Claude Monet", movement="Impressionism", subjects=["water", "garden"]),
            work("2", "Poplars", "Claude Monet", movement="Impressionism", subjects=["tree"]),
            work("3", "The Dance Class", "Edgar Degas", movement="Impressionism", subjects=["dance"]),
            work("4", "The Pond", "Unknown", subjects=["water", "garden", "bird"], classification="print"),
            work("5", None, "Unknown", culture="Japan", classification="print"),
            work("6", "Bowl", "Unknown", culture="Japan"),
        ],
        schema_overrides={"subjects": pl.List(pl.String), "culture": pl.String, "classification": pl.String},
    ),
    CATALOGUE,
)
FACETS = facets_of(CATALOGUE_OF_SIX)
# 1, 2, 3 point one way, 4 and 5 another, 6 against the first.
VECTORS = unit_rows(np.array([[1, 0], [1, 0.1], [1, 0.3], [0, 1], [0.1, 1], [-1, 0]], np.float32))


def events(*rows: tuple[str, str, str, float | None, int]) -> pl.DataFrame:
    """(person, work, kind, value, sign) one a minute; sign 1 positive, -1 negative, 0 seen only."""
    return conform(
        pl.DataFrame(
            [
                {
                    "user_id": person, "artwork_id": artwork, "kind": kind, "value": value, "positive": sign > 0,
                    "negative": sign < 0, "seen": True, "occurred_at": NOON.replace(minute=minute),
                }
                for minute, (person, artwork, kind, value, sign) in enumerate(rows)
            ],
            schema_overrides={"value": pl.Float64},
        ),
        HISTORY,
    )  # fmt: skip


def reasons(history: pl.DataFrame, people: list[str], interests: list[str | None] | None = None) -> Reasons:
    ids = CATALOGUE_OF_SIX["artwork_id"]
    cited = citable_events(add_row_numbers(history, pl.Series(people), ids))
    return Reasons(CATALOGUE_OF_SIX, VECTORS, cited, interests or [None] * len(people), users_per_artwork(history, ids))


def said(given: Reasons, lists: list[list[int]], personal: list[bool] | None = None) -> list[tuple[str, str | None]]:
    return list(given.rows(0, np.array(lists, np.int32), np.array(personal or [True] * len(lists))))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0, 1, "by Claude Monet"),
        (0, 2, "of Impressionism"),
        (0, 3, "about garden and water"),
        (4, 5, "from Japan"),
        (3, 4, "classified as print"),
        (2, 5, None),
    ],
)
def test_what_two_works_share(one: int, other: int, expected: str | None) -> None:
    assert shared_facet(FACETS[one], FACETS[other]) == expected


def test_the_nearest_work_of_the_persons_own_history_is_cited() -> None:
    given = reasons(
        events(("u", "1", "like", None, 1), ("u", "4", "purchase", None, 1), ("v", "5", "like", None, 1)), ["u", "v"]
    )
    assert said(given, [[1, 4], [5, -1]]) == [
        ("Because you liked Water Lilies by Claude Monet: both by Claude Monet", "1"),
        ("Because you bought The Pond: both classified as print", "4"),
        ("Because you liked an untitled work: both from Japan", "5"),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("purchase", None, "you bought The Dance Class by Edgar Degas"),
        ("favourite", None, "you saved The Dance Class by Edgar Degas"),
        ("rating", 5.0, "you rated The Dance Class by Edgar Degas 5"),
        ("rating", 4.5, "you rated The Dance Class by Edgar Degas 4.5"),
        ("view", None, "you looked at The Dance Class by Edgar Degas"),
        ("comment", None, "you commented on The Dance Class by Edgar Degas"),
        ("visit", None, "you took up The Dance Class by Edgar Degas"),
    ],
)
def test_wording_is_honest_by_kind(kind: str, value: float | None, words: str) -> None:
    given = reasons(events(("u", "3", kind, value, 1)), ["u"])
    assert said(given, [[0]]) == [(f"Because {words}: both of Impressionism", "3")]
    assert said(given, [[5]]) == [(f"From your history as a whole; nearest in it: {words}", "3")]
    assert said(given, [[4]]) == [(f"Because {words}", "3")]


def test_positive_works_before_seen_ones_and_never_one_turned_down() -> None:
    history = events(
        ("u", "2", "view", None, 0), ("u", "4", "like", None, 1), ("u", "1", "like", None, 1), ("u", "1", "dismiss", None, -1),
        ("v", "2", "view", None, 0), ("w", "2", "dismiss", None, -1),
    )  # fmt: skip
    cited = citable_events(add_row_numbers(history, pl.Series(["u", "v", "w"]), CATALOGUE_OF_SIX["artwork_id"]))
    assert cited.select("person", "work", KIND).rows() == [(0, 3, "like"), (1, 1, "view")]


def test_of_several_events_with_a_work_the_strongest_is_told() -> None:
    history = events(("u", "1", "purchase", None, 1), ("u", "1", "rating", 4.0, 1), ("u", "1", "rating", 5.0, 1), ("u", "2", "rating", 4.0, 1), ("u", "2", "rating", 5.0, 1))  # fmt: skip
    cited = citable_events(add_row_numbers(history, pl.Series(["u"]), CATALOGUE_OF_SIX["artwork_id"]))
    assert cited.select("work", KIND, VALUE).rows() == [(0, "purchase", None), (1, "rating", 5.0)]


@pytest.mark.parametrize(
    ("interests", "named"),
    [
        ("I love the work of Claude Monet.", "Claude Monet"),
        ("Sculpture and pictures of dance.", "dance"),
        ("I am interested in Impressionism", "Impressionism"),
    ],
)
def test_an_interest_is_named_without_its_lead_in(interests: str, named: str) -> None:
    found = {because_of_interest(interests, facets) for facets in FACETS}
    assert f"Matches your interest in {named}" in found


def test_stated_interests_are_cited_by_the_phrase_a_work_answers_to() -> None:
    interests = "ballet, dance and Claude Monet"
    assert because_of_interest(interests, FACETS[2]) == "Matches your interest in dance"
    assert because_of_interest(interests, FACETS[0]) == "Matches your interest in Claude Monet"
    assert because_of_interest(interests, FACETS[5]) == f"Chosen by what you told us: “{interests}”"
    given = reasons(events(("u", "2", "view", None, 0), ("v", "2", "like", None, 1)), ["u", "v", "w"], [interests] * 3)
    # v has a positive history, which comes first.
    assert [because for _, because in said(given, [[2], [2], [2]])] == [interests, "2", interests]
    assert given.has_evidence(0, 3).all()


def test_people_of_whom_nothing_is_known_are_told_what_is_popular() -> None:
    given = reasons(events(("v", "2", "like", None, 1)), ["u", "v"])
    assert given.has_evidence(0, 2).tolist() == [False, True]
    assert said(given, [[1, 0]], [False]) == [
        ("Popular with visitors of Orsay", None),
        ("From the collection of Orsay", None),
    ]
    nowhere = Facets("7", "Bowl", (), None, None, None, None, ())
    assert because_popular(nowhere, 2.0) == "Popular with visitors"
    assert because_popular(nowhere, 0.0) == "From the collection"


@pytest.mark.slow
def test_twenty_thousand_people_take_less_than_a_minute() -> None:
    rng = np.random.default_rng(0)
    people, works = 20_000, 112_000
    catalogue = conform(
        pl.DataFrame({"artwork_id": [f"{i:06}" for i in range(works)], "title": [f"Work {i}" for i in range(works)], "subjects": [[f"s{i % 97}", f"s{i % 89}"] for i in range(works)]}),
        CATALOGUE,
    )  # fmt: skip
    cited = pl.DataFrame(
        {"person": np.repeat(np.arange(people), 30), "work": rng.integers(0, works, people * 30), "kind": "like", "value": None, "positive": True}
    )  # fmt: skip
    vectors = unit_rows(rng.standard_normal((works, 64)).astype(np.float32))
    begun = time.monotonic()
    given = Reasons(catalogue, vectors, cited, [None] * people, np.ones(works, np.float32))
    ids = rng.integers(0, works, (people, 20)).astype(np.int32)
    assert sum(1 for _ in given.rows(0, ids, np.ones(people, bool))) == people * 20
    assert time.monotonic() - begun < 60
