"""Every rule of the events is broken by one mutation, which breaks no other rule."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import LINE, RULE, SOURCE
from artrec_core.config import Rules
from expectations.events import check_events, event_rules, event_table_rules
from expectations.verdict import CheckedTable, Counts
from tests.expectations.worlds import DAY, NONE_UNMAPPED, RULES, Row, event, events

WORLD = 40
STRICT = RULES.model_copy(update={"max_events_per_user_day": 20})
KNOWN_ARTWORKS = pl.Series("artwork_id", ["museum:1", "museum:2"])

ROW_MUTATIONS: dict[str, tuple[Row, str]] = {
    "has_event_id": ({"event_id": None}, "no event id"),
    "has_user_id": ({"user_id": "  "}, "no user id"),
    "events_per_day_are_plausible": ({}, ""),  # needs a user with many events: see below
    "kind_is_known": ({"kind": "stare"}, "the kind is stare"),
    "has_artwork_id": ({"artwork_id": None}, "no artwork id"),
    "has_time": ({"occurred_at": None}, "no time"),
    "time_is_not_too_early": ({"occurred_at": datetime(1970, 1, 1, tzinfo=UTC)}, "it occurred at 1970-01-01"),
    "time_is_not_after_the_night": ({"occurred_at": datetime(2026, 3, 31, tzinfo=UTC)}, "it occurred at 2026-03-31"),
    "rating_is_1_to_5": ({"kind": "rating", "value": 6.0}, "the rating is 6.0"),
    "dwell_is_not_negative": ({"dwell_seconds": -1.0}, "the dwell time is -1.0 s"),
    "artwork_is_known": ({"artwork_id": "museum:99"}, "no source describes the artwork museum:99"),
}
ALL_ROW_RULES = [rule.name for rule in event_rules(RULES, DAY)]


def world(**changes: Any) -> list[Row]:
    """Forty good events; the seventh is changed."""
    return [event(number, **{"value": None, **(changes if number == 7 else {})}) for number in range(1, WORLD + 1)]


def check(rows: list[Row], rules: Rules = STRICT, **arguments: Any) -> CheckedTable:
    return check_events(events(rows), NONE_UNMAPPED, rules, DAY, artworks=KNOWN_ARTWORKS, **arguments)


def row_rules_broken(checked: CheckedTable) -> list[str]:
    return [result.rule for result in checked.results if not result.stops and not result.success]


def test_good_events_break_nothing() -> None:
    checked = check(world())
    assert [result.name for result in checked.results if not result.success] == []
    assert checked.verdict().counts == Counts(received=WORLD, kept=WORLD)


def test_every_row_rule_has_a_mutation() -> None:
    assert list(ROW_MUTATIONS) == ALL_ROW_RULES


@pytest.mark.parametrize("rule", sorted(set(ALL_ROW_RULES) - {"events_per_day_are_plausible"}))
def test_a_mutation_breaks_exactly_its_row_rule(rule: str) -> None:
    change, reason = ROW_MUTATIONS[rule]
    checked = check(world(**change))
    assert row_rules_broken(checked) == [rule]
    assert (checked.failed_rules, checked.unchecked_rules) == ([], [])
    (row,) = checked.quarantine.iter_rows(named=True)
    assert (row["rule"], row[LINE], row["table"], row["source"]) == (rule, 7, "events", "visits")
    assert reason in row["reason"]
    assert checked.verdict().counts == Counts(received=WORLD, kept=WORLD - 1, quarantined=1)


def bot(start: int, count: int) -> list[Row]:
    return [event(number, user_id="bot", value=None) for number in range(start, start + count)]


def test_all_events_of_a_bot_are_quarantined() -> None:
    a_week_before = datetime(2026, 3, 23, 12, tzinfo=UTC)
    rows = [*world(), *bot(100, 21), event(200, user_id="bot", occurred_at=a_week_before, value=None)]
    checked = check(rows, STRICT.model_copy(update={"max_quarantine_share": 0.5}))
    assert row_rules_broken(checked) == ["events_per_day_are_plausible"]
    assert checked.quarantine.get_column(LINE).to_list() == [*range(100, 121), 200]
    assert checked.quarantine.get_column("reason")[0] == "bot had 21 events in one day"
    assert checked.failed_rules == []


def test_the_largest_allowed_number_of_events_makes_no_bot() -> None:
    assert check([*world(), *bot(100, 20)]).quarantine.rows() == []


def test_a_file_sent_twice_makes_no_bot() -> None:
    rows = bot(100, 15)
    again = [{**row, LINE: row[LINE] + 1000} for row in rows]
    checked = check([*world(), *rows, *again], STRICT.model_copy(update={"max_duplicate_share": 0.5}))
    assert checked.verdict().counts == Counts(received=WORLD + 30, kept=WORLD + 15, merged=15)


def test_a_bot_is_found_across_sources() -> None:
    rows = [*world(), *bot(100, 15), *({**row, SOURCE: "shop"} for row in bot(200, 15))]
    checked = check(rows, STRICT.model_copy(update={"max_quarantine_share": 0.5}))
    assert checked.verdict().quarantined == {"events_per_day_are_plausible": 30}


def test_the_same_event_id_in_two_sources_is_two_events() -> None:
    checked = check([*world(), event(7, source="shop", value=None)])
    assert checked.verdict().counts == Counts(received=WORLD + 1, kept=WORLD + 1)


def each_changed(changes: list[Row]) -> list[Row]:
    """A row for each change, numbered from 0."""
    return [event(number, **{"value": None, "text": None, **change}) for number, change in enumerate(changes)]


BAD: list[Row] = [
    {"kind": "rating", "value": None},
    {"kind": "rating", "value": float("nan")},
    {"kind": "rating", "value": 0.5},
    {"kind": None},
    {"kind": "View"},
    {"artwork_id": " "},
    {"dwell_seconds": float("nan")},
    {"dwell_seconds": float("inf")},
    {"kind": "search", "artwork_id": "museum:99"},
]


def test_other_bad_values_are_quarantined_too() -> None:
    checked = check(each_changed(BAD))
    assert [BAD[line] for line in sorted(set(range(len(BAD))) - set(checked.quarantine.get_column(LINE)))] == []
    assert checked.unchecked_rules == []


GOOD: list[Row] = [
    {"kind": "search", "artwork_id": None, "text": "rivers"},
    {"kind": "rating", "value": 1.0},
    {"kind": "rating", "value": 5.0},
    {"kind": "purchase", "value": 250.0},
    {"dwell_seconds": None},
    {"dwell_seconds": 0.0},
    {"text": "<script>alert(1)</script>"},
]


def test_unusual_but_good_events_are_kept() -> None:
    checked = check(each_changed(GOOD))
    assert checked.quarantine.select(LINE, "reason").rows() == []
    assert checked.kept_rows.height == len(GOOD)
    assert checked.unchecked_rules == []


def test_unknown_artworks_are_kept_where_the_recipe_says_so() -> None:
    rules = STRICT.model_copy(update={"unknown_artworks": "keep"})
    assert check(world(artwork_id="museum:99"), rules).kept_rows.height == WORLD


def change_share(share: float, change: Callable[[int], Row]) -> list[Row]:
    return [
        event(number, **{"value": None, **(change(number) if number <= WORLD * share else {})})
        for number in range(1, WORLD + 1)
    ]


LATE = datetime(2030, 1, 1, tzinfo=UTC)
TABLE_MUTATIONS: dict[str, Callable[[], CheckedTable]] = {
    "min_rows": lambda: check(world(), STRICT.model_copy(update={"min_rows": WORLD + 1})),
    "volume (visits)": lambda: check(world(), min_lines={"visits": WORLD + 1}),
    "duplicates": lambda: check(change_share(0.3, lambda _: {"event_id": "e1"})),
    "dates_in_range": lambda: check(change_share(0.15, lambda _: {"occurred_at": LATE})),
    "known_kinds": lambda: check(change_share(0.15, lambda _: {"kind": "stare"})),
    "known_artworks": lambda: check(change_share(0.15, lambda _: {"artwork_id": "museum:99"})),
    "quarantine_share": lambda: check(change_share(0.3, lambda _: {"dwell_seconds": -1.0})),
}


def test_every_table_rule_has_a_mutation() -> None:
    rules = [
        f"{rule.name} ({rule.about})" if rule.about else rule.name for rule in event_table_rules(RULES, {"visits": 1})
    ]
    assert sorted(TABLE_MUTATIONS) == sorted([*rules, "quarantine_share"])


@pytest.mark.parametrize("rule", TABLE_MUTATIONS)
def test_a_mutation_fails_exactly_its_table_rule(rule: str) -> None:
    checked = TABLE_MUTATIONS[rule]()
    assert [result.name for result in checked.failed_rules] == [rule]
    assert checked.unchecked_rules == []


NASTY: dict[str, list[Any]] = {
    "event_id": [None, "", "e1", "e2", "\x00", "𝔸"],
    "user_id": [None, " ", "u1", "{}"],
    "artwork_id": [None, "", "museum:1", "museum:99"],
    "kind": [None, "", "rating", "search", "view", "夜"],
    "value": [None, 0.0, 3.0, float("nan"), float("inf"), -float("inf")],
    "dwell_seconds": [None, 0.0, -0.0, 5e-324, float("nan"), float("inf"), -float("inf")],
    "occurred_at": [
        None,
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(2026, 3, 30, tzinfo=UTC),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_rows_hold_nothing_crashes_and_no_row_is_lost(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = [
        event(number, **{column: values[random.integers(len(values))] for column, values in NASTY.items()})
        for number in range(300)
    ]
    checked = check(rows)
    assert checked.unchecked_rules == [], "Great Expectations and the quarantine disagree"
    assert checked.verdict().counts.conserved
    assert checked.quarantine.get_column("reason").null_count() == 0
    assert checked.quarantine.get_column(LINE).is_unique().all()
    assert set(checked.quarantine.get_column(RULE)) <= set(ALL_ROW_RULES)
