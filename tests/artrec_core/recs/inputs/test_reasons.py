"""Reasons cite what the user did or said, in words that are true for it."""

import time
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, HISTORY, KIND, VALUE, conform
from artrec_core.recs.inputs.arrays import ARTWORK_ROW, USER_ROW, add_row_numbers
from artrec_core.recs.inputs.popularity import users_per_artwork
from artrec_core.recs.inputs.reasons import (
    Facets,
    Reasons,
    citable_events,
    facets_of,
    interest_reason,
    popularity_reason,
    shared_facet,
)
from artrec_core.recs.inputs.similarity import unit_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def artwork_row(artwork_id: str, title: str | None, creator: str, **facets: object) -> dict[str, object]:
    maker = {"name": creator, "role": "artist", "nationality": None, "gender": None, "born": None, "died": None}
    return {"artwork_id": artwork_id, "title": title, "creators": [maker], "museum": "Orsay", **facets}


CATALOGUE_OF_SIX = conform(
    pl.DataFrame(
        [
            artwork_row("1", "Water Lilies", "Claude Monet", movement="Impressionism", subjects=["water", "garden"]),
            artwork_row("2", "Poplars", "Claude Monet", movement="Impressionism", subjects=["tree"]),
            artwork_row("3", "The Dance Class", "Edgar Degas", movement="Impressionism", subjects=["dance"]),
            artwork_row("4", "The Pond", "Unknown", subjects=["water", "garden", "bird"], classification="print"),
            artwork_row("5", None, "Unknown", culture="Japan", classification="print"),
            artwork_row("6", "Bowl", "Unknown", culture="Japan"),
        ],
        schema_overrides={"subjects": pl.List(pl.String), "culture": pl.String, "classification": pl.String},
    ),
    CATALOGUE,
)
FACETS = facets_of(CATALOGUE_OF_SIX)
# Artworks 1, 2, 3 point in one direction, 4 and 5 in another, 6 against the first.
VECTORS = unit_rows(np.array([[1, 0], [1, 0.1], [1, 0.3], [0, 1], [0.1, 1], [-1, 0]], np.float32))


def events(*rows: tuple[str, str, str, float | None, int]) -> pl.DataFrame:
    """Rows of (user, artwork, kind, value, sign), one a minute; sign 1 is positive, -1 negative, 0 seen only."""
    return conform(
        pl.DataFrame(
            [
                {
                    "user_id": user, "artwork_id": artwork, "kind": kind, "value": value, "positive": sign > 0,
                    "negative": sign < 0, "seen": True, "occurred_at": NOON.replace(minute=minute),
                }
                for minute, (user, artwork, kind, value, sign) in enumerate(rows)
            ],
            schema_overrides={"value": pl.Float64},
        ),
        HISTORY,
    )  # fmt: skip


def reasons(history: pl.DataFrame, user_ids: list[str], interests: list[str | None] | None = None) -> Reasons:
    ids = CATALOGUE_OF_SIX["artwork_id"]
    cited = citable_events(add_row_numbers(history, pl.Series(user_ids), ids))
    return Reasons(
        CATALOGUE_OF_SIX, VECTORS, cited, interests or [None] * len(user_ids), users_per_artwork(history, ids)
    )


def list_reasons(
    reasons: Reasons, lists: list[list[int]], personal: list[bool] | None = None
) -> list[tuple[str, str | None]]:
    return list(reasons.rows(0, np.array(lists, np.int32), np.array(personal or [True] * len(lists))))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (0, 1, "by Claude Monet"),
        (0, 2, "of Impressionism"),
        (0, 3, "about garden and water"),
        (4, 5, "from Japan"),
        (3, 4, "classified as print"),
        (2, 5, None),
    ],
)
def test_what_two_artworks_have_in_common(first: int, second: int, expected: str | None) -> None:
    assert shared_facet(FACETS[first], FACETS[second]) == expected


