"""What does somebody get who stated interests and has no events yet? `python -m tests.benchmarks.interests --config … --date …`

On the night's tables (after `prepare`): a share of the people who stated interests is taken out, whole histories and all; the
model is trained on the others as the recipe says, and ranks all works for those by what they wrote alone. Every work they
have a positive event with is right. Beside it stand the most popular works, and the works whose documents are nearest to
what was written, by the same text tower.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array

from artrec_core.columns import INTERESTS, POSITIVE, USER_ID
from artrec_core.config import Recipe, load
from artrec_core.data.holdout import MIN_POSITIVES, Holdout
from artrec_core.evaluation.metrics import accuracy, bootstrap
from artrec_core.evaluation.ranking import held_out_ndcg
from artrec_core.lake import Lake
from artrec_core.model.base_models import text_base
from artrec_core.model.embeddings import item_vectors, user_vectors
from artrec_core.model.run import MODEL, VECTORS, Run, WorkerGroup
from artrec_core.model.sequences import build_sequences
from artrec_core.model.text_encoder import encode
from artrec_core.model.train_loop import train
from artrec_core.model.training_data import TrainingData
from artrec_core.model.training_split import TrainingSplit, read_training_split
from artrec_core.model.two_tower import TwoTower
from artrec_core.processor import describe_machine

K = 10


def taken_out(split: TrainingSplit, share: float, seed: int) -> list[str]:
    """People who stated interests and have enough positive events to be marked by."""
    stated = split.people.filter(pl.col(INTERESTS).str.strip_chars().str.len_chars() > 0)[USER_ID]
    liked = split.held_out.before_test.filter(POSITIVE).group_by(USER_ID).len().filter(pl.col("len") >= MIN_POSITIVES)
    known = sorted(set(stated) & set(liked[USER_ID]))
    return np.random.default_rng(seed).permutation(known)[: round(share * len(known))].tolist()


def without(split: TrainingSplit, people: list[str]) -> TrainingSplit:
    """The same split, but these people have done nothing."""
    held_out = split.held_out
    frames = (held_out.train, held_out.validation, held_out.before_test, held_out.test)
    kept = Holdout(*(one.filter(~pl.col(USER_ID).is_in(people)) for one in frames))
    return replace(split, held_out=kept)


def ranked(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :K].astype(np.int32)


def fitted(recipe: Recipe, data: TrainingData, seed: int, folder: Path) -> tuple[TwoTower, np.ndarray]:
    """The model, and the text vectors of the documents."""
    base = text_base(recipe.model, recipe.store.models, lambda: data.documents)
    settings = recipe.train.model_copy(update={"seed": seed, "launcher": "process"})
    train(Run(folder, base, recipe.model, settings, recipe.encode, WorkerGroup()), data, held_out_ndcg)
    return TwoTower.load(folder / MODEL), np.load(folder / VECTORS)[: len(data.documents)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--set", action="append", default=[], dest="given", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--share", type=float, default=0.5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine(1))
    recipe = load(arguments.config, arguments.given)
    split = read_training_split(Lake(recipe.store.lake), arguments.date, holdout=recipe.train.holdout)
    asked = taken_out(split, arguments.share, seed=1)
    data = without(split, asked).training_data(refit=recipe.train.refit and recipe.train.holdout)
    people = split.people.filter(pl.col(USER_ID).is_in(asked)).sort(USER_ID)
    liked = build_sequences(split.held_out.before_test.filter(POSITIVE), people[USER_ID].to_list(), split.artwork_ids)
    right = csr_array(
        (np.ones(len(liked.artworks), np.float32), liked.artworks, liked.starts), (people.height, len(data.documents))
    )
    right.sum_duplicates()
    counts = np.bincount(data.histories.artworks, minlength=len(data.documents))
    found = {"popularity": [np.tile(counts, (people.height, 1))]}
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            tower, text = fitted(recipe, data, seed, Path(folder))
            works = item_vectors(tower, split.artwork_ids, text)
            users = user_vectors(tower, people, split.held_out.before_test.clear(), split.artwork_ids, works)
            found.setdefault("nearest documents", []).append(
                encode(tower.text_encoder, people[INTERESTS].to_list()) @ text.T
            )
            found.setdefault("model", []).append(users @ works.T)
    kind = "SIMULATED people" if people["simulated"].all() else "people"
    print(
        f"{people.height} {kind} by their words alone, {len(data.documents):,} works, {right.nnz / people.height:.1f} of them right a person"
    )
    each = {name: [accuracy(ranked(scores), right, [K]) for scores in seeds] for name, seeds in found.items()}
    for name, seeds in each.items():
        means = {
            f"{figure}@{K}": bootstrap(np.mean([one[f"{figure}@{K}"] for one in seeds], 0)) for figure in ("hr", "ndcg")
        }
        told = [f"{figure} {one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for figure, one in means.items()]
        print(f"{name:20} {'  '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
