"""The cluster's recipes: a tiny random model of the same architecture trains with their settings, and their arithmetic holds."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from transformers import Qwen3Config

from artrec_core.config import Encode, Recipe, load
from artrec_core.model.distributed.gpu_memory import GIB, ModelSize, fewest_gpus, peak_bytes, recipe_memory
from artrec_core.model.run import Run, WorkerGroup
from artrec_core.model.text_encoder import TextEncoder, encode
from artrec_core.model.train_loop import train_text_tower
from tests.artrec_core.model.worlds import small_data, tiny_model
from tests.conftest import ROOT

RECIPES = ("llm_1b", "llm_8b")
QWEN3 = {"vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128}
SIZES = {
    "llm_1b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
    "llm_8b": {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
}


def recipe(name: str, *overrides: str) -> Recipe:
    return load(ROOT / "infra" / "recipes" / f"{name}.toml", overrides)


def gibibytes(name: str, tuning: str, workers: int) -> int:
    settings = recipe(name, f"model.tuning={tuning}")
    train = settings.train.model_copy(update={"deepspeed": str(ROOT / settings.train.deepspeed)})
    size = ModelSize.of(Qwen3Config(**QWEN3, **SIZES[name]))
    assert fewest_gpus(settings.model, train, size, 80 * GIB) <= 2
    return round(peak_bytes(recipe_memory(settings.model, train, size, workers=workers)) / GIB)


def test_the_arithmetic_that_the_recipes_tell():
    assert [gibibytes("llm_1b", "full", many) for many in (1, 4)] == [33, 13]
    assert gibibytes("llm_1b", "lora", 1) == 10
    assert [gibibytes("llm_8b", "lora", many) for many in (1, 8)] == [29, 16]
    assert [gibibytes("llm_8b", "full", many) for many in (1, 4, 8)] == [126, 41, 27]
    one, eight = ((ROOT / "infra" / "recipes" / f"{name}.toml").read_text() for name in RECIPES)
    assert re.findall(r"(\d+) GiB (?:alone|on)", one)[:3] == ["33", "13", "10"]
    assert re.findall(r"(\d+) GiB on", eight)[:5] == ["29", "16", "126", "41", "27"]


def test_they_train_a_language_model_over_gpus_in_bfloat16():
    for name in RECIPES:
        settings = recipe(name)
        deepspeed = json.loads((ROOT / settings.train.deepspeed).read_text())
        assert deepspeed["zero_optimization"]["stage"] == 3
        assert deepspeed["bf16"]["enabled"]
        assert settings.model.precision == "bfloat16"
        assert settings.model.gradient_checkpointing
        assert settings.train.use_gpu
        assert settings.train.launcher == "ray"


def worker(rank: int, folder: Path, name: str, tuning: str) -> None:
    os.environ |= {"DS_ACCELERATOR": "cpu", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=1)
    settings = recipe(name, f"model.tuning={tuning}", "model.max_tokens=16", "train.text_batch=8", "train.workers=1")
    train = settings.train.model_copy(update={"deepspeed": str(ROOT / settings.train.deepspeed)})
    run = Run(folder, folder / "base", settings.model, train, Encode(), WorkerGroup())
    encoder = TextEncoder.load(run.base, max_tokens=16, precision="bfloat16", weights=torch.bfloat16)
    train_text_tower(run, small_data(), encoder, folder / "saved")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tuning"), [("llm_1b", "full"), ("llm_8b", "lora")])
def test_a_tiny_model_of_the_same_architecture_takes_the_recipe_s_steps(name: str, tuning: str, tmp_path: Path):
    tiny_model(tmp_path / "base", "qwen3")
    torch.multiprocessing.spawn(worker, (tmp_path, name, tuning), nprocs=1)
    noted = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert noted[0]["engine"] == "DeepSpeed ZeRO-3"
    assert len([line for line in noted if "loss" in line]) == 3
    before = TextEncoder.load(tmp_path / "base", max_tokens=16, precision="bfloat16")
    after = TextEncoder.load(tmp_path / "saved")
    texts = small_data().documents
    assert after.precision == "bfloat16"
    assert not np.array_equal(encode(before, texts), encode(after, texts))
