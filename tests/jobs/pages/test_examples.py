"""Which people are shown, and their works as lines of text."""

from datetime import UTC, datetime

import polars as pl

from artrec_core.columns import CATALOGUE, HISTORY, RECOMMENDATION, USER, conform, empty_frame
from jobs.pages.examples import choose, examples, works_of


def people(*rows: tuple[str, str | None]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema={"user_id": pl.String, "interests": pl.String}, orient="row"), USER)


def histories(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    """Rows of (person, work, kind, day of March)."""
    made = [
        {
            "user_id": user,
            "artwork_id": work,
            "kind": kind,
            "event_id": str(n),
            "occurred_at": datetime(2026, 3, day, tzinfo=UTC),
            "positive": kind == "like",
            "negative": kind == "dismiss",
            "seen": kind != "impression",
        }
        for n, (user, work, kind, day) in enumerate(rows)
    ]
    return conform(pl.DataFrame(made), HISTORY) if made else empty_frame(HISTORY)


def test_kinds_of_people_do_not_depend_on_the_order_of_rows() -> None:
    everybody = [("e", "rivers"), ("d", None), ("c", None), ("b", None), ("a", "ink")]
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
    assert choose(people(*everybody), histories(*events)) == chosen
    assert choose(people(*everybody[::-1]), histories(*events[::-1])) == chosen


def test_a_kind_that_nobody_is_of_is_left_out() -> None:
    assert choose(people(("a", None)), histories()) == {"Nothing known": "a"}
    assert choose(people(), histories()) == {}


def test_a_history_tells_each_work_once_the_latest_first() -> None:
    events = histories(
        ("a", "1", "view", 1),
        ("a", "1", "like", 2),
        ("a", "2", "view", 3),
        ("a", "2", "dismiss", 3),
        ("a", "3", "impression", 4),
    )
    (person,) = examples(people(("a", None)), events, [empty_frame(RECOMMENDATION)], empty_frame(CATALOGUE), "main")
    assert [(one.work.title, one.did, one.sign, one.day) for one in person.history] == [
        ("2", "view, dismiss", -1, "2026-03-03"),
        ("1", "view, like", 1, "2026-03-02"),
    ]
    assert person.works == 2


def test_a_work_as_text() -> None:
    row = {
        "artwork_id": "m:1",
        "title": "Vase",
        "title_original": "Vase",
        "year_from": -500,
        "year_to": 20,
        "url": "ftp://x",
    }
    row |= {"creators": [{"name": "A"}, {"name": None}, {"name": "B"}, {"name": "C"}], "museum": "M", "movement": None}
    work = works_of(conform(pl.DataFrame([row]), CATALOGUE))["m:1"]
    assert (work.title, work.original, work.creators, work.date, work.where, work.url) == (
        "Vase",
        None,
        "A, B and others",
        "500 BC–20",
        "M",
        None,
    )
