import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from artrec_core.config import Recipe, load
from artrec_core.evaluation.ranking import held_out_ndcg
from artrec_core.model.distributed import launch as launch_module
from artrec_core.model.distributed.launch import UNUSED_CALLBACKS, launch, slow_product_notices
from artrec_core.model.distributed.launch import _skip_unused_callbacks as skip_unused_callbacks
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.two_tower import TwoTower
from tests.artrec_core.model.worlds import small_data, tiny_model
from tests.conftest import ROOT


def recipe(*overrides: str) -> Recipe:
    small = ["model.dim=16", "model.layers=1", "model.max_tokens=16", "train.text_epochs=1", "train.text_batch=6"]
    more = ["train.user_epochs=2", "train.user_batch=4", "train.text_learning_rate=1e-3", "train.max_failures=0"]
    return load(ROOT / "infra" / "recipes" / "demo.toml", [*small, *more, *overrides])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], []),
        (['model.precision="bfloat16"'], ["bfloat16 products"]),
        (['train.deepspeed="infra/deepspeed/zero2_bf16.json"'], ["bfloat16 weights"]),
        (['train.deepspeed="infra/deepspeed/zero2_bf16.json"', 'train.launcher="process"'], []),
        (['model.precision="bfloat16"', "train.use_gpu=true"], []),
    ],
)
def test_a_training_says_what_the_processor_does_slowly(overrides: list[str], words: list[str], small_processor: None):
    notices = slow_product_notices(recipe('train.launcher="ray"', *overrides))
    assert len(notices) == len(words)
    assert all(word in notice and "set" in notice for word, notice in zip(words, notices, strict=True))


@pytest.mark.fast_products("bfloat16")
def test_a_processor_with_units_for_it_says_nothing_of_bfloat16():
    assert not slow_product_notices(
        recipe('model.precision="bfloat16"', 'train.deepspeed="infra/deepspeed/zero2_bf16.json"')
    )


class DatasetsCallback:
    pass


class OwnCallback:
    pass


def test_only_unused_callbacks_of_ray_train_are_left_out():
    trainer = SimpleNamespace(_create_default_callbacks=lambda: [DatasetsCallback(), OwnCallback()])
    skip_unused_callbacks(trainer)
    assert [type(callback) for callback in trainer._create_default_callbacks()] == [OwnCallback]


def test_a_ray_train_without_the_hook_is_left_as_it_is_and_that_is_logged(monkeypatch: pytest.MonkeyPatch):
    messages: list[str] = []
    monkeypatch.setattr(launch_module.log, "info", messages.append)
    trainer = SimpleNamespace(fit=len)
    skip_unused_callbacks(trainer)
    assert vars(trainer) == {"fit": len}
    assert len(messages) == 1


def test_this_version_of_ray_train_has_the_hook():
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api import data_parallel_trainer

    assert callable(TorchTrainer._create_default_callbacks)
    assert all(hasattr(data_parallel_trainer, name) for name in UNUSED_CALLBACKS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", [2, 3])
def test_two_ray_workers_train_their_own_people_at_the_recipe_s_zero_stage(tmp_path: Path, stage: int):
    base = tiny_model(tmp_path / "base")
    small_data().save(tmp_path / "data")
    launch(recipe(f'train.deepspeed="infra/deepspeed/zero{stage}.json"'), tmp_path, base, held_out_ndcg)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    engine = next(line for line in lines if "engine" in line)
    assert engine["engine"] == f"DeepSpeed ZeRO-{stage}"
    first, second = engine["shards"]
    assert first[1] == 0
    assert second[1] == 1
    assert first[0] + second[0] == small_data().histories.user_count
    before, after = TextEncoder.load(base), TextEncoder.load(tmp_path / "model" / "text")
    name = "encoder.layer.0.attention.self.query.weight"
    assert before.backbone.state_dict()[name].shape == after.backbone.state_dict()[name].shape
    assert not torch.equal(before.backbone.state_dict()[name], after.backbone.state_dict()[name])
    assert TwoTower.load(tmp_path / "model").text_tower_digest == after.digest()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a running Ray that the job did not start."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 3, "object_store_memory": 80_000_000})
    yield running.address
    running.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_joins_the_cluster_that_the_environment_names_and_leaves_it_running(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import ray

    def note_limit(*arguments: Any) -> Any:
        (tmp_path / "limit.txt").write_text(os.environ.get("ARTREC_INSTRUCTIONS", "none"))
        return held_out_ndcg(*arguments)

    # Set after the cluster started: its workers inherit nothing from here.
    monkeypatch.setenv("ARTREC_RAY_ADDRESS", cluster)
    monkeypatch.setenv("ARTREC_INSTRUCTIONS", "avx2,avx512")
    base = tiny_model(tmp_path / "base")
    small_data().save(tmp_path / "data")
    launch(recipe(), tmp_path, base, note_limit)
    assert TwoTower.load(tmp_path / "model").text_tower_digest
    assert (tmp_path / "limit.txt").read_text() == "avx2,avx512"
    # A local Ray that the job had started would be gone now.
    with ray.init(address=cluster, log_to_driver=False, configure_logging=False):
        assert ray.cluster_resources()["CPU"] == 3


# Starts a cluster of our own, and lets another process, which has not its token, try to join it.
CLOSED = """
import os, subprocess, sys
from artrec_core.config import load
from artrec_core.model.distributed.launch import ray_cluster
with ray_cluster(load("infra/recipes/demo.toml"), 1):
    import ray
    assert ray.get(ray.remote(lambda: 1).remote()) == 1
    join = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False)"
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    line = [sys.executable, "-c", join, ray.get_runtime_context().gcs_address]
    print(subprocess.run(line, env=others, capture_output=True).returncode)
"""


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, "t" * 64], ids=["no-token-file", "a-token-file"])
def test_a_cluster_of_our_own_is_closed_to_others_and_says_nothing_of_it(tmp_path: Path, token: str | None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ARTREC_RAY"))}
    kept = tmp_path / ".ray" / "auth_token"
    if token is not None:
        kept.parent.mkdir()
        kept.write_text(token)
    done = subprocess.run(
        [sys.executable, "-c", CLOSED],
        cwd=ROOT,
        env=environment | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert kept.exists() == (token is not None)
