"""score: every person against every artwork, and what apps read made from it."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from artrec_core.config import Recipe
from artrec_core.lake import Part
from jobs.progress import progress
from jobs.step import Figures, Night, Step, main

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.recs.tables import Piece

INPUTS = ("catalogue", "histories", "people", "item_vectors", "user_vectors")
TABLES = ("recommendations", "similar_artworks", "artwork_audiences", "popular_artworks")
# Freshness looks back over so many nights.
NIGHTS_BACK = 60


def inputs(night: Night) -> dict[str, str]:
    """The night's tables; and the catalogues of earlier nights where a strategy asks how new a work is."""
    tables = [*INPUTS, *(["text_vectors"] if _weighs(night.recipe, "text") else [])]
    read = [(table, night.day) for table in tables] + [("catalogue", day) for day in _earlier_nights(night)]
    return {f"{table}@{day}": night.lake.manifest(table, day).digest for table, day in read}


def settings(recipe: Recipe) -> list[Any]:
    """What the tables depend on."""
    return [recipe.score, *recipe.strategies, recipe.publish.strategy]


def run(night: Night) -> Figures:
    """Make every table shard by shard, then swap all of them in."""
    from artrec_core.recs.tables import Scored
    from artrec_core.recs.world import Tables, World

    recipe, day, read = night.recipe, night.day, night.lake.read
    world = World(
        Tables(
            day,
            **{table: read(table, day) for table in INPUTS},
            text_vectors=read("text_vectors", day) if _weighs(recipe, "text") else None,
            first_nights=_first_nights(night),
        )
    )
    scored = Scored(world, recipe.strategies, recipe.publish.strategy, recipe.score)
    people, works = world.shape
    writers = {
        "recommendations": _in_shards(night, "recommendations", people, scored.recommendations),
        "similar_artworks": _in_shards(night, "similar_artworks", works, scored.similar_artworks),
        "artwork_audiences": _in_shards(night, "artwork_audiences", works, scored.artwork_audiences),
        "popular_artworks": {"all": [night.lake.write_part("popular_artworks", day, scored.popular_artworks())]},
    }
    lists = scored.people_by_list()
    figures: Figures = {
        "people": people,
        "artworks": works,
        "strategies": len(recipe.strategies),
        "pairs": people * works * len(recipe.strategies),
        "people_with_own_list": lists["own"],
        "people_with_popular_list": lists["popular"],
        "spreads": {name: folding.spreads for name, folding in scored.foldings.items()},
    }
    rows = {table: night.commit(table, parts, figures, world.model_version).rows for table, parts in writers.items()}
    return figures | rows


def _in_shards(night: Night, table: str, total: int, rows: "Piece") -> dict[str, list[Part]]:
    """Make a table shard by shard, each its own writer; a shard that a killed run of the same inputs made is taken over."""
    writers: dict[str, list[Part]] = {}
    cuts = [*range(0, total, night.recipe.score.shard_people), total]
    with progress(f"score {table}", total) as advance:
        for number, (begin, end) in enumerate(pairwise(cuts)):
            writer = f"shard-{number:06d}"
            done = night.lake.find_writer(table, night.day, writer, night.fingerprint)
            if done is None:
                part = night.lake.write_part(table, night.day, rows(begin, end))
                done = night.lake.commit_writer(table, night.day, writer, [part], night.fingerprint)
            writers[writer] = done.parts
            advance(end - begin)
    return writers


def _weighs(recipe: Recipe, component: str) -> bool:
    return any(getattr(strategy.weights, component) for strategy in recipe.strategies)


def _earlier_nights(night: Night) -> list[str]:
    """The nights before this one that freshness looks at, oldest first; none where no strategy weighs it."""
    if not _weighs(night.recipe, "freshness"):
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
)

if __name__ == "__main__":
    main(STEP)