def test_the_nearest_artwork_of_the_users_history_is_cited() -> None:
    maker = reasons(
        events(("u", "1", "like", None, 1), ("u", "4", "purchase", None, 1), ("v", "5", "like", None, 1)), ["u", "v"]
    )
    assert list_reasons(maker, [[1, 4], [5, -1]]) == [
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
def test_the_wording_depends_on_the_kind_of_event(kind: str, value: float | None, words: str) -> None:
    maker = reasons(events(("u", "3", kind, value, 1)), ["u"])
    assert list_reasons(maker, [[0]]) == [(f"Because {words}: both of Impressionism", "3")]
    assert list_reasons(maker, [[5]]) == [(f"From your history as a whole; nearest in it: {words}", "3")]
    assert list_reasons(maker, [[4]]) == [(f"Because {words}", "3")]


def test_positive_artworks_come_before_seen_ones_and_negative_ones_never() -> None:
    history = events(
        ("u", "2", "view", None, 0), ("u", "4", "like", None, 1), ("u", "1", "like", None, 1), ("u", "1", "dismiss", None, -1),
        ("v", "2", "view", None, 0), ("w", "2", "dismiss", None, -1),
    )  # fmt: skip
    cited = citable_events(add_row_numbers(history, pl.Series(["u", "v", "w"]), CATALOGUE_OF_SIX["artwork_id"]))
    assert cited.select(USER_ROW, ARTWORK_ROW, KIND).rows() == [(0, 3, "like"), (1, 1, "view")]


def test_of_several_events_with_an_artwork_the_strongest_is_cited() -> None:
    history = events(("u", "1", "purchase", None, 1), ("u", "1", "rating", 4.0, 1), ("u", "1", "rating", 5.0, 1), ("u", "2", "rating", 4.0, 1), ("u", "2", "rating", 5.0, 1))  # fmt: skip
    cited = citable_events(add_row_numbers(history, pl.Series(["u"]), CATALOGUE_OF_SIX["artwork_id"]))
    assert cited.select(ARTWORK_ROW, KIND, VALUE).rows() == [(0, "purchase", None), (1, "rating", 5.0)]


@pytest.mark.parametrize(
    ("interests", "interest"),
    [
        ("I love the work of Claude Monet.", "Claude Monet"),
        ("Sculpture and pictures of dance.", "dance"),
        ("I am interested in Impressionism", "Impressionism"),
    ],
)
def test_an_interest_is_cited_without_its_lead_in(interests: str, interest: str) -> None:
    sentences = {interest_reason(interests, facets) for facets in FACETS}
    assert f"Matches your interest in {interest}" in sentences


def test_the_phrase_that_matches_the_artwork_is_cited() -> None:
    interests = "ballet, dance and Claude Monet"
    assert interest_reason(interests, FACETS[2]) == "Matches your interest in dance"
    assert interest_reason(interests, FACETS[0]) == "Matches your interest in Claude Monet"
    assert interest_reason(interests, FACETS[5]) == f"Chosen by what you told us: “{interests}”"
    maker = reasons(events(("u", "2", "view", None, 0), ("v", "2", "like", None, 1)), ["u", "v", "w"], [interests] * 3)
    # User v has a positive event, which comes before the interests.
    assert [because for _, because in list_reasons(maker, [[2], [2], [2]])] == [interests, "2", interests]
    assert maker.has_evidence(0, 3).all()


def test_users_without_history_and_interests_get_popular_artworks() -> None:
    maker = reasons(events(("v", "2", "like", None, 1)), ["u", "v"])
    assert maker.has_evidence(0, 2).tolist() == [False, True]
    assert list_reasons(maker, [[1, 0]], [False]) == [
        ("Popular with visitors of Orsay", None),
        ("From the collection of Orsay", None),
    ]
    nowhere = Facets("7", "Bowl", (), None, None, None, None, ())
    assert popularity_reason(nowhere, 2.0) == "Popular with visitors"
    assert popularity_reason(nowhere, 0.0) == "From the collection"


@pytest.mark.slow
def test_twenty_thousand_users_take_less_than_a_minute() -> None:
    rng = np.random.default_rng(0)
    users, artworks = 20_000, 112_000
    catalogue = conform(
        pl.DataFrame({"artwork_id": [f"{i:06}" for i in range(artworks)], "title": [f"Work {i}" for i in range(artworks)], "subjects": [[f"s{i % 97}", f"s{i % 89}"] for i in range(artworks)]}),
        CATALOGUE,
    )  # fmt: skip
    cited = pl.DataFrame(
        {USER_ROW: np.repeat(np.arange(users), 30), ARTWORK_ROW: rng.integers(0, artworks, users * 30), "kind": "like", "value": None, "positive": True}
    )  # fmt: skip
    vectors = unit_rows(rng.standard_normal((artworks, 64)).astype(np.float32))
    start = time.monotonic()
    maker = Reasons(catalogue, vectors, cited, [None] * users, np.ones(artworks, np.float32))
    ids = rng.integers(0, artworks, (users, 20)).astype(np.int32)
    assert sum(1 for _ in maker.rows(0, ids, np.ones(users, bool))) == users * 20
    assert time.monotonic() - start < 60
