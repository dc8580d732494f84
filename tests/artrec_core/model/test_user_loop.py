"""The user tower's training keeps the weights that validated best; an evaluator with known metrics decides which."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from artrec_core.arrays import Float32Array, Float64Array, Int64Array
from artrec_core.config import Encode, Model, Train
from artrec_core.model.run import METRICS, Run, WorkerGroup
from artrec_core.model.sequences import Sequences
from artrec_core.model.two_tower import TwoTower
from artrec_core.model.user_loop import train_user_tower
from tests.artrec_core.model.worlds import small_data

TEXT_DIM = 6
TRAIN = Train(launcher="process", user_epochs=8, user_batch=8, patience=2, refit=False)


class KnownMetrics:
    """Gives each epoch the next metric, and remembers the artwork vectors of each epoch."""

    def __init__(self, *metrics: float) -> None:
        self.metrics: Iterator[float] = iter(metrics)
        self.artworks: list[Float32Array] = []

    def __call__(
        self, users: Float32Array, artworks: Float32Array, histories: Sequences, held_out: Int64Array
    ) -> Float64Array:
        data = small_data()
        assert users.shape == (len(data.validation), 16)
        assert held_out.tolist() == data.validation[:, 1].tolist()
        assert histories.user_count == len(users)
        self.artworks.append(artworks.copy())
        return np.full(len(users), next(self.metrics))


def train(folder: Path, evaluator: KnownMetrics, settings: Train = TRAIN) -> TwoTower:
    data = small_data()
    torch.manual_seed(5)
    vectors = torch.nn.functional.normalize(torch.randn(len(data.texts), TEXT_DIM), dim=-1)
    run = Run(folder, folder, Model(dim=16, layers=1, dropout=0.1), settings, Encode(), WorkerGroup())
    return train_user_tower(run, data, vectors, evaluator)


def artwork_vectors(tower: TwoTower) -> Float32Array:
    torch.manual_seed(5)
    text = torch.nn.functional.normalize(torch.randn(len(small_data().texts), TEXT_DIM), dim=-1)[:24]
    with torch.inference_mode():
        vectors: Float32Array = tower.artwork_vectors(text, torch.arange(24)).numpy()
    return vectors


def epochs(folder: Path, phase: str) -> list[int]:
    notes = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [note["epoch"] for note in notes if note["phase"] == phase and "epoch" in note]


def test_training_stops_after_patience_and_keeps_the_best_weights(tmp_path: Path):
    evaluator = KnownMetrics(0.1, 0.3, 0.2, 0.3)
    tower = train(tmp_path, evaluator)
    assert epochs(tmp_path, "user") == [1, 2, 3, 4]
    assert np.allclose(artwork_vectors(tower), evaluator.artworks[1], atol=1e-6)
    assert not np.allclose(evaluator.artworks[1], evaluator.artworks[3], atol=1e-6)
    assert not tower.training


def test_a_refit_repeats_a_quarter_of_the_best_epochs(tmp_path: Path):
    evaluator = KnownMetrics(*(0.1 * epoch for epoch in range(1, 6)), 0.0, 0.0)
    tower = train(tmp_path, evaluator, TRAIN.model_copy(update={"refit": True}))
    assert epochs(tmp_path, "user") == [1, 2, 3, 4, 5, 6, 7]
    assert epochs(tmp_path, "refit") == [1, 2]  # a quarter of five, rounded up
    assert not np.allclose(artwork_vectors(tower), evaluator.artworks[4], atol=1e-6)


def test_the_chosen_settings_are_noted(tmp_path: Path):
    train(tmp_path, KnownMetrics(0.2, 0.1, 0.1))
    first = json.loads((tmp_path / METRICS).read_text().splitlines()[0])
    assert (first["phase"], first["sizes"]["train.user_epochs"], first["sizes"]["model.dropout"]) == ("user", 8, 0.1)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path):
    towers = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        towers.append(train(folder, KnownMetrics(0.2, 0.1, 0.1), TRAIN.model_copy(update={"seed": seed})))
    first_vectors, repeated_vectors, other_seed_vectors = (artwork_vectors(tower) for tower in towers)
    assert np.array_equal(first_vectors, repeated_vectors)
    assert not np.allclose(first_vectors, other_seed_vectors, atol=1e-3)


def test_validation_without_users_is_zero_and_trains_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = small_data()
    object.__setattr__(data, "validation", np.zeros((0, 2), np.int64))
    run = Run(tmp_path, tmp_path, Model(dim=16, layers=1), TRAIN, Encode(), WorkerGroup())
    train_user_tower(run, data, torch.ones(len(data.texts), TEXT_DIM), lambda *_: np.zeros(0))
    notes = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert {note["validation"] for note in notes if "validation" in note} == {0.0}
