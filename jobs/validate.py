"""validate: raw records become artworks, events and people, or go to quarantine with a reason."""

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
from artrec_core.data.mapped import MappedRows
from artrec_core.errors import ArtrecError, GateFailed, ValidatorBroke
from artrec_core.lake import Manifest, Part
from expectations.verdict import CheckedTable, TableVerdict, Validation, describe_break, describe_failure
from jobs.progress import progress
from jobs.step import Figures, Night, Step, main

PART_ROWS = 200_000
RECEIVED = "received"
STOPPED_QUARANTINE = "quarantine-stopped.parquet"
VERDICTS, PAGE = "validation.json", "validation.html"

# A table's name in the gates -> (raw table, checked table, columns).
TABLES: dict[str, tuple[str, str, Schema]] = {
    "artworks": ("raw_artworks", "artworks_checked", ARTWORK),
    "events": ("raw_events", "events_checked", EVENT),
    "users": ("raw_users", "users_checked", USER),
}


@dataclass(frozen=True)
class Arrived:
    """A raw table, mapped: `rows` hold SOURCE, LINE and the table's columns; `least` lines a source must bring."""

    rows: pl.DataFrame
    unmapped: pl.DataFrame
    received: dict[str, int]
    least: dict[str, int]


def inputs(night: Night) -> dict[str, str]:
    """The raw tables of the night; the night before's lines a source and catalogue, which it is held against."""
    made_from = {}
    for table, sources in _sources(night.recipe).items():
        if not sources:
            continue
        raw, checked, _ = TABLES[table]
        made_from[f"{raw}@{night.day}"] = night.lake.manifest(raw, night.day).digest
        before = _before(night, checked)
        if before is not None:
            made_from[f"{checked}@{before.run_date}"] = before.digest
    catalogue = _before(night, "catalogue")
    if catalogue is not None:
        made_from[f"catalogue@{catalogue.run_date}"] = catalogue.digest
    return made_from


def run(night: Night) -> Figures:
    """Judge the night's tables; `GateFailed` or `ValidatorBroke` once quarantine and report are written."""
    checked = _judge(night)
    checked = {
        table: replace(one, quarantine=_with_records(night, table, one.quarantine)) for table, one in checked.items()
    }
    quarantine = pl.concat([one.quarantine for one in checked.values()])
    verdicts = [one.verdict() for one in checked.values()]
    report = _write_report(night, verdicts)
    _stop_unless_sound(night, verdicts, quarantine, report)
    _commit(night, checked, _consents(night, checked["users"].quarantine) if "users" in checked else {})
    return _figures(verdicts)


def _judge(night: Night) -> dict[str, CheckedTable]:
    # Great Expectations takes seconds to import, which `artrec --help` must not.
    from artrec_core.data.sources import to_artworks
    from expectations.artworks import check_artworks

    rules, sources = night.recipe.rules, _sources(night.recipe)
    came = _arrived(night, "artworks", sources["artworks"], to_artworks)
    artworks = check_artworks(
        came.rows, came.unmapped, rules, night.day, min_lines=came.least, lines_received=came.received
    )
    checked = {"artworks": artworks}
    if sources["events"]:
        from artrec_core.data.events import to_events
        from expectations.events import check_events

        known = _known_artworks(night, artworks)
        came = _arrived(night, "events", sources["events"], to_events)
        checked["events"] = check_events(
            came.rows,
            came.unmapped,
            rules,
            night.day,
            artworks=known,
            min_lines=came.least,
            lines_received=came.received,
        )
    if sources["users"]:
        from artrec_core.data.users import to_users
        from expectations.users import check_users

        came = _arrived(night, "users", sources["users"], to_users)
        checked["users"] = check_users(
            came.rows, came.unmapped, rules, min_lines=came.least, lines_received=came.received
        )
    return checked


