from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from artrec_core.config import Encode, Model, Train
from artrec_core.model.distributed.engines import PlainEngine, build_engine, weight_dtype
from artrec_core.model.run import Run, WorkerGroup
from tests.conftest import ROOT


class Line(nn.Module):
    """The loss is the product of one weight with the batch; a second weight is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0]))
        self.frozen = nn.Parameter(torch.tensor([1.0]), requires_grad=False)

    def forward(self, batch: float) -> Tensor:
        return (self.weight * self.frozen * batch).sum()


def run_with(folder: Path, launcher: str, deepspeed: str = "zero2") -> Run:
    train = Train(launcher=launcher, deepspeed=str(ROOT / "infra" / "deepspeed" / f"{deepspeed}.json"))
    return Run(folder, folder, Model(), train, Encode(), WorkerGroup())


def test_one_plain_process_trains_with_torch_alone(tmp_path: Path):
    engine = build_engine(run_with(tmp_path, "process"), Line(), 0.1)
    assert isinstance(engine, PlainEngine)
    assert engine.description == "torch"


@pytest.mark.parametrize(
    ("launcher", "deepspeed", "dtype"),
    [
        ("process", "zero2_bf16", torch.float32),
        ("ray", "zero2", torch.float32),
        ("ray", "zero2_bf16", torch.bfloat16),
    ],
)
def test_weights_are_bfloat16_only_under_deepspeed_s_settings(
    tmp_path: Path, launcher: str, deepspeed: str, dtype: torch.dtype
):
    assert weight_dtype(run_with(tmp_path, launcher, deepspeed)) == dtype


def test_a_step_returns_the_loss_and_moves_against_the_gradient():
    phase = Line()
    engine = PlainEngine(phase, rate=0.1, weight_decay=0.0)
    assert engine.step(3.0) == 6.0
    assert phase.weight.item() == pytest.approx(1.9)  # Adam's first step is the learning rate, whatever the gradient
    assert phase.frozen.item() == 1.0


def test_the_learning_rate_can_be_set():
    phase = Line()
    engine = PlainEngine(phase, rate=0.1, weight_decay=0.5)
    engine.set_rate(0.0)
    engine.step(3.0)
    assert phase.weight.item() == 2.0


def test_what_is_written_is_read_back_with_the_optimizer_s_state(tmp_path: Path):
    phase = Line()
    engine = PlainEngine(phase, rate=0.1, weight_decay=0.0)
    engine.step(3.0)
    engine.write(tmp_path)
    engine.step(-1.0)
    restored_phase = Line()
    restored = PlainEngine(restored_phase, rate=0.1, weight_decay=0.0)
    restored.read(tmp_path)
    restored.step(-1.0)
    assert torch.equal(restored_phase.weight, phase.weight)
    # Gradients are clipped to 1 and -1. Adam's moments nearly cancel them; without the moments, the step would be 0.1.
    assert restored_phase.weight.item() == pytest.approx(1.9 + 0.1 * 0.01 / 0.19, abs=1e-4)


def test_saving_calls_back_once():
    calls: list[str] = []
    PlainEngine(Line(), 0.1, 0.0).save(lambda: calls.append("saved"))
    assert calls == ["saved"]
