"""`publish`: all tables of a night go to the warehouse in one transaction, or the tables served before stay served."""

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
from artrec_core.recs.strategies.filters import find_blocked
from artrec_core.urls import redact
from artrec_core.warehouse import Tables, open_warehouse
from artrec_core.warehouse.checksum import RowChecksum
from artrec_core.warehouse.schema import FAILED, PUBLISHED
from artrec_core.warehouse.shown import shown_artworks
from expectations.verdict import Validation, describe_break, describe_failure
from jobs.progress import progress
from jobs.scoring.inputs import block_digests, check_one_run
from jobs.step import Figures, Night, Step, main

# Warehouse table -> the lake table that is loaded into it unchanged. artworks_v1 is made from the catalogue.
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
    """The rows of a lake table of the night, part by part; every iteration reads the parts again.

    Attributes
    ----------
    night : the night whose rows are read
    table : name of the lake table
    advance : called with the number of rows after each part
    """

    night: Night
    table: str
    advance: Callable[[int], None] = lambda rows: None

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for frame in self.night.lake.iterate(self.table, self.night.day):
            yield frame
            self.advance(frame.height)


def inputs(night: Night) -> dict[str, str]:
    """Digests of the tables that are published, of those that the audit compares them with, and of the block lists."""
    tables = (*SCORED.values(), *AUDITED_AGAINST)
    digests = {f"{table}@{night.day}": night.lake.manifest(table, night.day).digest for table in tables}
    check_one_run(night, SCORED.values(), "score")
    return digests | block_digests(night.recipe)


def settings(recipe: Recipe) -> list[Any]:
    """The settings of the publication, the warehouse, and what the audit checks of each strategy."""
    strategies = [[strategy.name, strategy.reranks, strategy.block.model_dump()] for strategy in recipe.strategies]
    # A changed password does not change the publication. And a digest that is shown must not be made from a password.
    return [recipe.publish, redact(recipe.store.warehouse), recipe.score.block, strategies]


def run(night: Night) -> Figures:
    """Load the night's tables, audit them and serve them.

    Raises
    ------
    GateFailed, ValidatorBroke
        If the audit failed or could not be made. The tables served before stay served; the failure is recorded.
    """
    scored_tables = survey(night)
    artworks = shown_artworks(night.lake.read("catalogue", night.day), night.day, scored_tables.model_version)
    scored_tables.tally.add("artworks_v1", artworks)
    publication = scored_tables.publication(night)
    warehouse = open_warehouse(night.recipe.store.warehouse)
    with progress("publish", sum(scored_tables.tally.rows.values()) - artworks.height) as advance:
        tables: Tables = {name: LakeRows(night, table, advance) for name, table in SCORED.items()}
        try:
            removed_days = warehouse.publish(
                publication,
                {**tables, "artworks_v1": [artworks]},
                lambda loaded_rows: audit(night, scored_tables, loaded_rows),
                keep_days=night.recipe.publish.keep_days,
            )
        except (GateFailed, ValidatorBroke):
            warehouse.record(publication.with_columns(pl.lit(FAILED).alias(STATUS)))
            raise
    if removed_days:
        log.info("publish %s: removed %s", night.day, ", ".join(removed_days))
    publication_figures = publication.drop(RUN_DATE, STATUS, PUBLISHED_AT).row(0, named=True)
    row_counts = {table.removesuffix("_v1"): rows for table, rows in scored_tables.tally.rows.items()}
    return {**row_counts, **publication_figures, "removed": len(removed_days)}


@dataclass
class Survey:
    """What is known of the scored tables before they are loaded.

    Attributes
    ----------
    tally : rows and checksum of every table
    model_version : the version that all tables come from
    user_count : number of users with rows in the default strategy
    simulated : whether any row is about a simulated user
    other_artworks : (SOURCE, ARTWORK_ID), the artworks in the tables other than the recommendations; SOURCE is the table
    """

    tally: RowChecksum
    model_version: str
    user_count: int
    simulated: bool
    other_artworks: pl.DataFrame

    def publication(self, night: Night) -> pl.DataFrame:
        """The row of PUBLICATION for the night."""
        row = {
            RUN_DATE: night.day,
            STRATEGY: night.recipe.publish.strategy,
            MODEL_VERSION: self.model_version,
            ROWS: sum(self.tally.rows.values()),
            PEOPLE: self.user_count,
            CHECKSUM: self.tally.checksum,
            STATUS: PUBLISHED,
            SIMULATED: self.simulated,
            PUBLISHED_AT: datetime.now(UTC),
        }
        return conform(pl.DataFrame([row]), PUBLICATION)


