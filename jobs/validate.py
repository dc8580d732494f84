"""`validate`: raw records become artworks, events and users, or go to quarantine with a reason."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import ceil
from typing import Any

import polars as pl

from artrec_core.columns import (
    ARTWORK,
    ARTWORK_ID,
    CONSENT,
    CONSENTS,
    EVENT,
    LINE,
    QUARANTINE,
    RECORD,
    SOURCE,
    USER,
    USER_ID,
    Schema,
    conform,
    empty_frame,
)
from artrec_core.config import EventSource, Recipe, UserSource
from artrec_core.data.mapped_rows import MappedRows
from artrec_core.data.sources import to_artworks
from artrec_core.errors import ArtrecError, GateFailed, ValidatorBroke
from artrec_core.lake import Manifest, Part
from expectations.report import validation_page
from expectations.verdict import CheckedTable, TableVerdict, Validation, describe_break, describe_failure
from jobs.progress import progress
from jobs.step import Figures, Night, Step, main

PART_ROWS = 200_000
RECEIVED = "received"
STOPPED_QUARANTINE = "quarantine-stopped.parquet"
VERDICTS, PAGE = "validation.json", "validation.html"

# Modules that import Great Expectations (5 s) or SciPy (0.4 s) are imported where they are used, because `artrec --help`
# needs neither.


@dataclass(frozen=True)
class TableNames:
    """The lake's names of one kind of record: the raw table, the checked table, and the columns of the checked table."""

    raw_table: str
    checked_table: str
    schema: Schema


# The name that a table has in the gates -> its names in the lake.
TABLES = {
    "artworks": TableNames("raw_artworks", "artworks_checked", ARTWORK),
    "events": TableNames("raw_events", "events_checked", EVENT),
    "users": TableNames("raw_users", "users_checked", USER),
}


@dataclass(frozen=True)
class MappedTable:
    """A raw table after mapping.

    Attributes
    ----------
    rows : SOURCE, LINE and the table's columns
    unmapped : QUARANTINE, the records that could not be mapped
    lines_received : number of lines by source
    min_lines : the fewest lines that each source must bring
    """

    rows: pl.DataFrame
    unmapped: pl.DataFrame
    lines_received: dict[str, int]
    min_lines: dict[str, int]


def inputs(night: Night) -> dict[str, str]:
    """Digests of the night's raw tables, and of the earlier checked tables and catalogue that they are compared with."""
    made_from = {}
    for table, sources in _sources(night.recipe).items():
        if not sources:
            continue
        names = TABLES[table]
        made_from[f"{names.raw_table}@{night.day}"] = night.lake.manifest(names.raw_table, night.day).digest
        previous = _previous_manifest(night, names.checked_table)
        if previous is not None:
            made_from[f"{names.checked_table}@{previous.run_date}"] = previous.digest
    catalogue = _previous_manifest(night, "catalogue")
    if catalogue is not None:
        made_from[f"catalogue@{catalogue.run_date}"] = catalogue.digest
    return made_from


def run(night: Night) -> Figures:
    """Check the night's tables and commit them.

    Raises
    ------
    GateFailed
        If a rule of a table failed. The report and the quarantine are written before.
    ValidatorBroke
        If the validator itself failed. The report and the quarantine are written before.
    """
    checked_tables = {
        table: replace(checks, quarantine=_with_records(night, table, checks.quarantine))
        for table, checks in _check_tables(night).items()
    }
    quarantine = pl.concat([checks.quarantine for checks in checked_tables.values()])
    verdicts = [checks.verdict() for checks in checked_tables.values()]
    report = _write_report(night, verdicts)
    _stop_unless_sound(night, verdicts, quarantine, report)
    consents = _consents(night, checked_tables["users"].quarantine) if "users" in checked_tables else {}
    _commit(night, checked_tables, consents)
    return _figures(verdicts)


def _check_tables(night: Night) -> dict[str, CheckedTable]:
    from expectations.artworks import check_artworks

    rules, sources = night.recipe.rules, _sources(night.recipe)
    mapped_table = _map_table(night, "artworks", sources["artworks"], to_artworks)
    artworks = check_artworks(
        mapped_table.rows,
        mapped_table.unmapped,
        rules,
        night.day,
        min_lines=mapped_table.min_lines,
        lines_received=mapped_table.lines_received,
    )
    checked_tables = {"artworks": artworks}
    if sources["events"]:
        from artrec_core.data.events import to_events
        from expectations.events import check_events

        known_artworks = _known_artworks(night, artworks)
        mapped_table = _map_table(night, "events", sources["events"], to_events)
        checked_tables["events"] = check_events(
            mapped_table.rows,
            mapped_table.unmapped,
            rules,
            night.day,
            artworks=known_artworks,
            min_lines=mapped_table.min_lines,
            lines_received=mapped_table.lines_received,
        )
    if sources["users"]:
        from artrec_core.data.users import to_users
        from expectations.users import check_users

        mapped_table = _map_table(night, "users", sources["users"], to_users)
        checked_tables["users"] = check_users(
            mapped_table.rows,
            mapped_table.unmapped,
            rules,
            min_lines=mapped_table.min_lines,
            lines_received=mapped_table.lines_received,
        )
    return checked_tables


