from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import (
    EVENT,
    EVENT_ID,
    HISTORY,
    NEGATIVE,
    POSITIVE,
    SEEN,
    USER_ID,
    conform,
)
from artrec_core.config import Signals
from artrec_core.data.histories import build_histories

DAY = "2026-03-02"


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    """Events by ann of artwork a on March 1, numbered, unless a row says otherwise."""
    defaults = {"user_id": "ann", "artwork_id": "a", "kind": "like", "simulated": False}
    records = [
        defaults | {"event_id": f"e{number}", "occurred_at": datetime(2026, 3, 1, number, tzinfo=UTC)} | row
        for number, row in enumerate(rows)
    ]
    return conform(pl.DataFrame(records, infer_schema_length=None), EVENT)


@pytest.mark.parametrize(
    ("event", "positive", "negative", "seen"),
    [
        ({"kind": "like"}, True, False, True),
        ({"kind": "favourite"}, True, False, True),
        ({"kind": "purchase"}, True, False, True),
        ({"kind": "rating", "value": 4.0}, True, False, True),
        ({"kind": "rating", "value": 3.0}, False, False, True),
        ({"kind": "rating", "value": 2.0}, False, True, True),
        ({"kind": "rating", "value": None}, False, False, True),
        ({"kind": "view", "dwell_seconds": 30.0}, True, False, True),
        ({"kind": "view", "dwell_seconds": 29.9}, False, False, True),
        ({"kind": "view"}, False, False, True),
        ({"kind": "dismiss"}, False, True, True),
        ({"kind": "comment"}, False, False, True),
        ({"kind": "impression"}, False, False, False),
        ({"kind": "search", "artwork_id": None}, False, False, False),
    ],
)
def test_what_an_event_counts_as(event: dict[str, Any], positive: bool, negative: bool, seen: bool) -> None:
    rows, _ = build_histories(events(event), Signals(), DAY)
    assert rows.schema == pl.Schema(HISTORY)
    assert rows.select(POSITIVE, NEGATIVE, SEEN).rows() == [(positive, negative, seen)]


def test_the_recipe_says_what_counts() -> None:
    signals = Signals(positive=["comment"], negative=[], unseen=["view"], long_view_seconds=None)
    rows, _ = build_histories(
        events({"kind": "comment"}, {"kind": "like"}, {"kind": "view", "dwell_seconds": 99.0}), signals, DAY
    )
    assert rows[POSITIVE].to_list() == [True, False, False]
    assert rows[SEEN].to_list() == [True, True, False]


def test_every_row_is_kept_or_counted() -> None:
    all_events = events(
        {"kind": "view"},
        {"kind": "like", "event_id": "e0"},  # the newer state of the first
        {"occurred_at": datetime(2026, 3, 3, tzinfo=UTC)},  # after the day
        {"user_id": "bob"},  # no consent
        {},
        {},
    )
    rows, counts = build_histories(all_events, Signals(), DAY, refusing_users=pl.Series(["bob"]), max_history=2)
    assert counts == {
        "rows_in": 6,
        "kept": 2,
        "duplicates": 1,
        "later": 1,
        "without_consent": 1,
        "over_max_history": 1,
    }
    assert rows[EVENT_ID].to_list() == ["e4", "e5"]


def test_the_last_moment_of_the_day_is_in_time() -> None:
    last = datetime(2026, 3, 2, 23, 59, 59, 999999, tzinfo=UTC)
    rows, counts = build_histories(
        events({"occurred_at": last}, {"occurred_at": datetime(2026, 3, 3, tzinfo=UTC)}), Signals(), DAY
    )
    assert rows[EVENT_ID].to_list() == ["e0"]
    assert counts["later"] == 1


def test_the_last_state_of_an_event_counts() -> None:
    all_events = events({"kind": "like"}, {"kind": "dismiss", "event_id": "e0"})
    rows, _ = build_histories(all_events, Signals(), DAY)
    assert rows[NEGATIVE].to_list() == [True]


def test_order_is_by_user_time_and_event() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    all_events = events(
        {"user_id": "bob"}, {"occurred_at": noon, "event_id": "z"}, {"occurred_at": noon, "event_id": "y"}, {}
    )
    rows, _ = build_histories(all_events, Signals(), DAY)
    assert rows.select(USER_ID, EVENT_ID).rows() == [("ann", "e3"), ("ann", "y"), ("ann", "z"), ("bob", "e0")]
