"""What a gate reports: the conservation sum, the verdict on a night, examples, and the lines for the log."""

from typing import Any

import polars as pl
import pytest

from artrec_core.columns import QUARANTINE, SOURCE, conform
from expectations.verdict import (
    MAX_EXAMPLE_CHARACTERS,
    OUTCOME,
    CheckedTable,
    Counts,
    Result,
    TableVerdict,
    Validation,
    describe_break,
    describe_failure,
    examples_of,
)


def result(rule: str, **changes: Any) -> Result:
    defaults = {"says": "It holds.", "expectation": "Expect", "stops": True, "success": True}
    return Result.model_validate({"rule": rule, **defaults, **changes})


GOOD = result("rows")
ROW_RULE = result("year", stops=False, success=False)
FAILED = result("volume", about="tate", success=False, observed="3 rows", allowed="at least 10")
BROKEN = result("dates", success=False, error="ValueError: no column")


def table(*results: Result, **counts: int) -> TableVerdict:
    return TableVerdict(table="artworks", counts=Counts(**counts), results=list(results))


def validation(*tables: TableVerdict) -> Validation:
    return Validation(recipe="demo", run_date="2026-03-30", tables=list(tables))


@pytest.mark.parametrize(
    ("verdict", "tables"),
    [
        ("passed", [table(GOOD, ROW_RULE, received=3, kept=1, quarantined=1, merged=1)]),
        ("stopped", [table(GOOD), table(FAILED)]),
        ("validator broke", [table(FAILED), table(BROKEN)]),
        ("validator broke", [table(GOOD, received=3, kept=1, merged=1)]),  # a line was lost
    ],
)
def test_a_night_passes_is_stopped_by_its_data_or_finds_the_validator_broken(
    verdict: str, tables: list[TableVerdict]
) -> None:
    assert validation(*tables).verdict == verdict


def test_a_rule_that_could_not_be_checked_is_no_failed_rule() -> None:
    verdict = table(GOOD, ROW_RULE, FAILED, BROKEN)
    assert verdict.failed_rules == [FAILED]
    assert verdict.unchecked_rules == [BROKEN]


def test_a_validation_is_read_back_as_it_was_written() -> None:
    written = validation(table(FAILED, received=2, kept=2))
    assert b'"verdict": "stopped"' in written.to_json()
    assert Validation.from_json(written.to_json()) == written


def test_a_failure_is_one_line_with_the_figures_of_the_first_rule() -> None:
    assert describe_failure([table(GOOD), table(FAILED)]) == "artworks: volume (tate) is 3 rows, allowed is at least 10"
    assert describe_failure([table(FAILED, FAILED), table(FAILED)]).endswith("at least 10 (and 2 more)")


def test_a_break_is_one_line_about_lost_lines_or_the_validators_error() -> None:
    lost = table(received=1200, kept=1000, quarantined=100, merged=99)
    assert describe_break([table(GOOD), lost]) == (
        "artworks: 1,200 lines were received, but 1,000 kept + 100 quarantined + 99 merged were counted"
    )
    assert describe_break([table(GOOD, BROKEN)]) == "artworks: dates: ValueError: no column"
    assert describe_break([table(FAILED)]) == "no fault"


def quarantine(*rows: dict[str, Any]) -> pl.DataFrame:
    return conform(pl.DataFrame(list(rows), infer_schema_length=None), QUARANTINE)


def test_examples_are_the_first_rows_of_each_rule_with_long_texts_cut() -> None:
    rows = [{"source": "tate", "line": line, "rule": "year", "reason": "no", "record": "x" * 500} for line in (3, 1, 2)]
    rows.append({"source": None, "line": None, "rule": "json", "reason": None, "record": None})
    json_example, *year_examples = examples_of(quarantine(*rows), per_rule=2)
    assert (json_example.source, json_example.line, json_example.reason) == ("", -1, "")
    assert [example.line for example in year_examples] == [1, 2]
    assert year_examples[0].record == "x" * (MAX_EXAMPLE_CHARACTERS - 1) + "…"


def test_a_checked_table_counts_its_lines_by_source_and_outcome() -> None:
    outcomes = [("a", "kept"), ("a", "kept"), ("a", "merged"), ("b", "quarantined")]
    checked = CheckedTable(
        table="artworks",
        kept_rows=pl.DataFrame(),
        quarantine=quarantine({"source": "b", "line": 1, "rule": "year", "reason": "no"}),
        results=[FAILED],
        lines=pl.DataFrame(outcomes, schema=[SOURCE, OUTCOME], orient="row"),
        lines_received={"b": 2, "a": 3},
        says={"year": "It holds."},
    )
    verdict = checked.verdict()
    assert verdict.counts == Counts(received=5, kept=2, quarantined=1, merged=1)
    assert not verdict.counts.conserved  # one line of b was lost
    assert list(verdict.sources) == ["a", "b"]
    assert verdict.sources["a"] == Counts(received=3, kept=2, merged=1)
    assert verdict.quarantined == {"year": 1}
    assert checked.failed_rules == [FAILED]
