"""`crawl`: store what arrived for the night, unparsed, one row for each record.

Each source is a writer of its own. `--only NAME` crawls and commits one source: Airflow runs such a task for each source.
A run without `--only` crawls the sources that are not committed yet, and commits the day.
"""

import hashlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from artrec_core.columns import ARTWORK, CRAWLED_AT, RAW, empty_frame
from artrec_core.config import AnySource, EventSource, Recipe, Source, is_simulated, load
from artrec_core.data.files import file_digest, path_for_day
from artrec_core.data.sources import read_lines, to_artworks
from artrec_core.errors import ConfigError, MissingInput
from artrec_core.lake import Part, WriterManifest, digest_of, parse_day
from jobs.progress import progress
from jobs.step import (
    ConfigOption,
    DateOption,
    Figures,
    Night,
    SetOption,
    Step,
    code_version,
    run_command,
    run_step,
)

if TYPE_CHECKING:
    from artrec_core.data.demo.visitors import Simulation

log = logging.getLogger("artrec")

ABSENT = "absent"

# `data.events` and `data.users` import SciPy (0.4 s) for the simulator. They are imported where they are used, because
# `artrec --help` does not need it.

OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only", help="Crawl only the source of this name; a run without --only commits the day.", metavar="NAME"
    ),
]


def sources_by_table(recipe: Recipe) -> dict[str, list[AnySource]]:
    """The sources of each raw table; a simulated event source also brings users."""
    return {
        "raw_artworks": [*recipe.sources],
        "raw_events": [*recipe.events],
        "raw_users": [*recipe.users, *recipe.simulated_sources],
    }


class Crawl:
    """The crawl of one night. A source is read at most once, and not at all if its writer has committed already."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self._simulated = cache(self.simulation)

    def write(self, table: str, source: AnySource) -> WriterManifest | None:
        """Write a source's records to a raw table and commit them; None if an optional source is absent.

        Raises
        ------
        MissingInput
            If a required source is absent.
        """
        input_digest = self._digest(source)
        if input_digest == ABSENT:
            log.warning("crawl: %s is not there for %s and is not required; skipped", source.name, self.night.day)
            return None
        lake, day = self.night.lake, self.night.day
        fingerprint = digest_of([code_version(), table, source.model_dump(mode="json"), input_digest])
        committed = lake.find_writer(table, day, source.name, fingerprint)
        if committed is not None:
            return committed
        crawled_at = pl.lit(datetime.now(UTC)).cast(RAW[CRAWLED_AT]).alias(CRAWLED_AT)
        parts: list[Part] = []
        with progress(f"{table} of {source.name}", None) as advance:
            for rows in self._read(table, source):
                parts.append(lake.write_part(table, day, rows.with_columns(crawled_at)))
                advance(rows.height)
        return lake.commit_writer(table, day, source.name, parts, fingerprint)

    def _read(self, table: str, source: AnySource) -> Iterable[pl.DataFrame]:
        from artrec_core.data.events import raw_rows, read_raw_events
        from artrec_core.data.users import read_raw_users

        day = self.night.day
        if isinstance(source, Source):
            return raw_rows(source.name, read_lines(source, day))
        visitors = self._simulated(source.name) if is_simulated(source) else None
        if table == "raw_events" and isinstance(source, EventSource):
            return read_raw_events(source, day, None, visitors)
        return read_raw_users(source, day, None, visitors)

    def _digest(self, source: AnySource) -> str:
        """A digest of what the source is read from: its file, or for a simulated source the night and its artworks."""
        if is_simulated(source):
            return digest_of([self.night.day, [writer.model_dump() for writer in self._artwork_writers]])
        return source_digest(source, self.night.day)

    @cached_property
    def _artwork_writers(self) -> list[WriterManifest]:
        writers = (self.write("raw_artworks", source) for source in self.night.recipe.sources)
        return [writer for writer in writers if writer is not None]

    def simulation(self, name: str) -> "Simulation":
        """The simulated users of the event source `name`, and their visits to the night's artworks."""
        from artrec_core.data.events import simulate_source

        sources = {source.name: source for source in self.night.recipe.sources}
        artworks = [empty_frame(ARTWORK)]
        for writer in self._artwork_writers:
            for part in writer.parts:
                raw = self.night.lake.read_parts("raw_artworks", self.night.day, [part])
                artworks.append(to_artworks(sources[writer.writer], raw).rows.select(*ARTWORK))
        event_source = next(source for source in self.night.recipe.events if source.name == name)
        return simulate_source(event_source, pl.concat(artworks))


