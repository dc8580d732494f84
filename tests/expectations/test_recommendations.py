"""The audit: each mutation of a good table breaks exactly one rule."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import HISTORY, RECOMMENDATION, USER, conform
from expectations.recommendations import check_recommendations, other_table_rules, recommendation_rules
from expectations.verdict import CheckedTable, Counts
from tests.expectations.worlds import Row

CATALOGUE = pl.DataFrame({"artwork_id": ["a", "b", "c", "d", "e", "g"]})
USERS = conform(
    pl.DataFrame(
        {"user_id": ["ann", "bo"], "simulated": [True, None]}, schema={"user_id": pl.String, "simulated": pl.Boolean}
    ),
    USER,
)
HISTORIES = conform(
    pl.DataFrame({"user_id": ["ann", "ann", "bo"], "artwork_id": ["e", "d", "e"], "seen": [True, False, True]}), HISTORY
)


def row(user: str, rank: int, artwork: str, score: float, strategy: str = "main") -> Row:
    return {
        "strategy": strategy,
        "user_id": user,
        "rank": rank,
        "artwork_id": artwork,
        "score": score,
        "reason": "Because it shows a river",
        "run_date": "2026-03-30",
        "model_version": "1",
        "simulated": True,
    }


def good_rows() -> list[Row]:
    return [
        row("ann", 1, "a", 0.9),
        row("ann", 2, "b", 0.9),
        row("ann", 3, "d", 0.2),
        row("bo", 1, "a", 0.5),
        row("bo", 2, "c", -0.5),
        row("ann", 1, "c", 7.0, "fresh"),
    ]


def mutate(number: int, **changes: object) -> list[Row]:
    return [{**row, **(changes if index == number else {})} for index, row in enumerate(good_rows())]


def check(rows: list[Row], users: pl.DataFrame = USERS, **arguments: Any) -> CheckedTable:
    schema = {name: RECOMMENDATION[name] for name in row("", 1, "", 0.0)}
    table = conform(pl.DataFrame(rows, schema=schema), RECOMMENDATION)
    return check_recommendations(table, HISTORIES, CATALOGUE, users, strategy="main", **arguments)


BLOCKED = pl.DataFrame({"strategy": ["main", "fresh"], "artwork_id": ["c", "a"]})
MAIN_BLOCKED = pl.DataFrame({"strategy": ["main", "fresh"], "artwork_id": ["g", "a"]})


def other_table(*artwork_ids: str) -> pl.DataFrame:
    return pl.DataFrame({"source": "similar_artworks", "artwork_id": artwork_ids})


MUTATIONS: dict[str, Callable[[], CheckedTable]] = {
    "ranks_have_no_gaps": lambda: check(mutate(4, rank=3)),
    "artwork_once_a_list": lambda: check(mutate(1, artwork_id="a")),
    "score_is_a_number": lambda: check(mutate(1, score=float("nan"))),
    "scores_do_not_rise": lambda: check(mutate(2, score=0.95)),
    "seen_works_are_out": lambda: check(mutate(0, artwork_id="e")),
    "blocked_works_are_out": lambda: check(good_rows(), blocked_artworks=BLOCKED),
    "artwork_is_known": lambda: check(mutate(0, artwork_id="z")),
    "person_is_known": lambda: check([*good_rows(), row("nobody", 1, "a", 1.0)]),
    "has_reason": lambda: check(mutate(3, reason=" ")),
    "simulated_is_said": lambda: check(mutate(0, simulated=False)),
    "has_rows": lambda: check([], USERS.clear()),
    "everybody_is_served": lambda: check([row for row in good_rows() if row["user_id"] != "bo"]),
    # a is blocked in `fresh` alone.
    "blocked_works_are_out_elsewhere": lambda: check(
        [row for row in good_rows() if row["strategy"] == "main"],
        blocked_artworks=MAIN_BLOCKED,
        other_tables=other_table("a", "d", "g"),
    ),
    "artwork_is_known_elsewhere": lambda: check(good_rows(), other_tables=other_table("a", "z", "g")),
}


def test_a_good_table_passes() -> None:
    checked = check(good_rows())
    assert (checked.failed_rules, checked.unchecked_rules) == ([], [])
    assert checked.verdict().sources == {"fresh": Counts(received=1, kept=1), "main": Counts(received=5, kept=5)}


def test_every_rule_has_a_mutation() -> None:
    rules = [rule.name for rule in recommendation_rules()]
    more_rules = [rule.name for rule in other_table_rules()]
    assert list(MUTATIONS) == [*rules, "has_rows", "everybody_is_served", *more_rules]


@pytest.mark.parametrize("rule", MUTATIONS)
def test_a_mutation_breaks_exactly_its_rule(rule: str) -> None:
    checked = MUTATIONS[rule]()
    assert [result.rule for result in checked.failed_rules] == [rule]
    assert checked.unchecked_rules == []
    assert all(result.stops for result in checked.failed_rules)


def test_a_failed_rule_shows_the_rows() -> None:
    (failed,) = MUTATIONS["seen_works_are_out"]().failed_rules
    assert failed.examples == ["ann's rank 1 in main is e, which the visitor has seen"]


@pytest.mark.parametrize(
    "change",
    [
        {"rank": None},
        {"rank": 2},
        {"rank": 0},
        {"score": None},
        {"score": float("inf")},
        {"simulated": None},
        {"reason": None},
    ],
    ids=str,
)
def test_other_bad_values_stop_the_publication_too(change: Row) -> None:
    checked = check(mutate(0, **change))
    assert checked.failed_rules != []
    assert checked.unchecked_rules == []


def test_a_user_with_rows_only_in_another_strategy_is_not_served() -> None:
    rows = [{**row, "strategy": "fresh" if row["user_id"] == "bo" else "main"} for row in good_rows()[:5]]
    assert [result.rule for result in check(rows).failed_rules] == ["everybody_is_served"]


def test_scores_may_rise_where_a_strategy_re_ranks() -> None:
    assert check(mutate(2, score=0.95), reranked_strategies=["main"]).failed_rules == []
    assert [result.rule for result in check(mutate(2, score=0.95), reranked_strategies=["fresh"]).failed_rules] == [
        "scores_do_not_rise"
    ]


def test_a_block_list_of_one_strategy_does_not_apply_to_another() -> None:
    (failed,) = check(good_rows(), blocked_artworks=BLOCKED).failed_rules
    # c is blocked in `main`, where Bo has it. Ann has it in `fresh`, where it is not blocked.
    assert failed.examples == ["bo's rank 2 in main is c, which is blocked; run score again"]


def test_a_blocked_artwork_in_another_table_is_named() -> None:
    (failed,) = MUTATIONS["blocked_works_are_out_elsewhere"]().failed_rules
    assert failed.examples == ["similar_artworks has g, which is blocked; run score again"]


def test_a_user_who_has_seen_all_artworks_that_are_not_blocked_needs_no_rows() -> None:
    rows = [row for row in good_rows() if row["user_id"] != "bo"]
    blocked = pl.DataFrame({"strategy": "main", "artwork_id": ["a", "b", "c", "d", "g"]})
    # Bo has seen e, the only artwork that is not blocked. Ann has rows with a, b and d, which are blocked.
    assert [result.rule for result in check(rows, blocked_artworks=blocked).failed_rules] == ["blocked_works_are_out"]
    assert [result.rule for result in check(rows).failed_rules] == ["everybody_is_served"]
