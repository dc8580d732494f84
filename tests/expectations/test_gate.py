"""The gate of a table: what is kept, merged and quarantined, and when a table rule fails."""

import polars as pl
import pytest

from artrec_core.columns import KEY, LINE, QUARANTINE, REASON, RULE, SOURCE, conform, empty_frame
from expectations import gate
from expectations.gate import check
from expectations.rules import NotNull, Rule, TableRule, Within, at_least_rows, reason_text
from expectations.runner import judge
from expectations.verdict import CheckedTable, Counts, Result

# Line 2 breaks both rules, line 4 one. Lines 1 and 3 have the same id; source `b` may use it too.
ROWS = pl.DataFrame(
    {
        SOURCE: ["a", "a", "a", "a", "b"],
        LINE: [1, 2, 3, 4, 1],
        "id": ["x", "y", "x", "z", "x"],
        "n": [1, 99, 3, 99, 5],
        "title": ["old", None, "new", "high", "other"],
    }
)
RULES = [
    Rule("low", Within("n", high=10), "n is low.", reason_text("n is too high")),
    Rule("titled", NotNull("title"), "It has a title.", reason_text("it has no title")),
]


def checked(rows: pl.DataFrame = ROWS, *table_rules: TableRule, **changes: object) -> CheckedTable:
    arguments: dict[str, object] = {"unmapped": empty_frame(QUARANTINE), "max_quarantine_share": 0.5, **changes}
    return check("table", rows, rows, key="id", rules=RULES, table_rules=table_rules, **arguments)  # type: ignore[arg-type]


def test_of_rows_with_the_same_key_in_a_source_the_last_line_is_kept() -> None:
    assert checked().kept_rows.select(SOURCE, LINE, "title").rows() == [("a", 3, "new"), ("b", 1, "other")]


def test_a_row_is_quarantined_under_the_first_rule_that_it_breaks() -> None:
    assert checked().quarantine.select(LINE, KEY, RULE, REASON).rows() == [
        (2, "y", "low", "n is too high; it also breaks titled"),
        (4, "z", "low", "n is too high"),
    ]


def test_every_line_is_kept_merged_or_quarantined() -> None:
    verdict = checked().verdict()
    assert verdict.counts == Counts(received=5, kept=2, quarantined=2, merged=1)
    assert verdict.counts.conserved
    assert verdict.sources["b"] == Counts(received=1, kept=1)


def test_lines_that_could_not_be_mapped_are_quarantined_and_counted() -> None:
    unmapped = conform(pl.DataFrame({SOURCE: ["b"], LINE: [2], RULE: ["json"], REASON: ["no JSON"]}), QUARANTINE)
    result = checked(unmapped=unmapped)
    assert result.quarantine.select(SOURCE, RULE).rows() == [("a", "low"), ("a", "low"), ("b", "json")]
    assert result.verdict().sources["b"] == Counts(received=2, kept=1, quarantined=1)


def test_a_line_that_was_received_but_is_in_no_frame_is_not_conserved() -> None:
    assert not checked(lines_received={"a": 5, "b": 1}).verdict().counts.conserved


@pytest.mark.parametrize(("share", "failed"), [(0.4, []), (0.39, ["quarantine_share"])])
def test_the_share_of_quarantined_lines_has_a_limit(share: float, failed: list[str]) -> None:
    assert [result.rule for result in checked(max_quarantine_share=share).failed_rules] == failed


def test_a_table_rule_that_fails_stops_the_night() -> None:
    results = checked(ROWS, at_least_rows("min_rows", 6, "There are enough rows.")).failed_rules
    assert [(result.rule, result.observed) for result in results] == [("min_rows", "5 rows")]


def test_a_table_without_rows_is_checked_too() -> None:
    empty = checked(ROWS.clear(), at_least_rows("min_rows", 1, "There are enough rows."))
    assert empty.kept_rows.height == empty.quarantine.height == 0
    assert [result.rule for result in empty.failed_rules] == ["min_rows"]
    assert empty.unchecked_rules == []


def test_a_count_that_differs_from_the_quarantine_is_an_error_of_the_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    def miscount(*arguments: object, **options: object) -> list[Result]:
        results = judge(*arguments, **options)  # type: ignore[arg-type]
        return [each.model_copy(update={"rows_broken": 7}) if each.rule == "low" else each for each in results]

    monkeypatch.setattr(gate, "judge", miscount)
    (unchecked,) = checked().unchecked_rules
    assert unchecked.error == "Great Expectations counts 7 rows that break the rule, but the quarantine counts 2"