def survey(night: Night) -> Survey:
    """Count the rows of the scored tables and compute their checksum.

    Raises
    ------
    GateFailed
        If the tables come from several model versions.
    """
    tally = RowChecksum()
    versions: set[str] = set()
    simulated = False
    users = [empty_frame({USER_ID: pl.String()})]
    other_artworks = [empty_frame({SOURCE: pl.String(), ARTWORK_ID: pl.String()})]
    for table, lake_table in SCORED.items():
        tally.add(table, empty_frame(LAKE[lake_table]))
        for frame in LakeRows(night, lake_table):
            tally.add(table, frame)
            versions |= set(frame.get_column(MODEL_VERSION).drop_nulls().unique())
            simulated = simulated or bool(frame.get_column(SIMULATED).any())
            if lake_table == "recommendations":
                default_rows = frame.filter(pl.col(STRATEGY) == night.recipe.publish.strategy)
                users.append(default_rows.select(USER_ID).unique())
                continue
            for column in {ARTWORK_ID, OTHER_ARTWORK_ID} & set(frame.columns):
                artworks = frame.select(pl.lit(lake_table).alias(SOURCE), pl.col(column).alias(ARTWORK_ID))
                other_artworks.append(artworks.unique())
    if len(versions) > 1:
        raise GateFailed(
            f"the tables of {night.day} come from several model versions ({', '.join(sorted(versions))});"
            f" run `artrec score --date {night.day}` again"
        )
    return Survey(
        tally,
        model_version=next(iter(versions), "none"),
        user_count=pl.concat(users).n_unique(),
        simulated=simulated,
        other_artworks=pl.concat(other_artworks).unique().sort(SOURCE, ARTWORK_ID),
    )


def audit(night: Night, scored_tables: Survey, loaded_rows: Mapping[str, int]) -> None:
    """Check the loaded tables against the lake and the expectations; the verdict is written to the note `audit.json`.

    Parameters
    ----------
    night
        The night that is published.
    scored
        What the survey of the scored tables found.
    loaded_rows
        Number of rows in the warehouse, by warehouse table.

    Raises
    ------
    GateFailed
        If the night must not be served.
    ValidatorBroke
        If the audit itself failed, so that nothing is known about the night.
    """
    # It imports Great Expectations, which takes seconds.
    from expectations.recommendations import check_recommendations

    missing_rows = [
        f"{table} {loaded_rows[table]:,} of {rows:,}"
        for table, rows in sorted(scored_tables.tally.rows.items())
        if rows != loaded_rows[table]
    ]
    if missing_rows:
        raise GateFailed(
            f"publish {night.day}: rows are missing in the warehouse: {', '.join(missing_rows)}; run publish again"
        )
    lake, day = night.lake, night.day
    catalogue = lake.read("catalogue", day)
    checks = check_recommendations(
        lake.read("recommendations", day),
        lake.read("histories", day),
        catalogue,
        lake.read("people", day),
        strategy=night.recipe.publish.strategy,
        reranked_strategies=[strategy.name for strategy in night.recipe.strategies if strategy.reranks],
        blocked_artworks=_blocked_artworks(night, catalogue),
        other_tables=scored_tables.other_artworks,
    )
    validation = Validation(recipe=night.recipe.name, run_date=night.day, tables=[checks.verdict()])
    note = night.lake.write_note(AUDIT_NOTE, night.day, validation.to_json())
    if checks.unchecked_rules:
        raise ValidatorBroke(f"the audit of {night.day} itself broke: {describe_break(validation.tables)}; see {note}")
    if checks.failed_rules:
        raise GateFailed(
            f"publish {night.day}: {describe_failure(validation.tables)}; the tables served before stay served; see {note}"
        )


def _blocked_artworks(night: Night, catalogue: pl.DataFrame) -> pl.DataFrame:
    """(STRATEGY, ARTWORK_ID) of the artworks that each strategy must not show."""
    frames = [
        catalogue.select(pl.lit(strategy.name).alias(STRATEGY), ARTWORK_ID).filter(
            pl.Series(find_blocked(catalogue, [night.recipe.score.block, strategy.block]).mask)
        )
        for strategy in night.recipe.strategies
    ]
    return pl.concat(frames).unique()


def outputs_exist(night: Night) -> bool:
    """Whether the latest entry of this night in the warehouse is the publication that this step made."""
    manifest = night.step_manifest(STEP.name)
    entries = open_warehouse(night.recipe.store.warehouse).publications().filter(pl.col(RUN_DATE) == night.day)
    if manifest is None or not entries.height:
        return False
    latest = entries.row(-1, named=True)
    return bool(latest[STATUS] == PUBLISHED and latest[CHECKSUM] == manifest.figures.get(CHECKSUM))


STEP = Step(
    name="publish",
    help="Audit the night's tables and put them into the warehouse, all or nothing.",
    outputs=(),
    inputs=inputs,
    settings=settings,
    run=run,
    outputs_exist=outputs_exist,
    notes=(AUDIT_NOTE,),
)

if __name__ == "__main__":
    main(STEP)
