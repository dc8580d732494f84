"""Two workers under DeepSpeed: one is killed in the middle of the text phase, and the run goes on to the same loss curve."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import torch.distributed as dist

from artrec_core.config import Encode, Model, Train, load
from artrec_core.evaluation.ranking import held_out_ndcg
from artrec_core.model.distributed import engines
from artrec_core.model.distributed.checkpoints import Checkpoints, read_weights
from artrec_core.model.distributed.launch import launch
from artrec_core.model.run import Run, WorkerGroup
from artrec_core.model.text_encoder import TextEncoder, encode, prepare_training
from artrec_core.model.text_phase import TextPhase
from artrec_core.model.train_loop import train_text_tower
from tests.artrec_core.model.worlds import small_data, tiny_model
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = {"dim": 16, "layers": 1, "max_tokens": 16, "precision": "float32"}
TRAIN = {"text_batch": 6, "text_learning_rate": 3e-3, "checkpoint_steps": 8, "user_epochs": 1}
# Of the text phase: two steps a pass. Under ZeRO-3 each takes hundreds of messages between the workers.
PASSES = {2: 30, 3: 10}


def lines(folder: Path) -> list[dict[str, float]]:
    noted = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in noted if "step" in line]


def curve(folder: Path) -> np.ndarray:
    """The loss of each step as it was last told."""
    told = {line["step"]: line["loss"] for line in lines(folder)}
    assert sorted(told) == list(range(1, len(told) + 1))
    return np.array([told[step] for step in sorted(told)])


def worker(rank: int, size: int, folder: Path, stage: int, tuning: str, killed_at: int | None) -> None:
    os.environ |= {"DS_ACCELERATOR": "cpu", "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    if rank == 1 and killed_at is not None:
        step, done = engines.DeepSpeedEngine.step, []

        def killed(engine: engines.DeepSpeedEngine, batch: object) -> float:
            done.append(batch)
            if len(done) == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(engine, batch)

        engines.DeepSpeedEngine.step = killed  # type: ignore[method-assign]
    model = Model(**MODEL, tuning=tuning, lora_rank=2)
    train = Train(**TRAIN, text_epochs=PASSES[stage], deepspeed=str(ROOT / "infra" / "deepspeed" / f"zero{stage}.json"))
    run = Run(folder, folder / "base", model, train, Encode(), WorkerGroup(rank, size))
    torch.manual_seed(0)
    train_text_tower(run, small_data(), TextEncoder.load(run.base, max_tokens=16), folder / "saved")
    dist.destroy_process_group()


def two_workers(folder: Path, stage: int, tuning: str, *, killed_at: int | None = None) -> None:
    folder.mkdir(exist_ok=True)
    tiny_model(folder / "base")
    (folder / "meet").unlink(missing_ok=True)
    torch.multiprocessing.spawn(worker, (2, folder, stage, tuning, killed_at), nprocs=2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    two_workers(folder, 2, "full")
    return folder


def test_a_ray_worker_that_is_killed_is_started_again_and_the_curve_is_the_same(undisturbed: Path, tmp_path: Path):
    base = tiny_model(tmp_path / "base")
    small_data().save(tmp_path / "data")
    overrides = [f"model.{name}={json.dumps(value)}" for name, value in MODEL.items()]
    overrides += [f"train.{name}={json.dumps(value)}" for name, value in (TRAIN | {"text_epochs": PASSES[2]}).items()]
    recipe = load(ROOT / "infra" / "recipes" / "demo.toml", [*overrides, "train.max_failures=1"])
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            time.sleep(0.02)
            if (tmp_path / "metrics.jsonl").exists() and any(line["step"] > 12 for line in lines(tmp_path)):
                ours = psutil.Process().children(recursive=True)
                found = [one for one in ours if "TrainWorker" in " ".join(one.cmdline())]
                assert len(found) == 2, [one.cmdline() for one in ours]
                os.kill(found[1].pid, signal.SIGKILL)
                killed.append(found[1].pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    launch(recipe, tmp_path, base, held_out_ndcg)
    assert killed
    told = [line["step"] for line in lines(tmp_path)]
    # Steps up to the checkpoint were taken once, the rest of the run after the restart.
    assert [told.count(step) for step in range(1, 9)] == [1] * 8
    assert told[-1] == 2 * PASSES[2]
    assert (tmp_path / "metrics.jsonl").read_text().count('"start"') == 2
    assert np.allclose(curve(tmp_path), curve(undisturbed), atol=1e-5)
    after, expected = TextEncoder.load(tmp_path / "model" / "text"), TextEncoder.load(undisturbed / "saved")
    texts = small_data().documents
    assert np.allclose(encode(after, texts), encode(expected, texts), atol=1e-4)


def test_lora_under_zero_3_goes_on_after_a_kill_and_its_weights_fit_any_number_of_workers(tmp_path: Path):
    two_workers(tmp_path / "whole", 3, "lora")
    with pytest.raises(torch.multiprocessing.ProcessExitedException, match="SIGKILL"):
        two_workers(tmp_path / "killed", 3, "lora", killed_at=13)
    checkpoint = tmp_path / "killed" / "checkpoints" / "step-0000008"
    encoder = TextEncoder.load(tmp_path / "killed" / "base", max_tokens=16)
    prepare_training(encoder, "lora", lora_rank=2, checkpointing=False)
    phase = TextPhase(encoder)
    moving = {name: weight.shape for name, weight in phase.named_parameters() if weight.requires_grad}
    gathered = read_weights(checkpoint)
    assert {name: weight.shape for name, weight in gathered.items()} == moving
    Checkpoints(checkpoint.parent, 0, 1, 8, lambda: None).load_weights(phase)
    assert all(torch.equal(phase.state_dict()[name], weight) for name, weight in gathered.items())
    two_workers(tmp_path / "killed", 3, "lora")
    assert np.allclose(curve(tmp_path / "killed"), curve(tmp_path / "whole"), atol=1e-5)
    documents = small_data().documents
    resumed, expected = (encode(TextEncoder.load(tmp_path / name / "saved"), documents) for name in ("killed", "whole"))
    assert np.allclose(resumed, expected, atol=1e-4)
    untrained = encode(TextEncoder.load(tmp_path / "whole" / "base", max_tokens=16), documents)
    assert np.abs(expected - untrained).max() > 1e-3
