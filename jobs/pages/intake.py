"""What arrived, what the gates put into the quarantine, and what each step needed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from artrec_core.columns import RULE, TABLE
from artrec_core.lake import Lake
from expectations.verdict import KEPT, Counts, Validation
from jobs.step import StepManifest

RAW_TABLES = ("raw_artworks", "raw_events", "raw_users")
# What `prepare` does with a row -> how the page calls it.
OUTCOMES = {
    "kept": "kept",
    "duplicates": "replaced by a later record",
    "later": "after the end of the day",
    "without_consent": "of visitors who refuse consent",
    "over_max_history": "older than what a history keeps",
}
VALIDATION = "validation.json"
AUDIT = "audit.json"


@dataclass(frozen=True)
class Arrival:
    """Rows that a source sent for a day. `rows_before` are those of the latest day before, None if it sent nothing."""

    table: str
    source: str
    rows: int
    rows_before: int | None


@dataclass(frozen=True)
class QuarantinedRows:
    """Number of rows of a table that one rule put into the quarantine. `sentence` is the rule in words, or empty."""

    table: str
    rule: str
    sentence: str
    rows: int


@dataclass(frozen=True)
class Gate:
    """The gate of one table.

    Attributes
    ----------
    table : name of the table
    counts : the conservation sum
    rules : number of rules that were checked
    failed : rules that stopped the night, as sentences
    unchecked : rules for which the validator itself failed, as sentences
    """

    table: str
    counts: Counts
    rules: int
    failed: tuple[str, ...]
    unchecked: tuple[str, ...]


@dataclass(frozen=True)
class ConservationSum:
    """What `prepare` did with the checked rows of all nights so far: `rows_in` is the sum of the `terms`."""

    table: str
    rows_in: int
    terms: tuple[tuple[str, int], ...]

    @property
    def conserved(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows_in == sum(rows for _, rows in self.terms)


@dataclass(frozen=True)
class Checks:
    """The gates of a night. Of `quarantined`, the rules with the most rows come first."""

    verdict: str
    gates: tuple[Gate, ...]
    quarantined: tuple[QuarantinedRows, ...]


@dataclass(frozen=True)
class StepSummary:
    """A step of the night. `share` is its time divided by the time of the longest step."""

    name: str
    seconds: float
    share: float
    memory_mb: int
    unchanged: bool
    figures: dict[str, Any]


def arrivals(lake: Lake, day: str) -> list[Arrival]:
    """What each source sent, in the order of the tables and by name."""
    rows = []
    for table in RAW_TABLES:
        manifest = lake.find_manifest(table, day)
        if manifest is None:
            continue
        earlier_days = [earlier for earlier in lake.days(table, day) if earlier < day]
        writers_before = lake.manifest(table, earlier_days[-1]).writers if earlier_days else {}
        for source in sorted(manifest.writers):
            row_count = sum(part.rows for part in manifest.writers[source])
            count_before = sum(part.rows for part in writers_before[source]) if source in writers_before else None
            rows.append(Arrival(table.removeprefix("raw_"), source, row_count, count_before))
    return rows


def read_checks(lake: Lake, day: str, note: str = VALIDATION) -> Checks | None:
    """What `validate` noted of the night (or `publish`, for the note AUDIT); None if there is no note."""
    raw = lake.read_note(note, day)
    if raw is None:
        return None
    validation = Validation.from_json(raw)
    gates = tuple(
        Gate(
            table=table.table,
            counts=table.counts,
            rules=len(table.results),
            failed=tuple(
                f"{result.name} is {result.observed}, allowed is {result.allowed}" for result in table.failed_rules
            ),
            unchecked=tuple(f"{result.name}: {result.error}" for result in table.unchecked_rules),
        )
        for table in validation.tables
    )
    quarantined = [
        QuarantinedRows(table.table, rule, table.says.get(rule, ""), rows)
        for table in validation.tables
        for rule, rows in table.quarantined.items()
    ]
    return Checks(validation.verdict, gates, _sort_by_rows(quarantined))


def conservation_sums(prepared: StepManifest | None) -> list[ConservationSum]:
    """The conservation sums of `prepare`, in the order of its figures; none if it left no figures."""
    figures = {} if prepared is None else prepared.figures
    return [
        ConservationSum(
            table,
            counts["rows_in"],
            tuple((text, counts.get(name, 0)) for name, text in OUTCOMES.items() if counts.get(name) or name == KEPT),
        )
        for table, counts in figures.items()
        if isinstance(counts, dict) and "rows_in" in counts
    ]


def read_quarantine(lake: Lake, day: str) -> tuple[QuarantinedRows, ...]:
    """Count the table `quarantine`, for a night without a note of its validation."""
    counts = lake.read_or_empty("quarantine", day).group_by(TABLE, RULE).len()
    return _sort_by_rows(QuarantinedRows(table or "", rule or "", "", rows) for table, rule, rows in counts.iter_rows())


def step_summaries(manifests: Iterable[StepManifest]) -> list[StepSummary]:
    """The steps in their order."""
    manifests = list(manifests)
    longest = max((manifest.seconds for manifest in manifests), default=0.0) or 1.0
    return [
        StepSummary(
            name=manifest.step,
            seconds=manifest.seconds,
            share=manifest.seconds / longest,
            memory_mb=manifest.peak_memory_mb,
            unchanged=manifest.unchanged,
            figures=manifest.figures,
        )
        for manifest in manifests
    ]


def _sort_by_rows(quarantined: Iterable[QuarantinedRows]) -> tuple[QuarantinedRows, ...]:
    return tuple(sorted(quarantined, key=lambda group: (-group.rows, group.table, group.rule)))
