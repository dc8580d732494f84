"""How well can the artworks of a hidden museum be ranked at best? `python -m tests.benchmarks.transfer_ceiling --help`

Needs the tables of a run with SIMULATED visitors (after `prepare`, or `artrec evaluate`). Tests the users whose test
artwork belongs to the museum, and ranks its artworks among themselves. An oracle ranks them: it knows every visitor's
tastes and mood. It knows less and less of the artworks: everything; all but popularity; only what texts say; only the
facets (a century, a material, a kind of artwork, a creator) that artworks of other museums share. Users of other
museums can teach nothing beyond the last rows.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, OCCURRED_AT, POSITIVE, USER_ID
from artrec_core.config import load
from artrec_core.data.demo.tastes import LatentSpace, facet_vectors, normalise, own_vectors
from artrec_core.evaluation.metrics import rank_accuracy, ranks_of_scores
from artrec_core.model.training_split import read_training_split
from jobs.crawl import Crawl
from jobs.step import Night
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption

TABLE = "transfer_ceiling.py"
K = 10
# Facets that at least this many artworks of other museums have.
SHARED_BY = (1, 5)


def limited_spaces(space: LatentSpace, in_museum: np.ndarray, seed: int) -> Iterator[tuple[str, LatentSpace]]:
    """What the oracle knows, and the latent space with that knowledge.

    Parameters
    ----------
    space
        The true latent space.
    in_museum
        (I,) whether an artwork belongs to the museum.
    seed
        The seed of the simulated visitors.
    """
    facets = facet_vectors(space.facets, seed)
    mean = (space.facet_weights.T @ facets + own_vectors(space.artwork_ids, seed)).mean(axis=0)
    counts_elsewhere = np.asarray((space.facet_weights[:, ~in_museum] > 0).sum(axis=1)).ravel()
    unpopular = replace(space, log_popularity=np.zeros_like(space.log_popularity))

    def from_facets(min_count: int) -> LatentSpace:
        weights = space.facet_weights.multiply((counts_elsewhere >= min_count)[:, None]).tocsr()
        vectors = np.where(in_museum[:, None], normalise(weights.T @ facets - mean), space.artwork_vectors)
        return replace(unpopular, artwork_vectors=vectors)

    yield "everything", space
    yield "all but popularity", unpopular
    yield "what texts say", from_facets(0)
    for count in SHARED_BY:
        yield f"facets that {count} or more artworks of other museums share", from_facets(count)


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE)
    parser.add_argument("--config", default="infra/recipes/transfer.toml")
    parser.add_argument("--date", default="2026-03-30")
    parser.add_argument("--museum", default="carnegie", help="a source of the recipe")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_options()
    recipe = load(options.config, options.overrides)
    night = Night(recipe, options.date)
    visitors = next(source for source in recipe.events if source.kind == "simulated")
    truth = Crawl(night).simulation(visitors.name).truth
    split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
    of_museum = pl.col(ARTWORK_ID).str.starts_with(f"{options.museum}:")
    positives = night.lake.read("histories", night.day).filter(POSITIVE).group_by(USER_ID, ARTWORK_ID)
    first_times = positives.agg(pl.col(OCCURRED_AT).min())
    tests = split.held_out.test.filter(of_museum)
    tests = tests.join(first_times, on=[USER_ID, ARTWORK_ID], maintain_order="left")
    artwork_ids = split.catalogue.filter(of_museum)[ARTWORK_ID].to_list()
    if not tests.height:
        parser.error(f"no user has a test artwork of {options.museum}; give another --museum")
    row_of = {artwork_id: row for row, artwork_id in enumerate(artwork_ids)}
    targets = np.array([row_of[artwork_id] for artwork_id in tests[ARTWORK_ID]], np.int32)
    in_museum = np.array([artwork_id.startswith(f"{options.museum}:") for artwork_id in truth.space.artwork_ids])
    table = ReadmeTable(TABLE, "what the oracle knows of the artworks", f"NDCG@{K}", f"HR@{K}")
    for name, space in limited_spaces(truth.space, in_museum, visitors.seed):
        scores = replace(truth, space=space).scores(tests[USER_ID].to_list(), artwork_ids, tests[OCCURRED_AT].to_list())
        better, tied = ranks_of_scores(scores, targets)
        values = rank_accuracy(better, tied, [K])
        table.add_row(name, *(f"{values[f'{metric}@{K}'].mean():.4f}" for metric in ("ndcg", "hr")))
    sizes = (
        f"{tests.height:,} SIMULATED users, {len(artwork_ids):,} artworks of {options.museum} ranked among themselves"
    )
    table.finish(make_caption(sizes=sizes), write=options.write)


if __name__ == "__main__":
    main()