def _sources(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """A table's sources by their names; simulated visitors say what they like as well."""
    people: list[EventSource | UserSource] = [*(one for one in recipe.events if one.kind == "simulated"), *recipe.users]
    return {
        "artworks": {one.name: one for one in recipe.sources},
        "events": {one.name: one for one in recipe.events},
        "users": {one.name: one for one in people},
    }


def _arrived(
    night: Night, table: str, sources: Mapping[str, Any], to_rows: Callable[[Any, pl.DataFrame], MappedRows]
) -> Arrived:
    """Map a raw table part by part, so that its raw records are never held whole."""
    raw, checked, schema = TABLES[table]
    manifest = night.lake.manifest(raw, night.day)
    received: dict[str, int] = {}
    rows = [empty_frame({SOURCE: pl.String(), LINE: pl.Int64(), **schema})]
    unmapped = [empty_frame(QUARANTINE)]
    with progress(f"mapping {table}", manifest.rows) as advance:
        for part in night.lake.iterate(raw, night.day):
            for (name,), records in part.group_by([SOURCE], maintain_order=True):
                source = _source(night, raw, sources, str(name))
                mapped = to_rows(source, records)
                rows.append(conform(mapped.rows.with_columns(pl.lit(name).alias(SOURCE)), dict(rows[0].schema)))
                unmapped.append(conform(mapped.unmapped, QUARANTINE))
                received[source.name] = received.get(source.name, 0) + records.height
            advance(part.height)
    least = _least(night, checked, sources, received)
    return Arrived(pl.concat(rows), pl.concat(unmapped), received, least)


def _source(night: Night, raw: str, sources: Mapping[str, Any], name: str) -> Any:
    if name not in sources:
        raise ArtrecError(
            f"{raw} of {night.day} holds records of {name!r}, which the recipe does not name; run `artrec crawl --date {night.day}` again"
        )
    return sources[name]


def _least(night: Night, checked: str, sources: Mapping[str, Any], received: Mapping[str, int]) -> dict[str, int]:
    """The fewest lines each source may bring: what it brought on the last night that passed, less the drop allowed."""
    before = _before(night, checked)
    if before is None:
        return {}
    lines: dict[str, int] = before.figures.get(RECEIVED, {})
    keep = 1 - night.recipe.rules.max_volume_drop
    # A source that need not answer may be silent.
    return {
        name: ceil(round(lines[name] * keep, 6))
        for name, source in sources.items()
        if name in lines and (received.get(name) or source.required)
    }


def _before(night: Night, table: str) -> Manifest | None:
    """The table's last committed day before the night."""
    yesterday = date.fromisoformat(night.day) - timedelta(days=1)
    days = night.lake.days(table, yesterday.isoformat())
    return night.lake.manifest(table, days[-1]) if days else None


def _known_artworks(night: Night, artworks: CheckedTable) -> pl.Series:
    """The ids of the artworks of the night and of the catalogue so far, which holds those that no longer arrive."""
    ids = [artworks.kept_rows.get_column(ARTWORK_ID)]
    catalogue = _before(night, "catalogue")
    if catalogue is not None:
        ids += [part.get_column(ARTWORK_ID) for part in night.lake.iterate("catalogue", catalogue.run_date)]
    return pl.concat(ids).unique().sort()


def _with_records(night: Night, table: str, quarantine: pl.DataFrame) -> pl.DataFrame:
    """The quarantine with every record as it was received."""
    raw = TABLES[table][0]
    wanted = quarantine.filter(pl.col(RECORD).is_null()).select(SOURCE, LINE)
    if not wanted.height:
        return quarantine
    found = pl.concat(
        part.select(SOURCE, LINE, RECORD).join(wanted, on=[SOURCE, LINE], how="semi")
        for part in night.lake.iterate(raw, night.day)
    )
    joined = quarantine.join(found, on=[SOURCE, LINE], how="left", suffix="_raw", maintain_order="left")
    return conform(joined.with_columns(pl.coalesce(RECORD, f"{RECORD}_raw").alias(RECORD)), QUARANTINE)


def _consents(night: Night, quarantine: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """CONSENTS by source: what each said last of a user this night.

    A quarantined row still refuses, but it agrees to nothing.
    """
    from artrec_core.data.users import consent_answers

    sources = _sources(night.recipe)["users"]
    answers = [empty_frame({LINE: pl.Int64(), **CONSENTS})]
    for part in night.lake.iterate("raw_users", night.day):
        for (name,), records in part.group_by([SOURCE], maintain_order=True):
            answers.append(consent_answers(_source(night, "raw_users", sources, str(name)), records))
    given = pl.concat(answers)
    in_quarantine = given.join(quarantine, on=[SOURCE, LINE], how="semi")
    counted = pl.concat([given.join(quarantine, on=[SOURCE, LINE], how="anti"), in_quarantine.filter(~pl.col(CONSENT))])
    last = counted.sort(SOURCE, LINE).unique([SOURCE, USER_ID], keep="last", maintain_order=True)
    return {str(name): rows.select(*CONSENTS) for (name,), rows in last.group_by([SOURCE], maintain_order=True)}


def _write_report(night: Night, verdicts: list[TableVerdict]) -> str:
    from expectations.report import validation_page

    validation = Validation(recipe=night.recipe.name, run_date=night.day, tables=verdicts)
    night.lake.write_note(VERDICTS, night.day, validation.to_json())
    return night.lake.write_note(PAGE, night.day, validation_page(validation))


def _stop_unless_sound(night: Night, verdicts: list[TableVerdict], quarantine: pl.DataFrame, report: str) -> None:
    validation = Validation(recipe=night.recipe.name, run_date=night.day, tables=verdicts)
    if validation.verdict == "passed":
        return
    # The table is left uncommitted; the rows are kept beside it for whoever looks into the night.
    buffer = io.BytesIO()
    quarantine.write_parquet(buffer)
    night.lake.write_note(STOPPED_QUARANTINE, night.day, buffer.getvalue())
    if validation.verdict == "validator broke":
        raise ValidatorBroke(
            f"the validator broke, which says nothing about the data: {describe_break(verdicts)}; see {report}"
        )
    raise GateFailed(f"{describe_failure(verdicts)}; the night stops here, see {report}")


def _commit(night: Night, checked: dict[str, CheckedTable], consents: Mapping[str, pl.DataFrame]) -> None:
    quarantine: dict[str, list[Part]] = {}
    written: dict[str, dict[str, list[Part]]] = {}
    for table, (_, name, _) in TABLES.items():
        written[name] = {}
        if table not in checked:
            continue
        kept = checked[table].kept_rows
        for source in sorted(checked[table].lines_received):
            parts = list(_parts(night, name, kept.filter(pl.col(SOURCE) == source)))
            night.lake.commit_writer(name, night.day, source, parts, night.fingerprint)
            written[name][source] = parts
        quarantine[table] = list(_parts(night, "quarantine", checked[table].quarantine))
        night.lake.commit_writer("quarantine", night.day, table, quarantine[table], night.fingerprint)
    night.commit("quarantine", quarantine)
    night.commit("consents", {name: list(_parts(night, "consents", rows)) for name, rows in consents.items()})
    for table, (_, name, _) in TABLES.items():
        night.commit(name, written[name], {RECEIVED: checked[table].lines_received if table in checked else {}})


def _parts(night: Night, table: str, frame: pl.DataFrame) -> Iterator[Part]:
    for rows in frame.iter_slices(PART_ROWS):
        if rows.height:
            yield night.lake.write_part(table, night.day, rows)


def _figures(verdicts: list[TableVerdict]) -> Figures:
    figures: Figures = {}
    for one in verdicts:
        figures[one.table] = one.counts.kept
        figures[f"{one.table}_quarantined"] = one.quarantined or 0
        figures[f"{one.table}_merged"] = one.counts.merged
    return figures


STEP = Step(
    name="validate",
    help="Check what was crawled: rows that break a rule go to quarantine with a reason, a table that does stops the night.",
    outputs=("artworks_checked", "events_checked", "users_checked", "consents", "quarantine"),
    inputs=inputs,
    settings=lambda recipe: [recipe.sources, recipe.events, recipe.users, recipe.rules],
    run=run,
    notes=(VERDICTS, PAGE),
)

if __name__ == "__main__":
    main(STEP)
