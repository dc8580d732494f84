"""score: every person against every artwork, and what apps read made from it."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import Part
from jobs.progress import progress
from jobs.scoring.inputs import block_digests, check_one_run
from jobs.scoring.shards import InProcess, Maker, cut
from jobs.step import Figures, Night, Step, main

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.recs.tables.scored_tables import ScoredTables

INPUTS = ("catalogue", "histories", "people", "item_vectors", "user_vectors")
TABLES = ("recommendations", "similar_artworks", "artwork_audiences", "popular_artworks")
ALL_PAIRS = "all_pairs"
# Freshness and exploration look back over so many nights.
NIGHTS_BACK = 60

log = logging.getLogger("artrec")


def inputs(night: Night) -> dict[str, str]:
    """The night's tables; the catalogues of earlier nights where a strategy asks how new a work is; files of block lists."""
    read = [(table, night.day) for table in (*INPUTS, *_text_tables(night.recipe))]
    read += [("catalogue", day) for day in _earlier_nights(night)]
    found = {f"{table}@{day}": night.lake.manifest(table, day).digest for table, day in read}
    check_one_run(night, ("item_vectors", "user_vectors"), "embed")
    return found | block_digests(night.recipe)


def settings(recipe: Recipe) -> list[Any]:
    """What the tables and their shards depend on; how many work on them, and with what, changes nothing."""
    return [
        recipe.score.model_dump(mode="json", exclude={"workers", "threads", "memory_mb"}),
        *recipe.strategies,
        recipe.publish.strategy,
    ]


def stands(night: Night) -> bool:
    """Whether every table that the recipe asks for is there, made from the same inputs."""
    asked = [*TABLES, *([ALL_PAIRS] if night.recipe.score.keep_all_pairs else [])]
    return all(night.lake.stands(table, night.day, night.fingerprint) for table in asked)


def run(night: Night) -> Figures:
    """Make every table shard by shard, then swap all of them in."""
    from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables
    from artrec_core.recs.tables.scored_tables import ScoredTables
    from artrec_core.recs.tables.strategy_impact import measure_impacts

    recipe, day, read = night.recipe, night.day, night.lake.read
    world = ScoringData(
        ScoringTables(
            day,
            **{table: read(table, day) for table in (*INPUTS, *_text_tables(recipe))},
            first_nights=_first_nights(night),
        )
    )
    scored = ScoredTables(world, recipe.strategies, recipe.publish.strategy, recipe.score)
    _say_what_is_left(scored)
    people, works = world.shape
    size, gave_way = recipe.score.shard_users, {one.name: Counter[str]() for one in recipe.strategies}
    with _maker(night, scored) as maker:
        writers = {
            "recommendations": _in_shards(night, "recommendations", people, size, maker, gave_way),
            "similar_artworks": _in_shards(night, "similar_artworks", works, size, maker),
            "artwork_audiences": _in_shards(night, "artwork_audiences", works, size, maker),
            "popular_artworks": {"all": [night.lake.write_part("popular_artworks", day, scored.popular_artworks())]},
        }
        if recipe.score.keep_all_pairs:
            writers[ALL_PAIRS] = _all_pairs(night, scored, maker)
    lists = scored.count_users_by_list()
    figures: Figures = {
        "people": people,
        "artworks": works,
        "strategies": len(recipe.strategies),
        "pairs": people * works * len(recipe.strategies),
        "people_with_own_list": lists["own"],
        "people_with_popular_list": lists["popular"],
        "spreads": {name: folding.spreads for name, folding in scored.foldings.items()},
    }
    if out := {name: int(one.mask.sum()) for name, one in scored.blocked.items() if one.mask.any()}:
        figures["works_blocked"] = out
    if given := {name: dict(sorted(counts.items())) for name, counts in gave_way.items() if counts}:
        figures["lists_that_gave_way"] = given
    # What each line of a strategy changed is for the report; a log would drown in it.
    told = {**figures, "changes": [change.to_dict() for change in measure_impacts(scored)]}
    rows = {table: night.commit(table, parts, told, world.model_version).rows for table, parts in writers.items()}
    return figures | rows


@contextmanager
def _maker(night: Night, scored: "ScoredTables") -> Iterator[Maker]:
    """Who makes the shards: this process, or Ray's tasks."""
    if night.recipe.score.workers == 1:
        yield InProcess(night, scored)
        return
    from jobs.scoring.ray_shards import OnRay

    with OnRay(night, scored) as on_ray:
        yield on_ray


