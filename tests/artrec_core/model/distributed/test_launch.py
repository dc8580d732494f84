import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError
from artrec_core.evaluation.ranking import held_out_ndcg
from artrec_core.model.distributed.launch import deepspeed_file, launch
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.two_tower import TwoTower
from tests.artrec_core.model.worlds import small_data, tiny_model
from tests.conftest import ROOT


def recipe(*overrides: str) -> Recipe:
    small = ["model.dim=16", "model.layers=1", "model.max_tokens=16", "train.text_epochs=1", "train.text_batch=6"]
    more = ["train.user_epochs=2", "train.user_batch=4", "train.text_learning_rate=1e-3", "train.max_failures=0"]
    return load(ROOT / "infra" / "recipes" / "demo.toml", [*small, *more, *overrides])


def test_deepspeed_settings_that_are_not_there_are_named():
    with pytest.raises(ArtrecError, match=r"zero9\.json"):
        deepspeed_file("infra/deepspeed/zero9.json")


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

    monkeypatch.setenv("ARTREC_RAY_ADDRESS", cluster)
    base = tiny_model(tmp_path / "base")
    small_data().save(tmp_path / "data")
    launch(recipe(), tmp_path, base, held_out_ndcg)
    assert TwoTower.load(tmp_path / "model").text_tower_digest
    # A local Ray that the job had started would be gone now.
    with ray.init(address=cluster, log_to_driver=False, configure_logging=False):
        assert ray.cluster_resources()["CPU"] == 3
