"""Which users are shown, and their artworks in words."""

from datetime import UTC, datetime

import polars as pl

from artrec_core.columns import CATALOGUE, HISTORY, RECOMMENDATION, USER, conform, empty_frame
from jobs.pages.examples import captions_by_id, choose_users, example_users


def users(*rows: tuple[str, str | None]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema={"user_id": pl.String, "interests": pl.String}, orient="row"), USER)


def histories(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    """Rows of (user, artwork, kind, day of March)."""
    events = [
        {
            "user_id": user,
            "artwork_id": artwork,
            "kind": kind,
            "event_id": str(n),
            "occurred_at": datetime(2026, 3, day, tzinfo=UTC),
            "positive": kind == "like",
            "negative": kind == "dismiss",
            "seen": kind != "impression",
        }
        for n, (user, artwork, kind, day) in enumerate(rows)
    ]
    return conform(pl.DataFrame(events), HISTORY) if events else empty_frame(HISTORY)


def test_the_choice_does_not_depend_on_the_order_of_rows() -> None:
    rows = [("e", "rivers"), ("d", None), ("c", None), ("b", None), ("a", "ink")]
    events = [
        ("a", "1", "like", 1),
        ("b", "1", "view", 1),
        ("b", "2", "view", 1),
        ("c", "1", "view", 1),
        ("c", "1", "like", 2),
    ]
    events += [("c", "2", "view", 2), ("c", "3", "view", 2), ("d", "1", "impression", 3)]
    chosen = {
        "A long history": "c",
        "A typical history": "b",
        "A short history": "a",
        "Interests only": "e",
        "Nothing known": "d",
    }
    assert choose_users(users(*rows), histories(*events)) == chosen
    assert choose_users(users(*rows[::-1]), histories(*events[::-1])) == chosen


def test_a_kind_without_users_is_left_out() -> None:
    assert choose_users(users(("a", None)), histories()) == {"Nothing known": "a"}
    assert choose_users(users(), histories()) == {}


def test_a_history_shows_each_artwork_once_and_the_latest_first() -> None:
    events = histories(
        ("a", "1", "view", 1),
        ("a", "1", "like", 2),
        ("a", "2", "view", 3),
        ("a", "2", "dismiss", 3),
        ("a", "3", "impression", 4),
    )
    (user,) = example_users(users(("a", None)), events, [empty_frame(RECOMMENDATION)], empty_frame(CATALOGUE), "main")
    assert [(entry.artwork.title, entry.actions, entry.sign, entry.day) for entry in user.history] == [
        ("2", "view, dismiss", -1, "2026-03-03"),
        ("1", "view, like", 1, "2026-03-02"),
    ]
    assert user.artwork_count == 2


def test_the_caption_of_an_artwork() -> None:
    row = {
        "artwork_id": "m:1",
        "title": "Vase",
        "title_original": "Vase",
        "year_from": -500,
        "year_to": 20,
        "url": "ftp://x",
    }
    row |= {"creators": [{"name": "A"}, {"name": None}, {"name": "B"}, {"name": "C"}], "museum": "M", "movement": None}
    caption = captions_by_id(conform(pl.DataFrame([row]), CATALOGUE))["m:1"]
    assert (caption.title, caption.original, caption.creators, caption.date, caption.place, caption.url) == (
        "Vase",
        None,
        "A, B and others",
        "500 BC–20",
        "M",
        None,
    )
