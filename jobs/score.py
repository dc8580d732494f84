"""score: the score of every user–artwork pair, and the tables that applications read made from it."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl

from artrec_core.columns import ARTWORK_ID
from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import Part
from jobs.progress import progress
from jobs.scoring.inputs import block_digests, check_one_run
from jobs.scoring.shards import LocalShardMaker, ShardMaker, cut_shards
from jobs.step import Figures, Night, Step, main

if TYPE_CHECKING:
    from artrec_core.recs.tables.scored_tables import ScoredTables

INPUTS = ("catalogue", "histories", "people", "item_vectors", "user_vectors")
TABLES = ("recommendations", "similar_artworks", "artwork_audiences", "popular_artworks")
ALL_PAIRS = "all_pairs"
# How many earlier nights freshness and exploration look at.
NIGHTS_BACK = 60

log = logging.getLogger("artrec")


def inputs(night: Night) -> dict[str, str]:
    """Digests of the night's tables, of block-list files, and of the earlier catalogues that a strategy looks at."""
    tables = [(table, night.day) for table in (*INPUTS, *_text_tables(night.recipe))]
    tables += [("catalogue", day) for day in _earlier_nights(night)]
    digests = {f"{table}@{day}": night.lake.manifest(table, day).digest for table, day in tables}
    check_one_run(night, ("item_vectors", "user_vectors"), "embed")
    return digests | block_digests(night.recipe)


def settings(recipe: Recipe) -> list[Any]:
    """What the tables and their shards depend on. The number of workers and their resources change no table."""
    return [
        recipe.score.model_dump(mode="json", exclude={"workers", "threads", "memory_mb"}),
        *recipe.strategies,
        recipe.publish.strategy,
    ]


def outputs_exist(night: Night) -> bool:
    """Whether every table that the recipe asks for was made from the same inputs and is complete."""
    requested_tables = [*TABLES, *([ALL_PAIRS] if night.recipe.score.keep_all_pairs else [])]
    return all(night.lake.is_up_to_date(table, night.day, night.fingerprint) for table in requested_tables)


def run(night: Night) -> Figures:
    """Make every table shard by shard, then commit all of them."""
    from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables
    from artrec_core.recs.tables.scored_tables import ScoredTables
    from artrec_core.recs.tables.strategy_impact import measure_impacts

    recipe, day, read = night.recipe, night.day, night.lake.read
    data = ScoringData(
        ScoringTables(
            day,
            **{table: read(table, day) for table in (*INPUTS, *_text_tables(recipe))},
            first_nights=_first_nights(night),
        )
    )
    scored_tables = ScoredTables(data, recipe.strategies, recipe.publish.strategy, recipe.score)
    _warn_about_filters(scored_tables)
    users, artworks = data.shape
    size, relaxed_counts = recipe.score.shard_users, {strategy.name: Counter[str]() for strategy in recipe.strategies}
    with _open_maker(night, scored_tables) as maker:
        writers = {
            "recommendations": _make_in_shards(night, "recommendations", users, size, maker, relaxed_counts),
            "similar_artworks": _make_in_shards(night, "similar_artworks", artworks, size, maker),
            "artwork_audiences": _make_in_shards(night, "artwork_audiences", artworks, size, maker),
            "popular_artworks": {
                "all": [night.lake.write_part("popular_artworks", day, scored_tables.popular_artworks())]
            },
        }
        if recipe.score.keep_all_pairs:
            writers[ALL_PAIRS] = _make_all_pairs(night, scored_tables, maker)
    lists = scored_tables.count_users_by_list()
    figures: Figures = {
        "people": users,
        "artworks": artworks,
        "strategies": len(recipe.strategies),
        "pairs": users * artworks * len(recipe.strategies),
        "people_with_own_list": lists["own"],
        "people_with_popular_list": lists["popular"],
        "spreads": {name: folding.spreads for name, folding in scored_tables.foldings.items()},
    }
    if blocked_counts := {
        name: int(block.mask.sum()) for name, block in scored_tables.blocked.items() if block.mask.any()
    }:
        figures["works_blocked"] = blocked_counts
    if relaxed := {name: dict(sorted(counts.items())) for name, counts in relaxed_counts.items() if counts}:
        figures["lists_that_gave_way"] = relaxed
    # The manifests also hold what each filter and constraint changed, for the report. It is too long for a log line.
    manifest_figures = {**figures, "changes": [impact.to_dict() for impact in measure_impacts(scored_tables)]}
    row_counts = {
        table: night.commit(table, parts, manifest_figures, data.model_version).rows for table, parts in writers.items()
    }
    return figures | row_counts


@contextmanager
def _open_maker(night: Night, scored_tables: "ScoredTables") -> Iterator[ShardMaker]:
    """Yield what makes the shards: this process for one worker, else tasks of Ray."""
    if night.recipe.score.workers == 1:
        yield LocalShardMaker(night, scored_tables)
        return
    from jobs.scoring.ray_shards import RayShardMaker

    with RayShardMaker(night, scored_tables) as maker:
        yield maker


