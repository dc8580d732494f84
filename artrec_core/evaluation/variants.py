"""Our own model and what is left of it where one thing is changed, trained by the nightly training's code."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from artrec_core.columns import ARTWORK_ID, DOCUMENT, INTERESTS, USER_ID
from artrec_core.config import Recipe
from artrec_core.evaluation.ablations import FULL, ID_ONLY, NO_INTERESTS, TEXT_ONLY
from artrec_core.evaluation.lists import Vectors
from artrec_core.evaluation.ranking import held_out_ndcg
from artrec_core.evaluation.task import Question, rows
from artrec_core.model.distributed.launch import launch
from artrec_core.model.embeddings import distinct_interests, item_vectors, text_vectors, user_vectors
from artrec_core.model.run import METRICS, MODEL, VECTORS
from artrec_core.model.sequences import NO_WORK, sequences
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TwoTower

OWN = (ID_ONLY, TEXT_ONLY, FULL)
# Models that do not hear what people say of themselves.
_DEAF = (ID_ONLY, NO_INTERESTS)


def trained(question: Question, recipe: Recipe, name: str, folder: Path, base: Path) -> Vectors:
    """Train in the folder and return the vectors of the people asked (asked, dim) and of all works (works, dim).

    `recipe` is the `variant` of this name. Hidden works take no part in training, not even as negatives: they are what a museum
    brings in on the night after. A killed training is taken up again.
    """
    data = training_data(question, recipe, name)
    data.save(folder / "data")
    launch(recipe, folder, base, held_out_ndcg)
    tower = TwoTower.load(folder / MODEL)
    works = item_vectors(tower, question.artwork_ids, _text_of_works(question, tower, data, folder, name))
    asked = question.asked.join(question.people, on=USER_ID, how="left", maintain_order="left")
    if name in _DEAF:
        asked = asked.with_columns(pl.lit(None, pl.String).alias(INTERESTS))
    return Vectors(name, user_vectors(tower, asked, question.before_test, question.artwork_ids, works), works)


def validation(folder: Path) -> float | None:
    """The best figure on the validation works, by which the weights were chosen."""
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return max((line["validation"] for line in lines if "validation" in line), default=None)


def training_data(question: Question, recipe: Recipe, name: str) -> TrainingData:
    """What the training reads: the question without the hidden works, and without the words that this model does not hear."""
    shown = question.catalogue.filter(~pl.col(ARTWORK_ID).is_in(question.hidden))
    artwork_ids, documents = shown[ARTWORK_ID].to_list(), shown[DOCUMENT].to_list()
    interests, interest_of = distinct_interests(question.people)
    row = {old: new for new, old in enumerate(rows(shown[ARTWORK_ID], question.artwork_ids))}
    queries = [(text, row[old]) for text, old in question.queries if old in row]
    if name in _DEAF:
        interests, interest_of = [], np.full(len(interest_of), NO_WORK)
    if name == ID_ONLY:
        queries = []
    pairs = (question.validation[USER_ID], question.user_ids), (question.validation[ARTWORK_ID], artwork_ids)
    data = TrainingData(
        artwork_ids=artwork_ids,
        documents=documents,
        interests=interests,
        interest_of=interest_of,
        queries=queries,
        histories=sequences(question.train, question.user_ids, artwork_ids),
        validation=np.stack([rows(values, among) for values, among in pairs], 1),
        people=question.user_ids,
        refit=sequences(question.before_test, question.user_ids, artwork_ids) if recipe.train.refit else None,
    )
    if name == ID_ONLY:
        return replace(data, text_vectors=np.zeros((len(documents), recipe.model.dim), np.float32))
    if recipe.model.tuning != "frozen" or question.text_vectors is None:
        return data
    place = {text: at for at, text in enumerate(question.texts)}
    data = replace(data, queries=[(text, work) for text, work in queries if text in place])
    return replace(data, text_vectors=question.text_vectors[[place[text] for text in data.texts]])


def _text_of_works(
    question: Question, tower: TwoTower, data: TrainingData, folder: Path, name: str
) -> NDArray[np.float32]:
    """Text vectors of all works; those of hidden works by the tower that was trained without them."""
    vectors = data.text_vectors if data.text_vectors is not None else np.load(folder / VECTORS)
    shown = rows(pl.Series(data.artwork_ids, dtype=pl.String), question.artwork_ids)
    out = np.zeros((len(question.artwork_ids), vectors.shape[1]), np.float32)
    out[shown] = vectors[: len(shown)]
    if name == ID_ONLY or not question.hidden:
        return out
    hidden = question.hidden_rows
    if data.text_vectors is not None and question.text_vectors is not None:
        out[hidden] = question.text_vectors[hidden]
    else:
        documents = question.catalogue[DOCUMENT].to_list()
        out[hidden] = text_vectors(tower, [documents[row] for row in hidden])
    return out
