"""Training of our model and its ablations for an evaluation, by the code of the nightly training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from artrec_core.arrays import Float32Array
from artrec_core.columns import ARTWORK_ID, DOCUMENT, INTERESTS, USER_ID
from artrec_core.config import Recipe
from artrec_core.data.rows import row_numbers
from artrec_core.evaluation.ablations import ID_ONLY, NO_INTERESTS
from artrec_core.evaluation.ranking import VectorModel, held_out_ndcg
from artrec_core.evaluation.task import EvaluationTask
from artrec_core.model.distributed.launch import launch
from artrec_core.model.embeddings import item_vectors, text_lookup, text_vectors, trained_text_vectors, user_vectors
from artrec_core.model.run import METRICS, MODEL
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TwoTower

_WITHOUT_INTERESTS = (ID_ONLY, NO_INTERESTS)


def train_variant(task: EvaluationTask, recipe: Recipe, name: str, folder: Path, base: Path) -> VectorModel:
    """Train a model on a task.

    Hidden artworks take no part in training, not even as negatives: they stand for artworks that enter the catalogue
    after training. A training that was killed is resumed.

    Parameters
    ----------
    task
        The evaluation task.
    recipe
        The recipe of this variant, from `ablations.variant`.
    name
        Name of the variant.
    folder
        Folder of the training run.
    base
        Folder of the base text model.

    Returns
    -------
    Vectors of the test users (n, d) and of all artworks (I, d).
    """
    data = training_data(task, recipe, name)
    data.save(folder / "data")
    launch(recipe, folder, base, held_out_ndcg)
    tower = TwoTower.load(folder / MODEL)
    text = trained_text_vectors(data, folder)
    artworks = item_vectors(tower, task.artwork_ids, _artwork_texts(task, tower, data, text, name))
    users = task.test_users.join(_users(task, name), on=USER_ID, how="left", maintain_order="left")
    lookup = text_lookup(data.texts, text)
    return VectorModel(name, user_vectors(tower, users, task.before_test, task.artwork_ids, artworks, lookup), artworks)


def best_validation(folder: Path) -> float | None:
    """The best metric on the validation artworks: the one of the selected weights."""
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return max((line["validation"] for line in lines if "validation" in line), default=None)


def training_data(task: EvaluationTask, recipe: Recipe, name: str) -> TrainingData:
    """Training data of a variant: the task without hidden artworks and without texts that the variant does not use."""
    visible = task.catalogue.filter(~pl.col(ARTWORK_ID).is_in(task.hidden_ids))
    visible_rows = row_numbers(visible[ARTWORK_ID], task.artwork_ids).tolist()
    training_rows = {row: number for number, row in enumerate(visible_rows)}
    queries = [(text, training_rows[row]) for text, row in task.queries if row in training_rows]
    data = TrainingData.from_frames(
        visible,
        _users(task, name),
        [] if name == ID_ONLY else queries,
        train=task.train,
        validation=task.validation,
        before_test=task.before_test if recipe.train.refit else None,
    )
    if name == ID_ONLY:
        return replace(data, text_vectors=np.zeros((visible.height, recipe.model.dim), np.float32))
    if recipe.model.tuning != "frozen" or task.text_vectors is None:
        return data
    text_rows = {text: row for row, text in enumerate(task.texts)}
    data = replace(data, queries=[(text, artwork) for text, artwork in data.queries if text in text_rows])
    return replace(data, text_vectors=task.text_vectors[[text_rows[text] for text in data.texts]])


def _users(task: EvaluationTask, name: str) -> pl.DataFrame:
    """The users as a variant knows them: some variants ignore stated interests."""
    no_interests = pl.lit(None, pl.String).alias(INTERESTS)
    return task.users.with_columns(no_interests) if name in _WITHOUT_INTERESTS else task.users


def _artwork_texts(
    task: EvaluationTask, tower: TwoTower, data: TrainingData, vectors: Float32Array, name: str
) -> Float32Array:
    """Text vectors of all artworks, from those of `data.texts`; hidden artworks are encoded by the tower."""
    visible = row_numbers(pl.Series(data.artwork_ids, dtype=pl.String), task.artwork_ids)
    texts = np.zeros((len(task.artwork_ids), vectors.shape[1]), np.float32)
    texts[visible] = vectors[: len(visible)]
    if name == ID_ONLY or not task.hidden_ids:
        return texts
    hidden_rows = task.hidden_rows
    if data.text_vectors is not None and task.text_vectors is not None:
        texts[hidden_rows] = task.text_vectors[hidden_rows]
    else:
        documents = task.catalogue[DOCUMENT].to_list()
        texts[hidden_rows] = text_vectors(tower, [documents[row] for row in hidden_rows])
    return texts
