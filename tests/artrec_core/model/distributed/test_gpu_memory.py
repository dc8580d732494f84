from pathlib import Path

import pytest
import torch

from artrec_core.config import Model, Train
from artrec_core.errors import ArtrecError
from artrec_core.model.distributed.gpu_memory import (
    GIB,
    ModelSize,
    describe_memory,
    fewest_gpus,
    peak_bytes,
    recipe_memory,
    training_memory,
)
from artrec_core.model.text_encoder import TextEncoder, prepare_training
from tests.artrec_core.model.worlds import DECODERS, ENCODERS, tiny_model
from tests.conftest import ROOT

PAPER = ModelSize(parameters=7_500_000_000, layers=1, hidden=1, linear_ends=0)


@pytest.mark.parametrize(("stage", "gigabytes"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_zero_s_own_figures_come_out(stage: int, gigabytes: float):
    """Figure 1 of the paper: 7.5 billion parameters, Adam, 64 GPUs."""
    parts = training_memory(PAPER, tokens=0, stage=stage, workers=64)
    states = parts["weights"] + parts["gradients"] + parts["optimizer"]
    assert states / 1e9 == pytest.approx(gigabytes, abs=0.05)


def test_float32_takes_as_much_a_parameter_but_shards_less_of_it():
    parts = training_memory(PAPER, tokens=0, stage=0, workers=1, sixteen_bit=False)
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (30e9, 30e9, 60e9)


def test_activations_by_hand():
    size = ModelSize(parameters=10, layers=4, hidden=8, linear_ends=0)
    stored, recomputed = (
        training_memory(size, tokens=100, stage=0, workers=1, checkpointing=checkpointing)["activations"]
        for checkpointing in (False, True)
    )
    assert stored == 34 * 4 * 100 * 8
    assert recomputed == (2 * 4 + 34) * 100 * 8


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_what_is_counted_is_what_the_model_has(kind: str, tmp_path: Path):
    encoder = TextEncoder.load(tiny_model(tmp_path, kind))
    size = ModelSize.of(encoder.backbone.config)
    assert size.parameters == sum(weight.numel() for weight in encoder.parameters())
    assert (size.layers, size.hidden) == (2, 32)
    prepare_training(encoder, "lora", lora_rank=4, checkpointing=False)
    assert size.trainable("lora", 4) == sum(weight.numel() for weight in encoder.parameters() if weight.requires_grad)


def test_the_tensors_of_a_plain_step_take_what_is_said(tmp_path: Path):
    encoder = TextEncoder.load(tiny_model(tmp_path))
    optimizer = torch.optim.AdamW(encoder.parameters())
    sum(weight.sum() for weight in encoder.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    parts = training_memory(ModelSize.of(encoder.backbone.config), tokens=0, stage=0, workers=1, sixteen_bit=False)
    moments = sum(
        tensor.nbytes for state in optimizer.state.values() for name, tensor in state.items() if name != "step"
    )
    assert parts["weights"] == sum(weight.nbytes for weight in encoder.parameters())
    assert parts["gradients"] == sum(weight.grad.nbytes for weight in encoder.parameters() if weight.grad is not None)
    assert parts["optimizer"] == moments


def test_more_gpus_until_it_fits_or_a_word_on_what_to_change():
    train = Train(deepspeed=str(ROOT / "infra/deepspeed/zero3_bf16.json"), text_batch=8)
    model, size = (
        Model(max_tokens=64),
        ModelSize(parameters=8_000_000_000, layers=32, hidden=4096, linear_ends=10_000_000),
    )
    gpus = fewest_gpus(model, train, size, 80 * GIB)
    assert peak_bytes(recipe_memory(model, train, size, workers=gpus)) <= 72 * GIB
    assert peak_bytes(recipe_memory(model, train, size, workers=gpus // 2)) > 72 * GIB
    assert fewest_gpus(model.model_copy(update={"tuning": "lora"}), train, size, 80 * GIB) < gpus
    with pytest.raises(ArtrecError, match="lora"):
        fewest_gpus(model, train, size, 8 * GIB)
    assert describe_memory(recipe_memory(model, train, size, workers=4), 4).startswith("about ")
