import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from artrec_core.config import Encode, Model, Train
from artrec_core.evaluation.ranking import held_out_ndcg
from artrec_core.model.embeddings import item_vectors, text_vectors, user_vectors
from artrec_core.model.run import VECTORS, Run, TrainingDiverged, WorkerGroup
from artrec_core.model.text_encoder import TextEncoder, encode
from artrec_core.model.train_loop import train
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TwoTower
from tests.artrec_core.model.worlds import small_data, tiny_model

MODEL = Model(dim=16, layers=1, max_tokens=16, dropout=0.1)
TRAIN = Train(launcher="process", text_epochs=1, text_batch=12, user_epochs=6, user_batch=8, text_learning_rate=1e-3)


def trained(folder: Path, model: Model = MODEL, settings: Train = TRAIN) -> Path:
    base = tiny_model(folder / "base")
    run = Run(folder, base, model, settings, Encode(), WorkerGroup())
    train(run, small_data(), held_out_ndcg)
    return folder / "model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("trained"))


def vectors(folder: Path) -> tuple[TwoTower, np.ndarray, np.ndarray]:
    tower, data = TwoTower.load(folder), small_data()
    return (
        tower,
        text_vectors(tower, data.documents),
        item_vectors(tower, data.artwork_ids, text_vectors(tower, data.documents)),
    )


def test_the_text_tower_moved(folder: Path):
    before, after = TextEncoder.load(folder.parent / "base"), TextEncoder.load(folder / "text")
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(before.backbone.state_dict()[name], after.backbone.state_dict()[name])
    assert TwoTower.load(folder).text_tower_digest == after.digest() != before.digest()


def test_a_frozen_text_tower_stands(tmp_path: Path):
    folder = trained(tmp_path, MODEL.model_copy(update={"tuning": "frozen"}))
    assert (
        TwoTower.load(folder).text_tower_digest
        == TextEncoder.load(tmp_path / "base", max_tokens=MODEL.max_tokens, precision="auto").digest()
    )


def test_the_model_in_its_folder_gives_the_vectors_it_was_trained_with(folder: Path):
    _, text, _ = vectors(folder)
    assert np.allclose(text, np.load(folder.parent / VECTORS)[: len(text)], atol=1e-5)


def test_people_are_drawn_to_their_tribe(folder: Path):
    tower, _, works = vectors(folder)
    data = small_data()
    rows = [
        {"user_id": "new", "artwork_id": data.artwork_ids[row], "kind": "like", "occurred_at": None}
        for row in (0, 2, 4, 6)
    ]
    from tests.artrec_core.model.worlds import history

    told = history([(row["user_id"], row["artwork_id"], "like", minute, True) for minute, row in enumerate(rows)])
    people = pl.DataFrame({"user_id": ["new"], "interests": [None]}, schema_overrides={"interests": pl.String})
    user = user_vectors(tower, people, told, data.artwork_ids, works)
    scores = (user @ works.T)[0]
    boats = [row for row in range(8, len(works)) if row % 2 == 0]
    horses = [row for row in range(8, len(works)) if row % 2 == 1]
    assert scores[boats].mean() > scores[horses].mean()


def test_a_work_nobody_has_seen_has_a_vector_of_the_same_scale(folder: Path):
    tower, _, works = vectors(folder)
    fresh = item_vectors(tower, ["unheard:1"], text_vectors(tower, ["the blue boat lion"]))
    assert np.allclose(np.linalg.norm(fresh, axis=1), np.linalg.norm(works, axis=1).mean(), rtol=1e-4)


def test_everybody_has_a_vector(folder: Path):
    tower, _, works = vectors(folder)
    people = pl.DataFrame({"user_id": ["nothing", "interests", "also nothing"], "interests": [None, "blue boat", " "]})
    none = small_data()
    found = user_vectors(tower, people, pl.DataFrame(schema=_history_schema()), none.artwork_ids, works)
    assert np.isfinite(found).all()
    assert np.allclose(found[0], found[2])
    assert not np.allclose(found[0], found[1])
    assert user_vectors(tower, people[:0], pl.DataFrame(schema=_history_schema()), none.artwork_ids, works).shape == (
        0,
        16,
    )


def _history_schema() -> dict[str, pl.DataType]:
    from artrec_core.columns import HISTORY

    return HISTORY


def test_the_same_seed_gives_the_same_model(folder: Path, tmp_path: Path):
    again = trained(tmp_path)
    assert (again / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def test_a_run_that_was_killed_after_the_text_tower_goes_on_from_it(folder: Path, tmp_path: Path):
    run = Run(tmp_path, tiny_model(tmp_path / "base"), MODEL, TRAIN, Encode(), WorkerGroup())

    def die(*_: object) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, small_data(), die)
    assert not (tmp_path / "model").exists()
    steps = text_steps(tmp_path)
    train(run, small_data(), held_out_ndcg)
    assert text_steps(tmp_path) == steps > 0
    assert (tmp_path / "model" / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def text_steps(folder: Path) -> int:
    return sum("step" in json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path):
    settings = TRAIN.model_copy(update={"text_learning_rate": 1e30})
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        trained(tmp_path, settings=settings.model_copy(update={"text_epochs": 5}))


def test_a_large_catalogue_is_trained_on_drawn_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("artrec_core.model.user_phase.FULL_SOFTMAX_ARTWORKS", 4)
    folder = trained(tmp_path, settings=TRAIN.model_copy(update={"negatives": 8}))
    losses = [json.loads(line) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()]
    curve = [line["loss"] for line in losses if "epoch" in line]
    assert curve[-1] < curve[0]


def test_lora_and_a_decoder_train_too(tmp_path: Path):
    base = tiny_model(tmp_path / "base", "llama")
    model = MODEL.model_copy(update={"tuning": "lora", "lora_rank": 2, "gradient_checkpointing": True})
    train(Run(tmp_path, base, model, TRAIN, Encode(), WorkerGroup()), small_data(), held_out_ndcg)
    before, after = TextEncoder.load(base, max_tokens=16), TextEncoder.load(tmp_path / "model" / "text")
    assert after.pooling == "last"
    assert not np.allclose(encode(before, ["blue boat"]), encode(after, ["blue boat"]), atol=1e-6)


def lines(folder: Path, phase: str) -> list[dict[str, float]]:
    noted = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in noted if line["phase"] == phase and "epoch" in line]


def test_the_user_tower_ends_with_a_quarter_of_its_passes_on_the_validation_works_too(folder: Path):
    validated = [line["validation"] for line in lines(folder.parent, "user")]
    best = 1 + int(np.argmax(validated))
    assert [line["epoch"] for line in lines(folder.parent, "refit")] == list(range(1, math.ceil(best / 4) + 1))


def test_without_refit_the_weights_that_validated_best_are_kept(tmp_path: Path):
    trained(tmp_path, settings=TRAIN.model_copy(update={"refit": False}))
    assert lines(tmp_path, "user")
    assert lines(tmp_path, "refit") == []


def test_training_data_comes_back_as_it_was_saved(tmp_path: Path):
    data = small_data()
    data.save(tmp_path)
    loaded = TrainingData.load(tmp_path)
    assert data.refit is not None
    assert loaded.refit is not None
    assert np.array_equal(loaded.refit.artworks, data.refit.artworks)
    assert np.array_equal(loaded.histories.artworks, data.histories.artworks)
    # The validation works, one a person with history, are what the second training has more.
    assert len(data.refit.artworks) == len(data.histories.artworks) + len(data.validation)
