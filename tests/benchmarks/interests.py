"""Quality for users who stated interests and have no events: `python -m tests.benchmarks.interests --config … --date …`

Needs the tables of a run (after `prepare`). A share of the users who stated interests is taken out of training with
their whole histories. The model is trained on the other users as the recipe says. Then it ranks all artworks for the
users without histories by their stated interests alone. Every artwork that they have a positive event with is relevant.
Baselines: the most popular artworks, and the artworks whose documents are nearest to the interests by the same text tower.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array

from artrec_core.columns import INTERESTS, POSITIVE, SIMULATED, USER_ID
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
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption

TABLE = "interests.py"
K = 10
METRICS = (f"hr@{K}", f"ndcg@{K}")


def sample_users(split: TrainingSplit, share: float, seed: int) -> list[str]:
    """A share of the users who stated interests and have enough positive events to be measured on."""
    stated = split.people.filter(pl.col(INTERESTS).str.strip_chars().str.len_chars() > 0)[USER_ID]
    counts = split.held_out.before_test.filter(POSITIVE).group_by(USER_ID).len("positives")
    active = counts.filter(pl.col("positives") >= MIN_POSITIVES)[USER_ID]
    users = sorted(set(stated) & set(active))
    return np.random.default_rng(seed).permutation(users)[: round(share * len(users))].tolist()


def remove_histories(split: TrainingSplit, user_ids: list[str]) -> TrainingSplit:
    """The same split without any event of these users."""
    held_out = split.held_out
    frames = (held_out.train, held_out.validation, held_out.before_test, held_out.test)
    return replace(split, held_out=Holdout(*(frame.filter(~pl.col(USER_ID).is_in(user_ids)) for frame in frames)))


def best_ids(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :K].astype(np.int32)


def train_model(recipe: Recipe, data: TrainingData, seed: int, folder: Path) -> tuple[TwoTower, np.ndarray]:
    """The trained model, and the text vectors of the documents (I, text_dim)."""
    base = text_base(recipe.model, recipe.store.models, lambda: data.documents)
    settings = recipe.train.model_copy(update={"seed": seed, "launcher": "process"})
    train(Run(folder, base, recipe.model, settings, recipe.encode, WorkerGroup()), data, held_out_ndcg)
    return TwoTower.load(folder / MODEL), np.load(folder / VECTORS)[: len(data.documents)]


def score_users(
    recipe: Recipe, split: TrainingSplit, data: TrainingData, users: pl.DataFrame, seeds: list[int]
) -> dict[str, list[np.ndarray]]:
    """Scores (U, I) of these users by ranker, one matrix per seed; popularity has no seed."""
    counts = np.bincount(data.histories.artworks, minlength=len(data.documents))
    popularity = [np.tile(counts, (users.height, 1))]
    by_documents, by_model = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            tower, text = train_model(recipe, data, seed, Path(folder))
            artwork_vectors = item_vectors(tower, split.artwork_ids, text)
            no_events = split.held_out.before_test.clear()
            vectors = user_vectors(tower, users, no_events, split.artwork_ids, artwork_vectors)
            by_documents.append(encode(tower.text_encoder, users[INTERESTS].to_list()) @ text.T)
            by_model.append(vectors @ artwork_vectors.T)
    return {"popularity": popularity, "nearest documents": by_documents, "**artrec**": by_model}


def relevant_artworks(split: TrainingSplit, users: pl.DataFrame) -> csr_array:
    """A CSR (U, I) of the artworks that each of these users has a positive event with."""
    positives = split.held_out.before_test.filter(POSITIVE)
    histories = build_sequences(positives, users[USER_ID].to_list(), split.artwork_ids)
    ones = np.ones(len(histories.artworks), np.float32)
    relevant = csr_array((ones, histories.artworks, histories.starts), (users.height, len(split.artwork_ids)))
    relevant.sum_duplicates()
    return relevant


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE)
    parser.add_argument("--config", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--share", type=float, default=0.5, help="of the users who stated interests")
    options = parser.parse_options()
    torch.set_num_threads(1)
    recipe = load(options.config, options.overrides)
    split = read_training_split(Lake(recipe.store.lake), options.date, holdout=recipe.train.holdout)
    user_ids = sample_users(split, options.share, seed=1)
    data = remove_histories(split, user_ids).training_data(refit=recipe.train.refit and recipe.train.holdout)
    users = split.people.filter(pl.col(USER_ID).is_in(user_ids)).sort(USER_ID)
    relevant = relevant_artworks(split, users)
    scores_by_ranker = score_users(recipe, split, data, users, options.seeds)
    table = ReadmeTable(TABLE, "", *(metric.upper() for metric in METRICS))
    for name, scores_by_seed in scores_by_ranker.items():
        values = [accuracy(best_ids(scores), relevant, [K]) for scores in scores_by_seed]
        means = [bootstrap(np.mean([by_metric[metric] for by_metric in values], 0)) for metric in METRICS]
        table.add_row(name, *(f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]" for mean in means))
    kind = "SIMULATED users" if users[SIMULATED].all() else "users"
    mean_count = relevant.nnz / users.height
    caption = make_caption(
        sizes=f"{users.height} {kind} without events, {len(data.documents):,} artworks, {mean_count:.1f} relevant per user",
        threads=1,
        notes=[f"seeds {', '.join(map(str, options.seeds))}"],
    )
    table.finish(caption, write=options.write)


if __name__ == "__main__":
    main()
