"""How well could the works of an unseen museum be ranked at all? `python -m tests.benchmarks.transfer_ceiling --help`

On a night's tables with SIMULATED visitors (after `prepare`, or `artrec evaluate`): the people whose test work is the museum's,
its works ranked among themselves, by an oracle that knows every visitor's tastes and mood. It is told less and less of the works:
with their popularity; without; without what no text tells of a work; and at last only those facets (a century, a material, a
kind of work, a maker) that works of the other museums have too. What stands beyond the last lines can be learnt from
no other museum's people.
"""

import argparse
from dataclasses import replace

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, OCCURRED_AT, POSITIVE, USER_ID
from artrec_core.config import load
from artrec_core.data.demo.tastes import LatentSpace, facet_vectors, normalise, own_vectors
from artrec_core.evaluation.metrics import rank_accuracy, ranks_of_scores
from artrec_core.model.training_split import read_training_split
from artrec_core.processor import describe_machine
from jobs.crawl import Crawl
from jobs.step import Night

K = 10


def spaces(space: LatentSpace, museum: np.ndarray, seed: int) -> dict[str, LatentSpace]:
    """What the oracle is told of the works; `museum` (works,) says which are the museum's."""
    facets = facet_vectors(space.facets, seed)
    mean = (space.facet_weights.T @ facets + own_vectors(space.artwork_ids, seed)).mean(axis=0)
    elsewhere = np.asarray((space.facet_weights[:, ~museum] > 0).sum(axis=1)).ravel()
    flat = replace(space, log_popularity=np.zeros_like(space.log_popularity))

    def told(least: int) -> LatentSpace:
        known = space.facet_weights.multiply((elsewhere >= least)[:, None]).tocsr()
        return replace(
            flat,
            artwork_vectors=np.where(museum[:, None], normalise(known.T @ facets - mean), space.artwork_vectors),
        )

    return {
        "all": space,
        "all but popularity": flat,
        "what texts tell": told(0),
        "facets of at least 1 work elsewhere": told(1),
        "facets of at least 5 works elsewhere": told(5),
    }


def main() -> None:
    """Print NDCG@10 and HR@10, a line for each thing the oracle is told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="infra/recipes/transfer.toml")
    parser.add_argument("--date", default="2026-03-30")
    parser.add_argument("--museum", default="carnegie", help="a source of the recipe")
    parser.add_argument("--set", action="append", default=[], dest="given", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    print(describe_machine())
    recipe = load(arguments.config, arguments.given)
    night = Night(recipe, arguments.date)
    visitors = recipe.simulated_sources[0]
    truth = Crawl(night).simulation(visitors.name).truth
    split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
    of_museum = pl.col(ARTWORK_ID).str.starts_with(f"{arguments.museum}:")
    when = night.lake.read("histories", night.day).filter(POSITIVE).group_by(USER_ID, ARTWORK_ID)
    test = split.held_out.test.filter(of_museum).join(
        when.agg(pl.col(OCCURRED_AT).min()), on=[USER_ID, ARTWORK_ID], maintain_order="left"
    )
    works = split.catalogue.filter(of_museum)[ARTWORK_ID].to_list()
    row = {work: at for at, work in enumerate(works)}
    targets = np.array([row[work] for work in test[ARTWORK_ID]], np.int32)
    museum = np.array([work.startswith(f"{arguments.museum}:") for work in truth.space.artwork_ids])
    print(
        f"{test.height} SIMULATED people, {len(works):,} works of {arguments.museum} among themselves; an oracle told of"
    )
    for name, space in spaces(truth.space, museum, visitors.seed).items():
        scores = replace(truth, space=space).scores(test[USER_ID].to_list(), works, test[OCCURRED_AT].to_list())
        better, tied = ranks_of_scores(scores, targets)
        figures = rank_accuracy(better, tied, [K])
        print(
            f"{name:40} NDCG@{K} {figures[f'ndcg@{K}'].mean():.4f}  HR@{K} {figures[f'hr@{K}'].mean():.4f}", flush=True
        )


if __name__ == "__main__":
    main()