def _make_in_shards(
    night: Night,
    table: str,
    total: int,
    size: int,
    maker: ShardMaker,
    relaxed_counts: dict[str, Counter[str]] | None = None,
) -> dict[str, list[Part]]:
    """Make a table of `total` users or artworks in shards of `size`; return the parts of each shard's writer.

    Shards that a killed run committed from the same inputs are taken over. `relaxed_counts` is increased by the shards'
    counts of relaxed constraints.
    """
    shards = cut_shards(total, size)
    earlier = {shard: night.lake.find_writer(table, night.day, shard.writer, night.fingerprint) for shard in shards}
    manifests = {shard: manifest for shard, manifest in earlier.items() if manifest is not None}
    with progress(f"score {table}", total) as advance:
        advance(sum(shard.end - shard.begin for shard in manifests))
        for shard, manifest in maker.make(table, size, [shard for shard in shards if shard not in manifests]):
            manifests[shard] = manifest
            advance(shard.end - shard.begin)
    for manifest in manifests.values():
        for strategy, counts in manifest.figures.items():
            if relaxed_counts is not None:
                relaxed_counts[strategy].update(counts)
    return {shard.writer: manifests[shard].parts for shard in shards}


def _make_all_pairs(night: Night, scored_tables: "ScoredTables", maker: ShardMaker) -> dict[str, list[Part]]:
    """Make the table of all pairs, some users at a time. Raises `ArtrecError` if the disk is too small for it."""
    from artrec_core.recs.tables.all_pairs import BYTES_PER_PAIR, users_per_piece

    users, artworks = scored_tables.data.shape
    strategies = len(scored_tables.foldings)
    needed_bytes, free_bytes = users * artworks * strategies * BYTES_PER_PAIR, night.lake.free_bytes()
    if free_bytes is not None and needed_bytes > free_bytes:
        raise ArtrecError(
            f"score.keep_all_pairs: {users:,} users x {artworks:,} artworks x {strategies} strategies are about"
            f" {needed_bytes:,} bytes, and {night.recipe.store.lake} has {free_bytes:,} free;"
            " free disk space, use fewer strategies or turn it off"
        )
    return _make_in_shards(night, ALL_PAIRS, users, users_per_piece(artworks, strategies), maker)


def _warn_about_filters(scored_tables: "ScoredTables") -> None:
    """Warn about block-list entries and floor groups that match no artwork, and about filters that leave too few."""
    for name, builder in scored_tables.list_builders.items():
        if unmatched := scored_tables.blocked[name].unmatched:
            examples = ", ".join(unmatched[:3]) + (", ..." if len(unmatched) > 3 else "")
            log.warning(
                "strategy %s: %d entries of the block list match no artwork: %s", name, len(unmatched), examples
            )
        for group, count in builder.floor_group_sizes().items():
            if count == 0:
                log.warning("strategy %s: no artwork that it may show is in the floor's group %s", name, group)
        if 0 < (allowed_count := int(builder.allowed.mask.sum())) < scored_tables.score.k:
            log.warning(
                "strategy %s: filters and block lists leave %d artworks for lists of %d",
                name,
                allowed_count,
                scored_tables.score.k,
            )


def _text_tables(recipe: Recipe) -> list[str]:
    """The tables of text vectors that the strategies need."""
    if _has_weight(recipe, "text"):
        return ["text_vectors", "interest_vectors"]
    by_text = any(strategy.diversity is not None and strategy.diversity.by == "text" for strategy in recipe.strategies)
    return ["text_vectors"] if by_text else []


def _has_weight(recipe: Recipe, component: str) -> bool:
    return any(getattr(strategy.weights, component) for strategy in recipe.strategies)


def _earlier_nights(night: Night) -> list[str]:
    """The earlier nights that freshness and exploration look at, oldest first. Empty if no strategy needs them."""
    explorations = [strategy.exploration for strategy in night.recipe.strategies if strategy.exploration is not None]
    if not _has_weight(night.recipe, "freshness") and all(exploration.nights is None for exploration in explorations):
        return []
    return [day for day in night.lake.days("catalogue", night.day) if day < night.day][-NIGHTS_BACK:]


def _first_nights(night: Night) -> pl.DataFrame:
    """The first earlier night with each artwork in its catalogue: ARTWORK_ID, `night`."""
    nights = [
        night.lake.read("catalogue", day).select(ARTWORK_ID, pl.lit(day).alias("night"))
        for day in _earlier_nights(night)
    ]
    empty = pl.DataFrame(schema={ARTWORK_ID: pl.String, "night": pl.String})
    return pl.concat([empty, *nights]).group_by(ARTWORK_ID).agg(pl.col("night").min())


STEP = Step(
    name="score",
    help="Score every user–artwork pair: recommendations, similar artworks, audiences, popular artworks.",
    outputs=TABLES,
    inputs=inputs,
    settings=settings,
    run=run,
    outputs_exist=outputs_exist,
)

if __name__ == "__main__":
    main(STEP)
