"""What arrived, what was rejected and what the steps needed, from manifests and notes of a small lake."""

from pathlib import Path

import polars as pl
import pytest

from artrec_core.columns import QUARANTINE, RAW, conform
from artrec_core.lake import Lake
from expectations.verdict import Counts, Result, TableVerdict, Validation
from jobs.pages.intake import (
    AUDIT,
    Arrival,
    QuarantinedRows,
    arrivals,
    conservation_sums,
    read_checks,
    read_quarantine,
    step_summaries,
)
from jobs.step import StepManifest

DAY = "2026-03-30"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def arrive(lake: Lake, table: str, day: str, **rows_by_source: int) -> None:
    parts = {}
    for source, count in rows_by_source.items():
        rows = pl.DataFrame({"source": [source] * count, "line": list(range(count))})
        parts[source] = [lake.write_part(table, day, conform(rows, RAW))]
    lake.commit(table, day, parts, fingerprint="f", code_version="c")


def manifest(step: str, seconds: float = 1.0, **figures: object) -> StepManifest:
    return StepManifest(
        step=step,
        run_date=DAY,
        fingerprint="f",
        made_from={},
        figures=figures,
        seconds=seconds,
        peak_memory_mb=300,
        code_version="c",
    )


def test_arrivals_are_compared_with_the_latest_earlier_day(lake: Lake) -> None:
    arrive(lake, "raw_artworks", "2026-03-20", tate=9)
    arrive(lake, "raw_artworks", "2026-03-28", tate=2)
    arrive(lake, "raw_artworks", "2026-03-31", tate=7)
    arrive(lake, "raw_artworks", DAY, walters=4, tate=3)
    arrive(lake, "raw_events", DAY, app=5)
    assert arrivals(lake, DAY) == [
        Arrival("artworks", "tate", 3, 2),
        Arrival("artworks", "walters", 4, None),
        Arrival("events", "app", 5, None),
    ]


def test_nothing_arrived_on_an_unknown_day(lake: Lake) -> None:
    assert arrivals(lake, DAY) == []


def test_checks_name_the_rules_that_failed_and_those_that_were_not_checked(lake: Lake) -> None:
    rule = {"says": "a sentence", "expectation": "e", "stops": True}
    results = [
        Result(rule="volume", about="tate", success=False, observed="3 rows", allowed="at least 9 rows", **rule),
        Result(rule="fresh", success=False, error="division by zero", **rule),
        Result(rule="titled", success=True, **rule),
    ]
    counts = Counts(received=9, kept=4, quarantined=5)
    tables = [
        TableVerdict(table="artworks", counts=counts, quarantined={"titled": 2, "dated": 3}, says={"titled": "has a title"}, results=results),
        TableVerdict(table="events", counts=Counts(), quarantined={"placed": 3}),
    ]  # fmt: skip
    lake.write_note("validation.json", DAY, Validation(recipe="r", run_date=DAY, tables=tables).to_json())
    checks = read_checks(lake, DAY)
    assert checks is not None
    assert checks.verdict == "validator broke"
    assert [(gate.table, gate.rules) for gate in checks.gates] == [("artworks", 3), ("events", 0)]
    assert checks.gates[0].failed == ("volume (tate) is 3 rows, allowed is at least 9 rows",)
    assert checks.gates[0].unchecked == ("fresh: division by zero",)
    # The rule with the most rows comes first; at equal counts, the order is by table.
    assert checks.quarantined == (
        QuarantinedRows("artworks", "dated", "", 3),
        QuarantinedRows("events", "placed", "", 3),
        QuarantinedRows("artworks", "titled", "has a title", 2),
    )


def test_the_audit_has_a_note_of_its_own(lake: Lake) -> None:
    assert read_checks(lake, DAY) is None
    lake.write_note(AUDIT, DAY, Validation(recipe="r", run_date=DAY, tables=[]).to_json())
    assert read_checks(lake, DAY) is None
    audit = read_checks(lake, DAY, AUDIT)
    assert audit is not None
    assert audit.verdict == "passed"


def test_sums_leave_out_terms_of_zero_rows_but_not_the_kept_ones() -> None:
    histories = {"rows_in": 4, "kept": 0, "duplicates": 0, "later": 3, "without_consent": 1}
    sums = conservation_sums(
        manifest("prepare", histories=histories, people={"rows_in": 3, "kept": 2}, seconds_each=2.0)
    )
    assert [(table.table, table.rows_in, table.conserved) for table in sums] == [
        ("histories", 4, True),
        ("people", 3, False),
    ]
    assert sums[0].terms == (("kept", 0), ("after the end of the day", 3), ("of visitors who refuse consent", 1))


def test_there_are_no_sums_before_prepare() -> None:
    assert conservation_sums(None) == []


def test_the_quarantine_is_counted_by_table_and_rule(lake: Lake) -> None:
    assert read_quarantine(lake, DAY) == ()
    rows = [("events", "placed"), ("artworks", "titled"), ("events", "placed")]
    frame = conform(pl.DataFrame(rows, schema=["table", "rule"], orient="row"), QUARANTINE)
    parts = {"all": [lake.write_part("quarantine", DAY, frame)]}
    lake.commit("quarantine", DAY, parts, fingerprint="f", code_version="c")
    assert read_quarantine(lake, DAY) == (
        QuarantinedRows("events", "placed", "", 2),
        QuarantinedRows("artworks", "titled", "", 1),
    )


def test_steps_are_compared_with_the_longest() -> None:
    steps = step_summaries([manifest("crawl", 2.0, artworks=3), manifest("train", 8.0)])
    assert [(step.name, step.share, step.memory_mb) for step in steps] == [("crawl", 0.25, 300), ("train", 1.0, 300)]
    assert steps[0].figures == {"artworks": 3}
    assert step_summaries([]) == []
    # A night of steps that took no time at all has no longest step.
    assert [step.share for step in step_summaries([manifest("crawl", 0.0)])] == [0.0]