def _in_shards(
    night: Night, table: str, total: int, size: int, maker: Maker, gave_way: dict[str, Counter[str]] | None = None
) -> dict[str, list[Part]]:
    """Make a table shard by shard, each its own writer; a shard that a killed run of the same inputs made is taken over.

    What shards count is added to `gave_way`.
    """
    shards = cut(total, size)
    looked = {one: night.lake.find_writer(table, night.day, one.writer, night.fingerprint) for one in shards}
    done = {one: manifest for one, manifest in looked.items() if manifest is not None}
    with progress(f"score {table}", total) as advance:
        advance(sum(one.end - one.begin for one in done))
        for shard, manifest in maker.make(table, size, [one for one in shards if one not in done]):
            done[shard] = manifest
            advance(shard.end - shard.begin)
    for manifest in done.values():
        for strategy, counts in manifest.figures.items():
            if gave_way is not None:
                gave_way[strategy].update(counts)
    return {one.writer: done[one].parts for one in shards}


def _all_pairs(night: Night, scored: "ScoredTables", maker: Maker) -> dict[str, list[Part]]:
    """Every pair's score, some people at a time; refused where the disk could not hold them."""
    from artrec_core.recs.tables.all_pairs import BYTES_PER_PAIR, users_per_piece

    people, works = scored.data.shape
    strategies = len(scored.foldings)
    needed, free = people * works * strategies * BYTES_PER_PAIR, night.lake.free_bytes()
    if free is not None and needed > free:
        raise ArtrecError(
            f"score.keep_all_pairs: {people:,} people x {works:,} works x {strategies} strategies are about {needed:,}"
            f" bytes, and {night.recipe.store.lake} has {free:,} free; make room, take fewer strategies or turn it off"
        )
    return _in_shards(night, ALL_PAIRS, people, users_per_piece(works, strategies), maker)


def _say_what_is_left(scored: "ScoredTables") -> None:
    """Warn of block lists whose entries match nothing, of floors for no work, and of filters that leave less than a list."""
    for name, lists in scored.list_builders.items():
        if unmatched := scored.blocked[name].unmatched:
            shown = ", ".join(unmatched[:3]) + (", ..." if len(unmatched) > 3 else "")
            log.warning("strategy %s: %d entries of the block list match no work: %s", name, len(unmatched), shown)
        for floor, works in lists.floor_group_sizes().items():
            if works == 0:
                log.warning("strategy %s: no work that it may show is in the floor's group %s", name, floor)
        if 0 < (left := int(lists.allowed.mask.sum())) < scored.score.k:
            log.warning(
                "strategy %s: filters and block lists leave %d works for lists of %d", name, left, scored.score.k
            )


def _text_tables(recipe: Recipe) -> list[str]:
    """The tables of text vectors that the strategies need."""
    if _weighs(recipe, "text"):
        return ["text_vectors", "interest_vectors"]
    by_text = any(one.diversity is not None and one.diversity.by == "text" for one in recipe.strategies)
    return ["text_vectors"] if by_text else []


def _weighs(recipe: Recipe, component: str) -> bool:
    return any(getattr(strategy.weights, component) for strategy in recipe.strategies)


def _earlier_nights(night: Night) -> list[str]:
    """The nights before this one that freshness and exploration look at, oldest first; none where no strategy asks."""
    explored = [one.exploration for one in night.recipe.strategies if one.exploration is not None]
    if not _weighs(night.recipe, "freshness") and all(one.nights is None for one in explored):
        return []
    return [day for day in night.lake.days("catalogue", night.day) if day < night.day][-NIGHTS_BACK:]


def _first_nights(night: Night) -> "pl.DataFrame":
    """The first of the earlier nights that knew each work: artwork_id, night."""
    import polars as pl

    nights = [
        night.lake.read("catalogue", day).select("artwork_id", pl.lit(day).alias("night"))
        for day in _earlier_nights(night)
    ]
    none = pl.DataFrame(schema={"artwork_id": pl.String, "night": pl.String})
    return pl.concat([none, *nights]).group_by("artwork_id").agg(pl.col("night").min())


STEP = Step(
    name="score",
    help="Score every person against every artwork: recommendations, similar works, audiences, popular works.",
    outputs=TABLES,
    inputs=inputs,
    settings=settings,
    run=run,
    stands=stands,
)

if __name__ == "__main__":
    main(STEP)
