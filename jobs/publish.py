"""Publish a night: its tables go to the warehouse all together, or yesterday's stay served."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from artrec_core.columns import (
    ARTWORK_ID,
    CHECKSUM,
    LAKE,
    MODEL_VERSION,
    OTHER_ARTWORK_ID,
    PEOPLE,
    PUBLICATION,
    PUBLISHED_AT,
    ROWS,
    RUN_DATE,
    SIMULATED,
    SOURCE,
    STATUS,
    STRATEGY,
    USER_ID,
    conform,
    empty_frame,
)
from artrec_core.config import Recipe
from artrec_core.errors import GateFailed, ValidatorBroke
from artrec_core.urls import redacted
from artrec_core.warehouse import Tables, open_warehouse
from artrec_core.warehouse.checksum import Tally
from artrec_core.warehouse.schema import FAILED, PUBLISHED
from artrec_core.warehouse.shown import shown_artworks
from jobs.progress import progress
from jobs.scoring.inputs import block_digests, check_one_run
from jobs.step import Figures, Night, Step, main

# Warehouse table -> the lake table that goes in as it is. artworks_v1 is made from the catalogue.
SCORED = {
    "recommendations_v1": "recommendations",
    "similar_artworks_v1": "similar_artworks",
    "artwork_audiences_v1": "artwork_audiences",
    "popular_artworks_v1": "popular_artworks",
}
AUDITED_AGAINST = ("catalogue", "histories", "people")
AUDIT_NOTE = "audit.json"

log = logging.getLogger("artrec")


@dataclass(frozen=True)
class LakeRows:
    """A day of a lake table, read part by part each time it is asked for."""

    night: Night
    table: str
    passed: Callable[[int], None] = lambda rows: None

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for frame in self.night.lake.iterate(self.table, self.night.day):
            yield frame
            self.passed(frame.height)


def inputs(night: Night) -> dict[str, str]:
    """What is published, and what the audit holds it against."""
    tables = (*SCORED.values(), *AUDITED_AGAINST)
    found = {f"{table}@{night.day}": night.lake.manifest(table, night.day).digest for table in tables}
    check_one_run(night, SCORED.values(), "score")
    return found | block_digests(night.recipe)


def settings(recipe: Recipe) -> list[Any]:
    """What is published where, and what the audit is told of the strategies."""
    told = [[one.name, one.reranks, one.block.model_dump()] for one in recipe.strategies]
    # Another password makes no other publication, and none belongs in a digest that is shown.
    return [recipe.publish, redacted(recipe.store.warehouse), recipe.score.block, told]


def run(night: Night) -> Figures:
    """Load, audit and serve the day; `GateFailed` leaves the served day as it was and a failed publication behind."""
    scored = survey(night)
    artworks = shown_artworks(night.lake.read("catalogue", night.day), night.day, scored.model_version)
    scored.tally.add("artworks_v1", artworks)
    publication = scored.publication(night)
    warehouse = open_warehouse(night.recipe.store.warehouse)
    with progress("publish", sum(scored.tally.rows.values()) - artworks.height) as advance:
        tables: Tables = {name: LakeRows(night, table, advance) for name, table in SCORED.items()}
        try:
            removed = warehouse.publish(
                publication,
                {**tables, "artworks_v1": [artworks]},
                lambda loaded: audit(night, scored, loaded),
                keep_days=night.recipe.publish.keep_days,
            )
        except (GateFailed, ValidatorBroke):
            warehouse.record(publication.with_columns(pl.lit(FAILED).alias(STATUS)))
            raise
    if removed:
        log.info("publish %s: removed %s", night.day, ", ".join(removed))
    shown = publication.drop(RUN_DATE, STATUS, PUBLISHED_AT).row(0, named=True)
    counts = {table.removesuffix("_v1"): rows for table, rows in scored.tally.rows.items()}
    return {**counts, **shown, "removed": len(removed)}


@dataclass
class Survey:
    """What a first look over the scored tables saw."""

    tally: Tally
    model_version: str
    people: int
    simulated: bool
    # (SOURCE, ARTWORK_ID) of every work that a table other than the recommendations shows.
    elsewhere: pl.DataFrame

    def publication(self, night: Night) -> pl.DataFrame:
        """The one row of PUBLICATION that goes with the day."""
        row = {
            RUN_DATE: night.day,
            STRATEGY: night.recipe.publish.strategy,
            MODEL_VERSION: self.model_version,
            ROWS: sum(self.tally.rows.values()),
            PEOPLE: self.people,
            CHECKSUM: self.tally.checksum,
            STATUS: PUBLISHED,
            SIMULATED: self.simulated,
            PUBLISHED_AT: datetime.now(UTC),
        }
        return conform(pl.DataFrame([row]), PUBLICATION)


def survey(night: Night) -> Survey:
    """Count and sum up the scored tables, part by part; `GateFailed` where they are not of one model version."""
    tally = Tally()
    versions: set[str] = set()
    simulated = False
    served = [empty_frame({USER_ID: pl.String()})]
    elsewhere = [empty_frame({SOURCE: pl.String(), ARTWORK_ID: pl.String()})]
    for table, name in SCORED.items():
        tally.add(table, empty_frame(LAKE[name]))
        for frame in LakeRows(night, name):
            tally.add(table, frame)
            versions |= set(frame.get_column(MODEL_VERSION).drop_nulls().unique())
            simulated = simulated or bool(frame.get_column(SIMULATED).any())
            if name == "recommendations":
                of_default = frame.filter(pl.col(STRATEGY) == night.recipe.publish.strategy)
                served.append(of_default.select(USER_ID).unique())
                continue
            for column in {ARTWORK_ID, OTHER_ARTWORK_ID} & set(frame.columns):
                works = frame.select(pl.lit(name).alias(SOURCE), pl.col(column).alias(ARTWORK_ID))
                elsewhere.append(works.unique())
    if len(versions) > 1:
        raise GateFailed(
            f"the tables of {night.day} come from several model versions ({', '.join(sorted(versions))});"
            f" run `artrec score --date {night.day}` again"
        )
    shown = pl.concat(elsewhere).unique().sort(SOURCE, ARTWORK_ID)
    return Survey(tally, next(iter(versions), "none"), pl.concat(served).n_unique(), simulated, shown)


def audit(night: Night, scored: Survey, loaded: Mapping[str, int]) -> None:
    """Hold the loaded day against what was sent and against the expectations; the findings go to the note `audit.json`.

    Raises `GateFailed` where the day must not be served, `ValidatorBroke` where nobody can tell.
    """
    from expectations.recommendations import check_recommendations
    from expectations.verdict import Validation, describe_break, describe_failure

    short = {table: (rows, loaded[table]) for table, rows in scored.tally.rows.items() if rows != loaded[table]}
    if short:
        said = ", ".join(f"{table} {there:,} of {rows:,}" for table, (rows, there) in sorted(short.items()))
        raise GateFailed(f"publish {night.day}: rows are missing in the warehouse: {said}; run publish again")
    read = night.lake.read
    catalogue = read("catalogue", night.day)
    checked = check_recommendations(
        read("recommendations", night.day),
        read("histories", night.day),
        catalogue,
        read("people", night.day),
        strategy=night.recipe.publish.strategy,
        reranked_strategies=[one.name for one in night.recipe.strategies if one.reranks],
        blocked_artworks=_blocked(night, catalogue),
        other_tables=scored.elsewhere,
    )
    found = Validation(recipe=night.recipe.name, run_date=night.day, tables=[checked.verdict()])
    where = night.lake.write_note(AUDIT_NOTE, night.day, found.to_json())
    if checked.unchecked_rules:
        raise ValidatorBroke(f"the audit of {night.day} itself broke: {describe_break(found.tables)}; see {where}")
    if checked.failed_rules:
        raise GateFailed(
            f"publish {night.day}: {describe_failure(found.tables)}; what was served stays served; see {where}"
        )


def _blocked(night: Night, catalogue: pl.DataFrame) -> pl.DataFrame:
    """(STRATEGY, ARTWORK_ID) of what each strategy must not show."""
    from artrec_core.recs.strategies.filters import find_blocked

    frames = [
        catalogue.select(pl.lit(one.name).alias(STRATEGY), ARTWORK_ID).filter(
            pl.Series(find_blocked(catalogue, [night.recipe.score.block, one.block]).mask)
        )
        for one in night.recipe.strategies
    ]
    return pl.concat(frames).unique()


def stands(night: Night) -> bool:
    """Whether the last thing that became of this day is the publication that this step made of it."""
    before = night.step_manifest(STEP.name)
    entries = open_warehouse(night.recipe.store.warehouse).publications().filter(pl.col(RUN_DATE) == night.day)
    if before is None or not entries.height:
        return False
    last = entries.row(-1, named=True)
    return bool(last[STATUS] == PUBLISHED and last[CHECKSUM] == before.figures.get(CHECKSUM))


STEP = Step(
    name="publish",
    help="Put the night's tables into the warehouse, all or nothing, after the audit.",
    outputs=(),
    inputs=inputs,
    settings=settings,
    run=run,
    stands=stands,
    notes=(AUDIT_NOTE,),
)

if __name__ == "__main__":
    main(STEP)
