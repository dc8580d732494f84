"""A killed text phase continues from its last checkpoint with the same results."""

import json
from pathlib import Path

import pytest
import torch

from artrec_core.config import Encode, Model, Train
from artrec_core.model.distributed import engines
from artrec_core.model.distributed.checkpoints import Checkpoints
from artrec_core.model.run import Run, WorkerGroup
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.text_phase import TextPhase
from artrec_core.model.train_loop import train_text_tower
from tests.artrec_core.model.worlds import small_data, tiny_model

MODEL = Model(dim=16, layers=1, max_tokens=16)
TRAIN = Train(launcher="process", text_epochs=4, text_batch=8, text_learning_rate=1e-3, checkpoint_steps=5)


def curve(folder: Path) -> dict[int, float]:
    """The last noted loss of each step."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "step" in line}


class Killed(Exception):
    pass


def text_phase(folder: Path, model: Model = MODEL, *, killed_at: int | None = None) -> Path:
    """Train the text tower alone; what it saved."""
    folder.mkdir(exist_ok=True)
    run = Run(folder, tiny_model(folder / "base"), model, TRAIN, Encode(), WorkerGroup())
    saved = folder / "saved"
    with pytest.MonkeyPatch.context() as patch:
        step = engines.PlainEngine.step
        steps = []

        def killed(engine: engines.PlainEngine, batch: object) -> float:
            steps.append(batch)
            if killed_at is not None and len(steps) == killed_at:
                raise Killed
            return step(engine, batch)

        patch.setattr(engines.PlainEngine, "step", killed)
        train_text_tower(run, small_data(), TextEncoder.load(run.base, max_tokens=16), saved)
    return saved


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_killed_phase_goes_on_to_the_same_curve_and_the_same_weights(tmp_path: Path, tuning: str):
    model = MODEL.model_copy(update={"tuning": tuning, "lora_rank": 2})
    undisturbed = text_phase(tmp_path / "whole", model)
    with pytest.raises(Killed):
        text_phase(tmp_path / "killed", model, killed_at=9)
    assert max(curve(tmp_path / "killed")) == 8
    (tmp_path / "killed" / "metrics.jsonl").unlink()
    resumed = text_phase(tmp_path / "killed", model)
    expected = curve(tmp_path / "whole")
    assert curve(tmp_path / "killed") == {step: loss for step, loss in expected.items() if step > 5}
    assert len(expected) == 12
    assert (resumed / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


def test_a_checkpoint_half_written_does_not_count_and_only_the_newest_is_kept(tmp_path: Path):
    class Engine:
        def write(self, folder: Path) -> None:
            (folder / "weights").write_text(folder.name)
            if folder.name == "step-0000030":
                raise Killed

        def read(self, folder: Path) -> None:
            self.read_from = (folder / "weights").read_text()

    engine = Engine()
    checkpoints = Checkpoints(tmp_path, 0, 1, 10, lambda: None)
    assert checkpoints.resume(engine, 50) == 0
    for step in (5, 10, 20):
        checkpoints.save(engine, step, 50)
    with pytest.raises(Killed):
        checkpoints.save(engine, 30, 50)
    again = Checkpoints(tmp_path, 0, 1, 10, lambda: None)
    assert again.resume(engine, 50) == 20
    assert engine.read_from == "step-0000020"
    again.save(engine, 40, 50)
    assert sorted(folder.name for folder in tmp_path.glob("step-*")) == ["step-0000040"]


def test_another_number_of_workers_goes_on_from_the_weights(tmp_path: Path):
    with pytest.raises(Killed):
        text_phase(tmp_path, killed_at=9)
    mark = tmp_path / "checkpoints" / "last.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"workers": 4, "steps": 6, "step": 3}))
    (tmp_path / "metrics.jsonl").unlink()
    trained = torch.load(tmp_path / "checkpoints" / "step-0000005" / "plain.pt")["weights"]
    encoder = TextEncoder.load(tmp_path / "base", max_tokens=16)
    phase = TextPhase(encoder)
    checkpoints = Checkpoints(tmp_path / "checkpoints", 0, 1, 5, lambda: None)
    checkpoints.load_weights(phase)
    assert all(torch.equal(phase.state_dict()[name], weight) for name, weight in trained.items())
    text_phase(tmp_path)
    assert sorted(curve(tmp_path)) == list(range(7, 13))
