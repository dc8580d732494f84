"""Bad data and a failure of the validator give different results."""

import polars as pl
import pytest

from expectations import runner
from expectations.rules import (
    ExpectationSpec,
    IsTrue,
    NotNull,
    OneOf,
    Rule,
    TableRule,
    Within,
    at_least_rows,
    at_most_duplicates,
    at_most_share,
    reason_text,
)
from expectations.runner import judge

ROWS = pl.DataFrame({"id": ["a", "b", "b", None], "n": [1, 2, 3, 30], "source": ["x", "x", "x", "y"]})


def rule(test: NotNull | Within | OneOf | IsTrue) -> Rule:
    return Rule("rule", test, "It holds.", reason_text("it does not"))


def test_bad_data_fails_without_an_error() -> None:
    (result,) = judge("t", ROWS, [rule(Within("n", high=10))])
    assert (result.success, result.error, result.rows_broken, result.value) == (False, None, 1, 0.25)
    assert result.observed == "25 % (1 of 4)"
    assert not result.stops


def test_what_great_expectations_cannot_judge_is_an_error_not_a_failure_of_the_data() -> None:
    text_against_number = rule(Within("id", high=10))
    sound_rule = rule(NotNull("n"))
    unchecked, checked = judge("t", ROWS, [text_against_number, sound_rule])
    assert unchecked.error is not None
    assert checked.error is None
    assert checked.success


def test_an_expectation_that_does_not_exist_breaks_the_validator() -> None:
    unknown_expectation = TableRule(
        "odd", "It is odd.", ExpectationSpec("ExpectNothingOfTheKind", {}), ("n",), "nothing"
    )
    results = judge("t", ROWS, [unknown_expectation, rule(NotNull("n"))])
    assert all(result.error is not None for result in results), "a suite that cannot be built checks nothing"


def test_a_column_that_is_not_there_breaks_the_validator() -> None:
    (result,) = judge("t", ROWS, [rule(NotNull("absent"))])
    assert result.error is not None
    assert "absent" in result.error


def test_a_result_that_is_missing_breaks_the_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_validate", lambda *_: {})
    (result,) = judge("t", ROWS, [rule(NotNull("n"))])
    assert result.error is not None


@pytest.mark.parametrize(("share", "holds"), [(0.24, False), (0.25, True)])
def test_a_share_at_its_limit_is_allowed(share: float, holds: bool) -> None:
    (result,) = judge("t", ROWS, [at_most_share(share, "nulls", NotNull("id"), "Few nulls.", "id")])
    assert (result.success, result.stops, result.name) == (holds, True, "nulls (id)")


def test_rows_are_counted_by_source_and_in_total() -> None:
    rules = [
        at_least_rows("volume", 3, "", source="x"),
        at_least_rows("volume", 2, "", source="y"),
        at_least_rows("min_rows", 4, ""),
    ]
    results = judge("t", ROWS, rules)
    assert [(result.name, result.value, result.success) for result in results] == [
        ("volume (x)", 3, True),
        ("volume (y)", 1, False),
        ("min_rows", 4, True),
    ]
    (total,) = judge("t", ROWS, [at_least_rows("min_rows", 5, "")])
    assert (total.value, total.observed, total.allowed) == (4, "4 rows", "at least 5")


def test_duplicates_are_a_share_of_the_rows_with_a_key() -> None:
    (result,) = judge("t", ROWS, [at_most_duplicates(0.3, "id", "")])
    assert result.value == pytest.approx(1 / 3)
    assert (result.success, result.observed, result.allowed) == (False, "33.3 %", "at most 30 %")


def test_nothing_is_printed_or_logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    judge("t", ROWS, [rule(NotNull("n")), rule(Within("id", high=10))])
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
