"""What the gates report: results of rules, the conservation sum of a table, the verdict on a night.

All models are written to JSON and read from it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, computed_field

from artrec_core.columns import KEY, LINE, REASON, RECORD, RULE, SOURCE

EXAMPLES_PER_RULE = 20
MAX_EXAMPLE_CHARACTERS = 400

KEPT = "kept"
QUARANTINED = "quarantined"
MERGED = "merged"
OUTCOME = "outcome"


class ReportModel(BaseModel):
    """Base of the models. Computed fields are written to JSON too, and ignored when it is read."""

    model_config = ConfigDict(extra="ignore")


class Result(ReportModel):
    """The result of one rule.

    Attributes
    ----------
    rule : name of the rule
    about : the source or column, if there is one such rule for each of them
    says : the rule as a sentence
    expectation : name of the expectation in Great Expectations
    stops : whether a failure stops the night; otherwise it quarantines rows
    success : whether the rule holds; meaningless if there is an `error`
    value : observed share of rows (0 to 1) or number of rows
    observed, allowed : the value and the limit in words
    rows_broken : number of rows that break the rule
    error : why the validator itself failed, if it did
    examples : reasons of a few rows that break the rule
    """

    rule: str
    about: str = ""
    says: str
    expectation: str
    stops: bool
    success: bool
    value: float | None = None
    observed: str = ""
    allowed: str = ""
    rows_broken: int | None = None
    error: str | None = None
    examples: list[str] = []

    @property
    def name(self) -> str:
        """The rule and what it is about, as in `volume (tate)`."""
        return f"{self.rule} ({self.about})" if self.about else self.rule


def failed_results(results: Sequence[Result]) -> list[Result]:
    """The results that stop the night."""
    return [result for result in results if result.stops and result.error is None and not result.success]


def error_results(results: Sequence[Result]) -> list[Result]:
    """The results for which the validator itself failed: they say nothing about the data."""
    return [result for result in results if result.error is not None]


class Counts(ReportModel):
    """The conservation sum: received = kept + quarantined + merged."""

    received: int = 0
    kept: int = 0
    quarantined: int = 0
    merged: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def conserved(self) -> bool:
        """Whether the sum is right, so that no line was lost."""
        return self.received == self.kept + self.quarantined + self.merged


class Example(ReportModel):
    """A quarantined record; long texts are cut."""

    source: str
    line: int
    key: str | None
    rule: str
    reason: str
    record: str | None


class TableVerdict(ReportModel):
    """The result of the gate of one table."""

    table: str
    counts: Counts
    sources: dict[str, Counts] = {}
    quarantined: dict[str, int] = Field({}, description="number of rows by the first rule that each breaks")
    says: dict[str, str] = Field({}, description="rule -> its sentence")
    results: list[Result] = []
    examples: list[Example] = []

    @property
    def failed_rules(self) -> list[Result]:
        """The rules that stop the night."""
        return failed_results(self.results)

    @property
    def unchecked_rules(self) -> list[Result]:
        """The rules that could not be checked, because the validator itself failed."""
        return error_results(self.results)


class Validation(ReportModel):
    """The results of all gates of a night."""

    recipe: str
    run_date: str
    tables: list[TableVerdict]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """`validator broke`, `stopped` or `passed`."""
        if any(table.unchecked_rules or not table.counts.conserved for table in self.tables):
            return "validator broke"
        return "stopped" if any(table.failed_rules for table in self.tables) else "passed"

    def to_json(self) -> bytes:
        """The content of the note `validation.json`."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "Validation":
        """Read the content of a note `validation.json`."""
        return cls.model_validate_json(raw)


@dataclass(frozen=True)
class CheckedTable:
    """A table after its gate.

    Attributes
    ----------
    table : name of the table
    kept_rows : frame of SOURCE, LINE and the table's columns
    quarantine : frame of QUARANTINE
    results : results of all rules
    lines : frame of SOURCE and OUTCOME (kept, quarantined, merged), one row for each line
    lines_received : source -> number of lines, counted before mapping
    says : rule -> its sentence
    """

    table: str
    kept_rows: pl.DataFrame
    quarantine: pl.DataFrame
    results: list[Result]
    lines: pl.DataFrame
    lines_received: dict[str, int]
    says: dict[str, str]

    @property
    def failed_rules(self) -> list[Result]:
        """The rules that stop the night."""
        return failed_results(self.results)

    @property
    def unchecked_rules(self) -> list[Result]:
        """The rules that could not be checked, because the validator itself failed."""
        return error_results(self.results)

    def verdict(self) -> TableVerdict:
        """The table's part of the report and of `validation.json`."""
        rows_by_rule = self.quarantine.group_by(RULE).len().sort("len", RULE, descending=[True, False])
        rows_by_source = {
            (source, outcome): rows for source, outcome, rows in self.lines.group_by(SOURCE, OUTCOME).len().rows()
        }
        sources = {
            source: Counts(
                received=lines,
                **{outcome: rows_by_source.get((source, outcome), 0) for outcome in (KEPT, QUARANTINED, MERGED)},
            )
            for source, lines in sorted(self.lines_received.items())
        }
        rows_by_outcome = dict(self.lines.group_by(OUTCOME).len().rows())
        return TableVerdict(
            table=self.table,
            counts=Counts(received=sum(self.lines_received.values()), **rows_by_outcome),
            sources=sources,
            quarantined=dict(rows_by_rule.rows()),
            says=self.says,
            results=self.results,
            examples=examples_of(self.quarantine),
        )


def examples_of(quarantine: pl.DataFrame, per_rule: int = EXAMPLES_PER_RULE) -> list[Example]:
    """The first `per_rule` quarantined rows of each rule, sorted by rule, source and line."""
    first_rows = quarantine.sort(RULE, SOURCE, LINE).group_by(RULE, maintain_order=True).head(per_rule)
    return [
        Example(
            source=row[SOURCE] or "",
            line=row[LINE] if row[LINE] is not None else -1,
            key=_cut(row[KEY]),
            rule=row[RULE],
            reason=_cut(row[REASON]) or "",
            record=_cut(row[RECORD]),
        )
        for row in first_rows.iter_rows(named=True)
    ]


def describe_failure(tables: Sequence[TableVerdict]) -> str:
    """One line about the rules that stop the night: the first with its figures, and how many more there are."""
    failures = [(table.table, result) for table in tables for result in table.failed_rules]
    table, result = failures[0]
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"{table}: {result.name} is {result.observed}, allowed is {result.allowed}{more}"


def describe_break(tables: Sequence[TableVerdict]) -> str:
    """One line about the first fault of the validator itself."""
    for table in tables:
        counts = table.counts
        if not counts.conserved:
            parts = f"{counts.kept:,} kept + {counts.quarantined:,} quarantined + {counts.merged:,} merged"
            return f"{table.table}: {counts.received:,} lines were received, but {parts} were counted"
        for result in table.unchecked_rules:
            return f"{table.table}: {result.name}: {result.error}"
    return "no fault"


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_EXAMPLE_CHARACTERS:
        return text
    return text[: MAX_EXAMPLE_CHARACTERS - 1] + "…"
