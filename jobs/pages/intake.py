"""What came in, what the gates threw out, and what each step took."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from artrec_core.columns import RULE, TABLE
from artrec_core.lake import Lake
from expectations.verdict import KEPT, Counts, Validation
from jobs.step import StepManifest

RAW_TABLES = ("raw_artworks", "raw_events", "raw_users")
# What `prepare` may do with a row -> how the page says it.
TERMS = {
    "kept": "kept",
    "duplicates": "known better from a later record",
    "later": "after the end of the day",
    "without_consent": "of people who refuse consent",
    "over_max_history": "older than a history reaches back",
}
VALIDATION = "validation.json"
AUDIT = "audit.json"


@dataclass(frozen=True)
class Arrival:
    """What a source brought for a day, and on the latest day before (None: it was not there)."""

    table: str
    source: str
    rows: int
    before: int | None


@dataclass(frozen=True)
class Thrown:
    """Rows of a table that one rule threw out."""

    table: str
    rule: str
    says: str
    rows: int


@dataclass(frozen=True)
class Gate:
    """A table through its gate; `rules` counts what Great Expectations held it to, `failed` names what it broke."""

    table: str
    counts: Counts
    rules: int
    failed: tuple[str, ...]
    broken: tuple[str, ...]


@dataclass(frozen=True)
class Sum:
    """What `prepare` made of a table's checked rows, of all nights so far: they are its `terms` together."""

    table: str
    rows_in: int
    terms: tuple[tuple[str, int], ...]

    @property
    def conserved(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows_in == sum(rows for _, rows in self.terms)


@dataclass(frozen=True)
class Checks:
    """The night through its gates: the conservation sums, and what was thrown out, the most first."""

    verdict: str
    gates: tuple[Gate, ...]
    thrown: tuple[Thrown, ...]


@dataclass(frozen=True)
class StepRow:
    """A step of the night as its manifest tells it; `share` sets its seconds against the longest step's."""

    name: str
    seconds: float
    share: float
    memory_mb: int
    unchanged: bool
    figures: dict[str, Any]


def arrivals(lake: Lake, day: str) -> list[Arrival]:
    """Rows a source, in the tables' order and by name."""
    found = []
    for table in RAW_TABLES:
        manifest = lake.find_manifest(table, day)
        if manifest is None:
            continue
        earlier = [one for one in lake.days(table, day) if one < day]
        before = lake.manifest(table, earlier[-1]).writers if earlier else {}
        for source in sorted(manifest.writers):
            rows = sum(part.rows for part in manifest.writers[source])
            then = sum(part.rows for part in before[source]) if source in before else None
            found.append(Arrival(table.removeprefix("raw_"), source, rows, then))
    return found


def checks(lake: Lake, day: str, note: str = VALIDATION) -> Checks | None:
    """What `validate` (or the audit of `publish`) noted of the night; None where it left no note."""
    raw = lake.read_note(note, day)
    if raw is None:
        return None
    night = Validation.from_json(raw)
    gates = tuple(
        Gate(
            table=table.table,
            counts=table.counts,
            rules=len(table.results),
            failed=tuple(f"{one.name} is {one.observed}, allowed is {one.allowed}" for one in table.failed_rules),
            broken=tuple(f"{one.name}: {one.error}" for one in table.unchecked_rules),
        )
        for table in night.tables
    )
    thrown = [
        Thrown(table.table, rule, table.says.get(rule, ""), rows)
        for table in night.tables
        for rule, rows in table.quarantined.items()
    ]
    return Checks(night.verdict, gates, _most_first(thrown))


def sums(prepared: StepManifest | None) -> list[Sum]:
    """The conservation sums of `prepare`, in the order it tells them; none where it left no figures."""
    figures = {} if prepared is None else prepared.figures
    return [
        Sum(
            table,
            rows["rows_in"],
            tuple((said, rows.get(name, 0)) for name, said in TERMS.items() if rows.get(name) or name == KEPT),
        )
        for table, rows in figures.items()
        if isinstance(rows, dict) and "rows_in" in rows
    ]


def quarantine(lake: Lake, day: str) -> tuple[Thrown, ...]:
    """What the table `quarantine` holds, for a night that has no note of its validation."""
    counts = lake.read_or_empty("quarantine", day).group_by(TABLE, RULE).len()
    return _most_first(Thrown(table or "", rule or "", "", rows) for table, rule, rows in counts.iter_rows())


def step_rows(manifests: Iterable[StepManifest]) -> list[StepRow]:
    """The steps in their order, with the longest as the measure."""
    done = list(manifests)
    longest = max((one.seconds for one in done), default=0.0) or 1.0
    return [
        StepRow(one.step, one.seconds, one.seconds / longest, one.peak_memory_mb, one.unchanged, one.figures)
        for one in done
    ]


def _most_first(thrown: Iterable[Thrown]) -> tuple[Thrown, ...]:
    return tuple(sorted(thrown, key=lambda one: (-one.rows, one.table, one.rule)))
