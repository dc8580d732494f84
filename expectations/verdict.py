"""What the gates found: results of rules, a table's conservation sum, a night's verdict. All of it goes to JSON and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, computed_field

from artrec_core.columns import KEY, LINE, REASON, RECORD, RULE, SOURCE

EXAMPLES_A_RULE = 20
EXAMPLE_CHARACTERS = 400

KEPT = "kept"
QUARANTINED = "quarantined"
MERGED = "merged"
OUTCOME = "outcome"


class Finding(BaseModel):
    """What goes to JSON and back; what is worked out is written too, and left aside when it is read."""

    model_config = ConfigDict(extra="ignore")


class Result(Finding):
    """What Great Expectations said of one rule.

    `stops` tells a table rule, which stops the night, from a row rule, which quarantines. `value` is the observed share
    of rows (0 to 1) or count. With an `error` the validator itself broke, and `success` says nothing.
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
        """The rule and what it is about, `volume (tate)`."""
        return f"{self.rule} ({self.about})" if self.about else self.rule


def failed(results: Sequence[Result]) -> list[Result]:
    """The results that stop the night."""
    return [one for one in results if one.stops and one.error is None and not one.success]


def broken(results: Sequence[Result]) -> list[Result]:
    """The results that say nothing, because the validator itself failed."""
    return [one for one in results if one.error is not None]


class Counts(Finding):
    """The conservation sum: received = kept + quarantined + merged."""

    received: int = 0
    kept: int = 0
    quarantined: int = 0
    merged: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def conserved(self) -> bool:
        """Whether every line received is accounted for."""
        return self.received == self.kept + self.quarantined + self.merged


class Example(Finding):
    """A quarantined record, cut for reading."""

    source: str
    line: int
    key: str | None
    rule: str
    reason: str
    record: str | None


class TableVerdict(Finding):
    """One table through its gate."""

    table: str
    counts: Counts
    sources: dict[str, Counts] = {}
    quarantined: dict[str, int] = Field({}, description="rows by the first rule each broke")
    says: dict[str, str] = Field({}, description="what each rule says, by its name")
    results: list[Result] = []
    examples: list[Example] = []

    @property
    def failed(self) -> list[Result]:
        """The table rules that were broken."""
        return failed(self.results)

    @property
    def broken(self) -> list[Result]:
        """The rules that could not be judged."""
        return broken(self.results)


class Validation(Finding):
    """A night through its gates."""

    recipe: str
    run_date: str
    tables: list[TableVerdict]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """`validator broke`, `stopped` or `passed`."""
        if any(table.broken or not table.counts.conserved for table in self.tables):
            return "validator broke"
        return "stopped" if any(table.failed for table in self.tables) else "passed"

    def to_json(self) -> bytes:
        """For the note `validation.json`."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "Validation":
        """The note `validation.json` read again."""
        return cls.model_validate_json(raw)


@dataclass(frozen=True)
class Checked:
    """A table after its gate: the rows kept (with SOURCE and LINE), the rows quarantined, and what the rules found.

    `lines` holds SOURCE and OUTCOME (kept, quarantined, merged), one row for each line accounted for; `received` are the
    lines a source that came in, counted before they were mapped.
    """

    table: str
    kept: pl.DataFrame
    quarantine: pl.DataFrame
    results: list[Result]
    lines: pl.DataFrame
    received: dict[str, int]
    says: dict[str, str]

    @property
    def failed(self) -> list[Result]:
        """The table rules that were broken."""
        return failed(self.results)

    @property
    def broken(self) -> list[Result]:
        """The rules that could not be judged."""
        return broken(self.results)

    def verdict(self) -> TableVerdict:
        """What the report and `validation.json` say of the table."""
        per_rule = self.quarantine.group_by(RULE).len().sort("len", RULE, descending=[True, False])
        by_source = {
            (source, outcome): rows for source, outcome, rows in self.lines.group_by(SOURCE, OUTCOME).len().rows()
        }
        sources = {
            source: Counts(
                received=lines,
                **{outcome: by_source.get((source, outcome), 0) for outcome in (KEPT, QUARANTINED, MERGED)},
            )
            for source, lines in sorted(self.received.items())
        }
        outcomes = dict(self.lines.group_by(OUTCOME).len().rows())
        return TableVerdict(
            table=self.table,
            counts=Counts(received=sum(self.received.values()), **outcomes),
            sources=sources,
            quarantined=dict(per_rule.rows()),
            says=self.says,
            results=self.results,
            examples=examples_of(self.quarantine),
        )


def examples_of(quarantine: pl.DataFrame, a_rule: int = EXAMPLES_A_RULE) -> list[Example]:
    """The first few quarantined rows of each rule, by source and line."""
    few = quarantine.sort(RULE, SOURCE, LINE).group_by(RULE, maintain_order=True).head(a_rule)
    return [
        Example(
            source=row[SOURCE] or "",
            line=row[LINE] if row[LINE] is not None else -1,
            key=_cut(row[KEY]),
            rule=row[RULE],
            reason=_cut(row[REASON]) or "",
            record=_cut(row[RECORD]),
        )
        for row in few.iter_rows(named=True)
    ]


def first_failure(tables: Sequence[TableVerdict]) -> str:
    """One line on the table rules that stop the night: the first with its figures, how many more."""
    failed = [(table.table, one) for table in tables for one in table.failed]
    table, one = failed[0]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{table}: {one.name} is {one.observed}, allowed is {one.allowed}{more}"


def first_break(tables: Sequence[TableVerdict]) -> str:
    """One line on why the validator cannot be trusted."""
    for table in tables:
        counts = table.counts
        if not counts.conserved:
            parts = f"{counts.kept:,} kept + {counts.quarantined:,} quarantined + {counts.merged:,} merged"
            return f"{table.table}: {counts.received:,} lines were received, {parts} are accounted for"
        for one in table.broken:
            return f"{table.table}: {one.name}: {one.error}"
    return "nothing broke"


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= EXAMPLE_CHARACTERS:
        return text
    return text[: EXAMPLE_CHARACTERS - 1] + "…"