def _sources(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The sources of each table by name; a simulated event source also brings users, with their interests."""
    users: list[EventSource | UserSource] = [*recipe.simulated_sources, *recipe.users]
    return {
        "artworks": {source.name: source for source in recipe.sources},
        "events": {source.name: source for source in recipe.events},
        "users": {source.name: source for source in users},
    }


def _map_table(
    night: Night, table: str, sources: Mapping[str, Any], to_rows: Callable[[Any, pl.DataFrame], MappedRows]
) -> MappedTable:
    """Map a raw table part by part, so that its raw records are never all in memory."""
    names = TABLES[table]
    manifest = night.lake.manifest(names.raw_table, night.day)
    lines_received: dict[str, int] = {}
    rows = [empty_frame({SOURCE: pl.String(), LINE: pl.Int64(), **names.schema})]
    unmapped = [empty_frame(QUARANTINE)]
    with progress(f"mapping {table}", manifest.rows) as advance:
        for part in night.lake.iterate(names.raw_table, night.day):
            for (source_name,), records in part.group_by([SOURCE], maintain_order=True):
                source = _source(night, names.raw_table, sources, str(source_name))
                mapped_rows = to_rows(source, records)
                with_source = mapped_rows.rows.with_columns(pl.lit(source_name).alias(SOURCE))
                rows.append(conform(with_source, dict(rows[0].schema)))
                unmapped.append(conform(mapped_rows.unmapped, QUARANTINE))
                lines_received[source.name] = lines_received.get(source.name, 0) + records.height
            advance(part.height)
    min_lines = _min_lines(night, names.checked_table, sources, lines_received)
    return MappedTable(pl.concat(rows), pl.concat(unmapped), lines_received, min_lines)


def _source(night: Night, raw_table: str, sources: Mapping[str, Any], name: str) -> Any:
    if name not in sources:
        raise ArtrecError(
            f"{raw_table} of {night.day} holds records of {name!r}, which the recipe does not name; run `artrec crawl --date {night.day}` again"
        )
    return sources[name]


def _min_lines(
    night: Night, checked_table: str, sources: Mapping[str, Any], lines_received: Mapping[str, int]
) -> dict[str, int]:
    """The fewest lines that each source may bring: its lines of the last night that passed, less the allowed drop."""
    previous = _previous_manifest(night, checked_table)
    if previous is None:
        return {}
    previous_lines: dict[str, int] = previous.figures.get(RECEIVED, {})
    min_share = 1 - night.recipe.rules.max_volume_drop
    # An optional source may bring nothing at all.
    return {
        name: ceil(round(previous_lines[name] * min_share, 6))
        for name, source in sources.items()
        if name in previous_lines and (lines_received.get(name) or source.required)
    }


def _previous_manifest(night: Night, table: str) -> Manifest | None:
    """The manifest of the last day before the night on which the table was committed."""
    yesterday = date.fromisoformat(night.day) - timedelta(days=1)
    days = night.lake.days(table, yesterday.isoformat())
    return night.lake.manifest(table, days[-1]) if days else None


def _known_artworks(night: Night, artworks: CheckedTable) -> pl.Series:
    """The ids of the night's artworks and of the catalogue before it, which also holds artworks that no longer arrive."""
    ids = [artworks.kept_rows.get_column(ARTWORK_ID)]
    catalogue = _previous_manifest(night, "catalogue")
    if catalogue is not None:
        ids += [part.get_column(ARTWORK_ID) for part in night.lake.iterate("catalogue", catalogue.run_date)]
    return pl.concat(ids).unique().sort()


def _with_records(night: Night, table: str, quarantine: pl.DataFrame) -> pl.DataFrame:
    """The quarantine with every record as it was received."""
    without_record = quarantine.filter(pl.col(RECORD).is_null()).select(SOURCE, LINE)
    if not without_record.height:
        return quarantine
    raw_records = pl.concat(
        part.select(SOURCE, LINE, RECORD).join(without_record, on=[SOURCE, LINE], how="semi")
        for part in night.lake.iterate(TABLES[table].raw_table, night.day)
    )
    with_raw_records = quarantine.join(raw_records, on=[SOURCE, LINE], how="left", suffix="_raw", maintain_order="left")
    return conform(with_raw_records.with_columns(pl.coalesce(RECORD, f"{RECORD}_raw").alias(RECORD)), QUARANTINE)


def _consents(night: Night, quarantine: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """CONSENTS by source: the last answer of the night for each user.

    A refusal counts even in a quarantined row; an agreement in a quarantined row does not.
    """
    from artrec_core.data.users import consent_answers

    sources = _sources(night.recipe)["users"]
    frames = [empty_frame({LINE: pl.Int64(), **CONSENTS})]
    for part in night.lake.iterate("raw_users", night.day):
        for (name,), records in part.group_by([SOURCE], maintain_order=True):
            frames.append(consent_answers(_source(night, "raw_users", sources, str(name)), records))
    answers = pl.concat(frames)
    sound_answers = answers.join(quarantine, on=[SOURCE, LINE], how="anti")
    quarantined_refusals = answers.join(quarantine, on=[SOURCE, LINE], how="semi").filter(~pl.col(CONSENT))
    valid_answers = pl.concat([sound_answers, quarantined_refusals])
    last_answers = valid_answers.sort(SOURCE, LINE).unique([SOURCE, USER_ID], keep="last", maintain_order=True)
    by_source = last_answers.group_by([SOURCE], maintain_order=True)
    return {str(name): rows.select(*CONSENTS) for (name,), rows in by_source}


def _write_report(night: Night, verdicts: list[TableVerdict]) -> str:
    """Write the verdicts as JSON and as a page; returns the page's address."""
    validation = Validation(recipe=night.recipe.name, run_date=night.day, tables=verdicts)
    night.lake.write_note(VERDICTS, night.day, validation.to_json())
    return night.lake.write_note(PAGE, night.day, validation_page(validation))


def _stop_unless_sound(night: Night, verdicts: list[TableVerdict], quarantine: pl.DataFrame, report: str) -> None:
    validation = Validation(recipe=night.recipe.name, run_date=night.day, tables=verdicts)
    if validation.verdict == "passed":
        return
    # A stopped night commits no table. Its quarantine is kept as a file, so that the rows can still be read.
    buffer = io.BytesIO()
    quarantine.write_parquet(buffer)
    night.lake.write_note(STOPPED_QUARANTINE, night.day, buffer.getvalue())
    if validation.verdict == "validator broke":
        raise ValidatorBroke(
            f"the validator broke, which says nothing about the data: {describe_break(verdicts)}; see {report}"
        )
    raise GateFailed(f"{describe_failure(verdicts)}; the night stops here, see {report}")


def _commit(night: Night, checked_tables: dict[str, CheckedTable], consents: Mapping[str, pl.DataFrame]) -> None:
    quarantine: dict[str, list[Part]] = {}
    parts_by_source: dict[str, dict[str, list[Part]]] = {table: {} for table in TABLES}
    for table, checks in checked_tables.items():
        lake_table = TABLES[table].checked_table
        for source in sorted(checks.lines_received):
            parts = list(_write_parts(night, lake_table, checks.kept_rows.filter(pl.col(SOURCE) == source)))
            night.lake.commit_writer(lake_table, night.day, source, parts, night.fingerprint)
            parts_by_source[table][source] = parts
        quarantine[table] = list(_write_parts(night, "quarantine", checks.quarantine))
        night.lake.commit_writer("quarantine", night.day, table, quarantine[table], night.fingerprint)
    night.commit("quarantine", quarantine)
    night.commit("consents", {name: list(_write_parts(night, "consents", rows)) for name, rows in consents.items()})
    for table, names in TABLES.items():
        lines_received = checked_tables[table].lines_received if table in checked_tables else {}
        night.commit(names.checked_table, parts_by_source[table], {RECEIVED: lines_received})


def _write_parts(night: Night, table: str, frame: pl.DataFrame) -> Iterator[Part]:
    for rows in frame.iter_slices(PART_ROWS):
        if rows.height:
            yield night.lake.write_part(table, night.day, rows)


def _figures(verdicts: list[TableVerdict]) -> Figures:
    figures: Figures = {}
    for verdict in verdicts:
        figures[verdict.table] = verdict.counts.kept
        figures[f"{verdict.table}_quarantined"] = verdict.quarantined or 0
        figures[f"{verdict.table}_merged"] = verdict.counts.merged
    return figures


STEP = Step(
    name="validate",
    help="Check the crawled tables: a row that breaks a rule goes to quarantine with a reason; a table that breaks one stops the night.",
    outputs=("artworks_checked", "events_checked", "users_checked", "consents", "quarantine"),
    inputs=inputs,
    settings=lambda recipe: [recipe.sources, recipe.events, recipe.users, recipe.rules],
    run=run,
    notes=(VERDICTS, PAGE),
)

if __name__ == "__main__":
    main(STEP)
