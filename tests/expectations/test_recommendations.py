"""The audit: each way to spoil a good table breaks exactly one rule."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import HISTORY, RECOMMENDATION, USER, conform
from expectations.recommendations import check_recommendations, elsewhere_rules, recommendation_rules
from expectations.verdict import Checked, Counts
from tests.expectations.worlds import Row

CATALOGUE = pl.DataFrame({"artwork_id": ["a", "b", "c", "d", "e", "g"]})
PEOPLE = conform(
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


def good() -> list[Row]:
    return [
        row("ann", 1, "a", 0.9),
        row("ann", 2, "b", 0.9),
        row("ann", 3, "d", 0.2),
        row("bo", 1, "a", 0.5),
        row("bo", 2, "c", -0.5),
        row("ann", 1, "c", 7.0, "fresh"),
    ]


def spoilt(number: int, **changes: object) -> list[Row]:
    return [{**one, **(changes if at == number else {})} for at, one in enumerate(good())]


def check(rows: list[Row], people: pl.DataFrame = PEOPLE, **told: Any) -> Checked:
    schema = {name: RECOMMENDATION[name] for name in row("", 1, "", 0.0)}
    table = conform(pl.DataFrame(rows, schema=schema), RECOMMENDATION)
    return check_recommendations(table, HISTORIES, CATALOGUE, people, strategy="main", **told)


BLOCKED = pl.DataFrame({"strategy": ["main", "fresh"], "artwork_id": ["c", "a"]})
MAIN_BLOCKED = pl.DataFrame({"strategy": ["main", "fresh"], "artwork_id": ["g", "a"]})


def elsewhere(*works: str) -> pl.DataFrame:
    return pl.DataFrame({"source": "similar_artworks", "artwork_id": works})


MUTATIONS: dict[str, Callable[[], Checked]] = {
    "ranks_have_no_gaps": lambda: check(spoilt(4, rank=3)),
    "artwork_once_a_list": lambda: check(spoilt(1, artwork_id="a")),
    "score_is_a_number": lambda: check(spoilt(1, score=float("nan"))),
    "scores_do_not_rise": lambda: check(spoilt(2, score=0.95)),
    "seen_works_are_out": lambda: check(spoilt(0, artwork_id="e")),
    "blocked_works_are_out": lambda: check(good(), blocked=BLOCKED),
    "artwork_is_known": lambda: check(spoilt(0, artwork_id="z")),
    "person_is_known": lambda: check([*good(), row("nobody", 1, "a", 1.0)]),
    "has_reason": lambda: check(spoilt(3, reason=" ")),
    "simulated_is_said": lambda: check(spoilt(0, simulated=False)),
    "has_rows": lambda: check([], PEOPLE.clear()),
    "everybody_is_served": lambda: check([one for one in good() if one["user_id"] != "bo"]),
    # `fresh` alone may not show a.
    "blocked_works_are_out_elsewhere": lambda: check(
        [one for one in good() if one["strategy"] == "main"], blocked=MAIN_BLOCKED, elsewhere=elsewhere("a", "d", "g")
    ),
    "artwork_is_known_elsewhere": lambda: check(good(), elsewhere=elsewhere("a", "z", "g")),
}


def test_a_good_table_passes() -> None:
    checked = check(good())
    assert (checked.failed, checked.broken) == ([], [])
    assert checked.verdict().sources == {"fresh": Counts(received=1, kept=1), "main": Counts(received=5, kept=5)}


def test_every_rule_has_a_mutation() -> None:
    rules = [rule.name for rule in recommendation_rules()]
    others = [rule.name for rule in elsewhere_rules()]
    assert list(MUTATIONS) == [*rules, "has_rows", "everybody_is_served", *others]


@pytest.mark.parametrize("rule", MUTATIONS)
def test_a_mutation_breaks_exactly_its_rule(rule: str) -> None:
    checked = MUTATIONS[rule]()
    assert [one.rule for one in checked.failed] == [rule]
    assert checked.broken == []
    assert all(one.stops for one in checked.failed)


def test_a_failed_rule_shows_the_rows() -> None:
    (failed,) = MUTATIONS["seen_works_are_out"]().failed
    assert failed.examples == ["ann's rank 1 in main is e, which they have seen"]


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
def test_other_spoilt_values_stop_the_publication_too(change: Row) -> None:
    checked = check(spoilt(0, **change))
    assert checked.failed != []
    assert checked.broken == []


def test_who_has_rows_only_in_another_strategy_is_not_served() -> None:
    rows = [{**one, "strategy": "fresh" if one["user_id"] == "bo" else "main"} for one in good()[:5]]
    assert [one.rule for one in check(rows).failed] == ["everybody_is_served"]


def test_scores_may_rise_where_a_strategy_re_ranks() -> None:
    assert check(spoilt(2, score=0.95), reranked=["main"]).failed == []
    assert [one.rule for one in check(spoilt(2, score=0.95), reranked=["fresh"]).failed] == ["scores_do_not_rise"]


def test_a_block_list_of_one_strategy_says_nothing_of_another() -> None:
    (failed,) = check(good(), blocked=BLOCKED).failed
    # In `main` Bo's c is blocked; Ann's c is of `fresh`, which may show it.
    assert failed.examples == ["bo's rank 2 in main is c, which is blocked; run score again"]


def test_a_blocked_work_of_another_table_is_named() -> None:
    (failed,) = MUTATIONS["blocked_works_are_out_elsewhere"]().failed
    assert failed.examples == ["similar_artworks has g, which is blocked; run score again"]


def test_who_has_seen_every_work_that_is_not_blocked_needs_no_rows() -> None:
    rows = [one for one in good() if one["user_id"] != "bo"]
    others = pl.DataFrame({"strategy": "main", "artwork_id": ["a", "b", "c", "d", "g"]})
    # Bo has seen e alone, and e is all that is left; but of Ann's rows a, b and d are blocked.
    assert [one.rule for one in check(rows, blocked=others).failed] == ["blocked_works_are_out"]
    assert [one.rule for one in check(rows).failed] == ["everybody_is_served"]
