"""`crawl`: what arrived for the night, unparsed, one row a record received.

Each source is a writer of its own: `--only NAME` crawls and commits just that one (Airflow maps a task over the sources);
a run without it takes those as they are, crawls the rest and commits the day.
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
from artrec_core.errors import ConfigError, MissingInput
from artrec_core.lake import Part, WriterManifest, day_of, digest_of
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

OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only", help="Crawl just the source of this name; a run without it commits the day.", metavar="NAME"
    ),
]


def sources_of(recipe: Recipe) -> dict[str, list[AnySource]]:
    """Who writes each raw table; simulated visitors tell of themselves too."""
    return {
        "raw_artworks": [*recipe.sources],
        "raw_events": [*recipe.events],
        "raw_users": [*recipe.users, *recipe.simulated_sources],
    }


class Crawl:
    """One night's crawl: each source is read at most once, and not at all where its writer has committed already."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self._simulated = cache(self.simulation)

    def write(self, table: str, source: AnySource) -> WriterManifest | None:
        """Commit what the source brings to the table; None where it is not there and need not be.

        Raises `MissingInput` where it is not there and must be.
        """
        received = self._digest(source)
        if received == ABSENT:
            log.warning("crawl: %s is not there for %s and is not required; skipped", source.name, self.night.day)
            return None
        lake, day = self.night.lake, self.night.day
        fingerprint = digest_of([code_version(), table, source.model_dump(mode="json"), received])
        found = lake.find_writer(table, day, source.name, fingerprint)
        if found is not None:
            return found
        crawled_at = pl.lit(datetime.now(UTC)).cast(RAW[CRAWLED_AT]).alias(CRAWLED_AT)
        parts: list[Part] = []
        with progress(f"{table} of {source.name}", None) as advance:
            for rows in self._read(table, source):
                parts.append(lake.write_part(table, day, rows.with_columns(crawled_at)))
                advance(rows.height)
        return lake.commit_writer(table, day, source.name, parts, fingerprint)

    def _read(self, table: str, source: AnySource) -> Iterable[pl.DataFrame]:
        from artrec_core.data.events import raw_rows, read_raw_events
        from artrec_core.data.sources import read_lines
        from artrec_core.data.users import read_raw_users

        day = self.night.day
        if isinstance(source, Source):
            return raw_rows(source.name, read_lines(source, day))
        visitors = self._simulated(source.name) if is_simulated(source) else None
        if table == "raw_events" and isinstance(source, EventSource):
            return read_raw_events(source, day, None, visitors)
        return read_raw_users(source, day, None, visitors)

    def _digest(self, source: AnySource) -> str:
        """What the source is made from: its file, or the artworks that simulated visitors look at up to the night."""
        if is_simulated(source):
            return digest_of([self.night.day, [writer.model_dump() for writer in self._artwork_writers]])
        return input_digest(source, self.night.day)

    @cached_property
    def _artwork_writers(self) -> list[WriterManifest]:
        written = (self.write("raw_artworks", source) for source in self.night.recipe.sources)
        return [writer for writer in written if writer is not None]

    def simulation(self, name: str) -> "Simulation":
        """The visitors of an event source of kind `simulated`, on the artworks of the night."""
        from artrec_core.data.events import simulate_source
        from artrec_core.data.sources import to_artworks

        sources = {source.name: source for source in self.night.recipe.sources}
        artworks = [empty_frame(ARTWORK)]
        for writer in self._artwork_writers:
            for part in writer.parts:
                raw = self.night.lake.read_parts("raw_artworks", self.night.day, [part])
                artworks.append(to_artworks(sources[writer.writer], raw).rows.select(*ARTWORK))
        visitors = next(source for source in self.night.recipe.events if source.name == name)
        return simulate_source(visitors, pl.concat(artworks))


def input_digest(source: AnySource, day: str) -> str:
    """The sha256 of what a source is read from, or ABSENT where an optional one is not there."""
    from artrec_core.data.files import file_digest, path_for_day
    from artrec_core.data.sources import read_lines

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
    """The digest of every file the recipe names."""
    return {
        f"{table}:{source.name}": input_digest(source, night.day)
        for table, sources in sources_of(night.recipe).items()
        for source in sources
    }


def run(night: Night) -> Figures:
    """Crawl whatever no writer has committed yet, and commit the day's raw tables."""
    crawl = Crawl(night)
    written: dict[str, dict[str, list[Part]]] = {}
    absent: list[str] = []
    for table, sources in sources_of(night.recipe).items():
        written[table] = {}
        for source in sources:
            writer = crawl.write(table, source)
            if writer is None:
                absent.append(source.name)
            else:
                written[table][source.name] = writer.parts
    figures: Figures = {
        table.removeprefix("raw_"): {name: sum(part.rows for part in parts) for name, parts in writers.items()}
        for table, writers in written.items()
    }
    figures["skipped"] = len(absent)
    for table, writers in written.items():
        night.commit(table, writers, {"absent": absent})
    return figures


def crawl_only(recipe: Recipe, day: str, name: str) -> None:
    """Crawl the sources of one name and commit their writers. Raises `ConfigError` where the recipe has none."""
    night = Night(recipe, day)
    night.lake.check_writable()
    crawl = Crawl(night)
    chosen = [(table, one) for table, sources in sources_of(recipe).items() for one in sources if one.name == name]
    if not chosen:
        known = sorted({source.name for sources in sources_of(recipe).values() for source in sources})
        raise ConfigError(f"the recipe has no source {name!r}; it has {', '.join(known)}")
    for table, source in chosen:
        writer = crawl.write(table, source)
        rows = 0 if writer is None else sum(part.rows for part in writer.parts)
        print(f"crawl {day} --only {name}: {table} {rows:,}" + (" (absent)" if writer is None else ""), flush=True)


STEP = Step(
    name="crawl",
    help="Fetch what arrived for the night: artworks, events, people; unparsed.",
    outputs=("raw_artworks", "raw_events", "raw_users"),
    inputs=inputs,
    settings=lambda recipe: [*recipe.sources, *recipe.events, *recipe.users],
    run=run,
)


def command(config: ConfigOption, date: DateOption, overrides: SetOption = [], only: OnlyOption = None) -> None:  # noqa: B006
    """Fetch what arrived for the night: artworks, events, people; unparsed."""
    recipe, day = load(config, overrides), day_of(date)
    if only is None:
        run_step(STEP, recipe, day)
    else:
        crawl_only(recipe, day, only)


if __name__ == "__main__":
    run_command(command, "python -m jobs.crawl")