def source_digest(source: AnySource, day: str) -> str:
    """The sha256 of what a source is read from, or ABSENT if an optional source is absent.

    Raises
    ------
    MissingInput
        If a required source is absent.
    """
    if isinstance(source, Source) and source.kind == "demo":
        digest = hashlib.sha256()
        for line in read_lines(source, day):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()
    if is_simulated(source):
        return "simulated"
    try:
        return file_digest(source.name, path_for_day(str(source.path), day))
    except MissingInput:
        if source.required:
            raise
        return ABSENT


def inputs(night: Night) -> dict[str, str]:
    """The digest of every source that the recipe names."""
    return {
        f"{table}:{source.name}": source_digest(source, night.day)
        for table, sources in sources_by_table(night.recipe).items()
        for source in sources
    }


def run(night: Night) -> Figures:
    """Crawl the sources that are not committed yet, and commit the day's raw tables."""
    crawl = Crawl(night)
    parts_by_table: dict[str, dict[str, list[Part]]] = {}
    absent: list[str] = []
    for table, sources in sources_by_table(night.recipe).items():
        parts_by_table[table] = {}
        for source in sources:
            writer = crawl.write(table, source)
            if writer is None:
                absent.append(source.name)
            else:
                parts_by_table[table][source.name] = writer.parts
    figures: Figures = {
        table.removeprefix("raw_"): {name: sum(part.rows for part in parts) for name, parts in writers.items()}
        for table, writers in parts_by_table.items()
    }
    figures["skipped"] = len(absent)
    for table, writers in parts_by_table.items():
        night.commit(table, writers, {"absent": absent})
    return figures


def crawl_only(recipe: Recipe, day: str, name: str) -> None:
    """Crawl the sources of this name and commit their writers, not the day; `ConfigError` if the recipe has none."""
    night = Night(recipe, day)
    night.lake.check_writable()
    crawl = Crawl(night)
    tables = sources_by_table(recipe)
    matches = [(table, source) for table, sources in tables.items() for source in sources if source.name == name]
    if not matches:
        names = sorted({source.name for sources in tables.values() for source in sources})
        raise ConfigError(f"the recipe has no source {name!r}; it has {', '.join(names)}")
    for table, source in matches:
        writer = crawl.write(table, source)
        rows = 0 if writer is None else sum(part.rows for part in writer.parts)
        print(f"crawl {day} --only {name}: {table} {rows:,}" + (" (absent)" if writer is None else ""), flush=True)


STEP = Step(
    name="crawl",
    help="Fetch the records that arrived for the night, unparsed: artworks, events and users.",
    outputs=("raw_artworks", "raw_events", "raw_users"),
    inputs=inputs,
    settings=lambda recipe: [*recipe.sources, *recipe.events, *recipe.users],
    run=run,
)


def command(config: ConfigOption, date: DateOption, overrides: SetOption = [], only: OnlyOption = None) -> None:  # noqa: B006
    """Fetch the records that arrived for the night, unparsed: artworks, events and users."""
    recipe, day = load(config, overrides), parse_day(date)
    if only is None:
        run_step(STEP, recipe, day)
    else:
        crawl_only(recipe, day, only)


if __name__ == "__main__":
    run_command(command, "python -m jobs.crawl")
