"""Every rule of the artworks is broken by one mutation, which breaks no other rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import ARTWORK, LINE, MUSEUM, RULE, conform
from artrec_core.config import Rules
from artrec_core.errors import ConfigError
from expectations.artworks import artwork_rules, artwork_table_rules, check_artworks
from expectations.verdict import CheckedTable, Counts
from tests.expectations.worlds import DAY, NONE_UNMAPPED, RULES, Row, artwork, artworks, creator

WORLD = 40

# The change of one row: (what it becomes, what the reason must contain).
ROW_MUTATIONS: dict[str, tuple[Row, str]] = {
    "has_artwork_id": ({"artwork_id": None}, "no artwork id"),
    "has_title": ({"title": " \n"}, "no title"),
    "url_is_http": ({"url": "javascript:alert(1)"}, "the url is javascript:alert(1)"),
    "image_url_is_http": ({"image_url": "/images/7.jpg"}, "the image url is /images/7.jpg"),
    "price_is_not_negative": ({"price": -3.5}, "the price is -3.5"),
    "price_has_currency": ({"currency": None}, "the price is 10.0 but its currency is nothing"),
    "segments_are_short": ({"movement": "x" * 501}, "has 501 characters"),
    "years_are_ordered": ({"year_from": 1842}, "from 1842 to 1841"),
    "year_is_not_too_early": ({"year_from": -100_001}, "first year is -100001"),
    "year_is_not_in_the_future": ({"year_to": 18343}, "its last year is 18343, after 2026"),
    "lives_are_ordered": ({"creators": [creator(), creator(born=1700, died=1650)]}, "died 50 years before birth"),
    "made_after_birth": ({"creators": [creator(born=1850)]}, "in 1841, 9 years before its first maker was born"),
    "licence_is_open": ({"licence": "all rights reserved"}, "the licence is all rights reserved"),
}
ALL_ROW_RULES = [rule.name for rule in artwork_rules(RULES, DAY)]


def world(**changes: Any) -> list[Row]:
    """Forty good artworks; the seventh is changed."""
    return [artwork(number, **(changes if number == 7 else {})) for number in range(1, WORLD + 1)]


def check(rows: list[Row], rules: Rules = RULES, **arguments: Any) -> CheckedTable:
    return check_artworks(artworks(rows), NONE_UNMAPPED, rules, DAY, **arguments)


def row_rules_broken(checked: CheckedTable) -> list[str]:
    return [result.rule for result in checked.results if not result.stops and not result.success]


def test_good_artworks_break_nothing() -> None:
    checked = check(world())
    assert [result.name for result in checked.results if not result.success] == []
    assert checked.verdict().counts == Counts(received=WORLD, kept=WORLD)
    assert checked.kept_rows.select(ARTWORK.keys()).equals(artworks(world()).drop(LINE))


def test_every_row_rule_has_a_mutation() -> None:
    assert list(ROW_MUTATIONS) == ALL_ROW_RULES


@pytest.mark.parametrize("rule", ALL_ROW_RULES)
def test_a_mutation_breaks_exactly_its_row_rule(rule: str) -> None:
    change, reason = ROW_MUTATIONS[rule]
    checked = check(world(**change))
    assert row_rules_broken(checked) == [rule]
    assert (checked.failed_rules, checked.unchecked_rules) == ([], [])
    (row,) = checked.quarantine.iter_rows(named=True)
    assert (row["rule"], row[LINE], row["table"], row["source"]) == (rule, 7, "artworks", "museum")
    assert reason in row["reason"]
    assert checked.verdict().counts == Counts(received=WORLD, kept=WORLD - 1, quarantined=1)


def each_changed(changes: list[Row]) -> list[Row]:
    """A row for each change, numbered from 0."""
    return [artwork(number, **{**change}) for number, change in enumerate(changes)]


BAD: list[Row] = [
    {"price": float("nan")},
    {"price": float("inf")},
    {"licence": None},
    {"licence": ""},
    {"currency": "euro"},
    {"title": None},
    {"artwork_id": ""},
    {"image_url": "data:image/svg+xml,<svg>"},
    {"year_from": None, "year_to": 2027},
    {"creators": [creator(role=None, born=1900, died=1850)]},
]


def test_other_bad_values_are_quarantined_too() -> None:
    checked = check(each_changed(BAD))
    assert [BAD[line] for line in sorted(set(range(len(BAD))) - set(checked.quarantine.get_column(LINE)))] == []
    assert checked.unchecked_rules == []


GOOD: list[Row] = [
    {"year_from": -3000, "year_to": -2500, "creators": []},
    {"year_from": 1950, "year_to": 1951},
    {"creators": None},
    {"creators": [creator(name=None, born=None, died=None)]},
    {"creators": [creator(born=1950, died=2000), creator(born=None)]},
    {"creators": [creator(born=1950, died=2000, role="formerly attributed to")]},
    {"creators": [creator(born=1900, died=1950, role="Binder")]},
    {"creators": [creator(born=1900, died=1950, name="Circle of Ann Maker")]},
    {"creators": [creator(born=1843)]},
    {"year_from": None, "year_to": None},
    {"year_to": 2026},
    {"url": None, "image_url": None},
    {"url": "HTTP://例え.jp/作品 1"},
    {"licence": "cc by-sa"},
    {"price": 0.0},
    {"price": None, "currency": None},
    {"title": "<script>alert(1)</script>"},
]


def test_unusual_but_good_artworks_are_kept() -> None:
    checked = check(each_changed(GOOD))
    assert checked.quarantine.select(LINE, "reason").rows() == []
    assert checked.kept_rows.height == len(GOOD)
    assert checked.unchecked_rules == []


def test_art_rules_are_switched_off() -> None:
    bad = {name: change for name, (change, _) in ROW_MUTATIONS.items()}
    bad_values = {**bad["licence_is_open"], **bad["year_is_not_in_the_future"], **bad["lives_are_ordered"]}
    rules = RULES.model_copy(update={"art": False})
    assert check(world(**bad_values), rules).kept_rows.height == WORLD
    assert check(world(**bad_values)).kept_rows.height == WORLD - 1


def test_a_row_that_breaks_several_rules_is_quarantined_once_and_the_reason_names_all() -> None:
    checked = check(world(title=None, licence="secret", year_to=3000))
    (row,) = checked.quarantine.iter_rows(named=True)
    assert row["rule"] == "has_title"
    assert row["reason"] == "there is no title; it also breaks year_is_not_in_the_future, licence_is_open"


def test_the_last_of_repeated_artworks_is_kept_and_the_others_are_merged() -> None:
    rows = [*world(), artwork(41, artwork_id="museum:3", title="Work 3, corrected")]
    checked = check(rows)
    assert checked.verdict().counts == Counts(received=WORLD + 1, kept=WORLD, merged=1)
    third = checked.kept_rows.filter(pl.col("artwork_id") == "museum:3")
    assert third.get_column("title").to_list() == ["Work 3, corrected"]


def test_a_bad_repeat_does_not_replace_the_good_artwork() -> None:
    checked = check([*world(), artwork(41, artwork_id="museum:3", title=None)])
    assert checked.verdict().counts == Counts(received=WORLD + 1, kept=WORLD, quarantined=1)
    assert checked.kept_rows.filter(pl.col("artwork_id") == "museum:3").get_column(LINE).to_list() == [3]


def change_share(share: float, change: Callable[[int], Row]) -> list[Row]:
    """Forty artworks; a share of them is changed."""
    return [artwork(number, **(change(number) if number <= WORLD * share else {})) for number in range(1, WORLD + 1)]


TABLE_MUTATIONS: dict[str, Callable[[], CheckedTable]] = {
    "min_rows": lambda: check(world(), RULES.model_copy(update={"min_rows": WORLD + 1})),
    "volume (museum)": lambda: check(world(), min_lines={"museum": WORLD + 1}),
    "nulls (title)": lambda: check(change_share(0.1, lambda _: {"title": None})),
    "duplicates": lambda: check(change_share(0.3, lambda _: {"artwork_id": "museum:1"})),
    "dates_in_range": lambda: check(change_share(0.15, lambda _: {"year_to": 3000})),
    "quarantine_share": lambda: check(change_share(0.3, lambda _: {"url": "ftp://museum.org"})),
}


def test_every_table_rule_has_a_mutation() -> None:
    rules = [
        f"{rule.name} ({rule.about})" if rule.about else rule.name for rule in artwork_table_rules(RULES, {"museum": 1})
    ]
    assert sorted(TABLE_MUTATIONS) == sorted([*rules, "quarantine_share"])


@pytest.mark.parametrize("rule", TABLE_MUTATIONS)
def test_a_mutation_fails_exactly_its_table_rule(rule: str) -> None:
    checked = TABLE_MUTATIONS[rule]()
    assert [result.name for result in checked.failed_rules] == [rule]
    assert checked.unchecked_rules == []


def test_blank_text_and_empty_lists_count_as_nulls() -> None:
    rules = RULES.model_copy(update={"max_null_share": {"subjects": 0.1, "description": 0.0, "year_from": 0.0}})
    checked = check(change_share(0.2, lambda _: {"subjects": []}), rules)
    assert {result.name for result in checked.failed_rules} == {"nulls (subjects)", "nulls (description)"}


def test_a_null_share_of_an_unknown_column_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'titel'"):
        check(world(), RULES.model_copy(update={"max_null_share": {"titel": 0.1}}))


def test_no_artworks_at_all_fail_by_their_number_alone() -> None:
    checked = check([])
    assert [result.name for result in checked.failed_rules] == ["min_rows"]
    assert checked.unchecked_rules == []


NASTY: dict[str, list[Any]] = {
    "artwork_id": [None, "", "museum:1", "museum:2", "\x00", "𝔸"],
    "title": [None, " ", "<script>", "x" * 10_000, "{}", "夜"],
    "creators": [None, [], [None], [creator(born=-(2**31), died=2**31 - 1)], [creator(died=-5), creator(name=None)]],
    "year_from": [None, -(2**31), 2**31 - 1, 0, 1840],
    "year_to": [None, -(2**31), 2**31 - 1, 0, 1840],
    "url": [None, "", "http://", "http://a", "\n", "HTTPS://é"],
    "licence": [None, "cc0", "CC0 ", "{}"],
    "price": [None, 0.0, -0.0, float("nan"), float("inf"), -float("inf"), 5e-324],
    "currency": [None, "", "EUR", " usd", "€"],
}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_rows_hold_nothing_crashes_and_no_row_is_lost(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = [
        artwork(number, **{column: values[random.integers(len(values))] for column, values in NASTY.items()})
        for number in range(300)
    ]
    checked = check(rows)
    assert checked.unchecked_rules == [], "Great Expectations and the quarantine disagree"
    verdict = checked.verdict()
    assert verdict.counts.conserved
    assert verdict.counts.received == 300
    assert checked.quarantine.get_column("reason").null_count() == 0
    assert checked.quarantine.get_column(LINE).is_unique().all()
    assert set(checked.quarantine.get_column(RULE)) <= set(ALL_ROW_RULES)


def test_kept_rows_have_the_columns_of_the_table() -> None:
    kept_rows = conform(check(world()).kept_rows, ARTWORK)
    assert kept_rows.get_column(MUSEUM).null_count() == WORLD
