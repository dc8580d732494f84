"""Bad data and a broken validator are two things."""

import polars as pl
import pytest

from expectations import runner
from expectations.rules import (
    Expected,
    Holds,
    OneOf,
    Present,
    Rule,
    TableRule,
    Within,
    at_most,
    enough_rows,
    few_duplicates,
    say,
)
from expectations.runner import judge

ROWS = pl.DataFrame({"id": ["a", "b", "b", None], "n": [1, 2, 3, 30], "source": ["x", "x", "x", "y"]})


def rule(test: Present | Within | OneOf | Holds) -> Rule:
    return Rule("rule", test, "It holds.", say("it does not"))


def test_bad_data_fails_without_an_error() -> None:
    (found,) = judge("t", ROWS, [rule(Within("n", high=10))])
    assert (found.success, found.error, found.rows_broken, found.value) == (False, None, 1, 0.25)
    assert found.observed == "25 % (1 of 4)"
    assert not found.stops


def test_what_great_expectations_cannot_judge_is_an_error_not_a_failure_of_the_data() -> None:
    text_against_number = rule(Within("id", high=10))
    fine = rule(Present("n"))
    broken, judged = judge("t", ROWS, [text_against_number, fine])
    assert broken.error is not None
    assert judged.error is None
    assert judged.success


def test_an_expectation_that_does_not_exist_breaks_the_validator() -> None:
    unknown = TableRule("odd", "It is odd.", Expected("ExpectNothingOfTheKind", {}), ("n",), "nothing")
    results = judge("t", ROWS, [unknown, rule(Present("n"))])
    assert all(one.error is not None for one in results), "a suite that cannot be built judges nothing"


def test_a_column_that_is_not_there_breaks_the_validator() -> None:
    (found,) = judge("t", ROWS, [rule(Present("absent"))])
    assert found.error is not None
    assert "absent" in found.error


def test_a_result_that_is_missing_breaks_the_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_validate", lambda *_: {})
    (found,) = judge("t", ROWS, [rule(Present("n"))])
    assert found.error is not None


@pytest.mark.parametrize(("share", "holds"), [(0.24, False), (0.25, True)])
def test_a_share_at_its_limit_is_allowed(share: float, holds: bool) -> None:
    (found,) = judge("t", ROWS, [at_most(share, "nulls", Present("id"), "Few nulls.", "id")])
    assert (found.success, found.stops, found.name) == (holds, True, "nulls (id)")


def test_rows_are_counted_a_source_and_in_all() -> None:
    rules = [
        enough_rows("volume", 3, "", source="x"),
        enough_rows("volume", 2, "", source="y"),
        enough_rows("min_rows", 4, ""),
    ]
    found = judge("t", ROWS, rules)
    assert [(one.name, one.value, one.success) for one in found] == [
        ("volume (x)", 3, True),
        ("volume (y)", 1, False),
        ("min_rows", 4, True),
    ]
    (alone,) = judge("t", ROWS, [enough_rows("min_rows", 5, "")])
    assert (alone.value, alone.observed, alone.allowed) == (4, "4 rows", "at least 5")


def test_duplicates_are_a_share_of_the_rows_with_a_key() -> None:
    (found,) = judge("t", ROWS, [few_duplicates(0.3, "id", "")])
    assert found.value == pytest.approx(1 / 3)
    assert (found.success, found.observed, found.allowed) == (False, "33.3 %", "at most 30 %")


def test_nothing_is_printed_or_logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    judge("t", ROWS, [rule(Present("n")), rule(Within("id", high=10))])
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
