"""What MLflow shows of a training while it runs, and the summary of its lines."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError
from artrec_core.model.registry import Registry
from jobs.training.mlflow_follower import best_epoch, follow_training, phase_seconds
from tests.artrec_core.model.worlds import tiny_settings

ROOT = Path(__file__).parents[3]
TAGS = {"fingerprint": "abc"}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load(ROOT / "infra" / "recipes" / "demo.toml", tiny_settings(tmp_path))


def note(file: Path, **line: object) -> None:
    with file.open("a") as out:
        out.write(json.dumps(line) + "\n")


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def losses(registry: Registry, run_id: str) -> list[tuple[float, int]]:
    history = registry.client.get_metric_history(run_id, "text/loss") if run_id else []
    return [(point.value, point.step) for point in history]


def test_losses_are_in_mlflow_while_training_goes_on(recipe: Recipe, tmp_path: Path):
    registry, file = Registry(recipe.store), tmp_path / "metrics.jsonl"
    with follow_training(registry, recipe, TAGS, file) as follower:
        note(file, phase="start")
        time.sleep(0.5)
        assert not (tmp_path / "mlflow.db").exists()  # until the first step, the workers need the processors
        note(file, phase="text", loss=2.5, step=1)
        wait_for(lambda: losses(registry, follower.run_id) == [(2.5, 1)])
        assert follower.run_id in registry.open_runs(recipe.train.experiment, "abc")
        note(file, phase="text", done=True, seconds=3.0)
    assert [line["phase"] for line in follower.lines] == ["start", "text", "text"]


def test_a_training_that_fails_before_its_first_step_is_a_failed_run(recipe: Recipe, tmp_path: Path):
    registry = Registry(recipe.store)
    with (
        pytest.raises(ArtrecError, match="no memory"),
        follow_training(registry, recipe, TAGS, tmp_path / "metrics.jsonl"),
    ):
        raise ArtrecError("no memory")
    experiment = registry.client.get_experiment_by_name(recipe.train.experiment)
    (run,) = registry.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["fingerprint"] == "abc"


def test_the_best_epoch_is_the_first_with_the_best_validation_else_the_last():
    validated = [
        {"phase": "user", "epoch": epoch, "validation": value} for epoch, value in ((1, 0.1), (2, 0.3), (3, 0.3))
    ]
    assert best_epoch(validated) == 2
    assert best_epoch([{"phase": "user", "epoch": 1}, {"phase": "user", "epoch": 2}]) == 2
    assert best_epoch([{"phase": "start"}]) is None


def test_seconds_outside_the_phases_are_the_start_up():
    lines = [{"phase": "text", "done": True, "seconds": 3.04}, {"phase": "user", "done": True, "seconds": 5.0}]
    assert phase_seconds(lines, 10.0) == {"start_up": 2.0, "text": 3.0, "user": 5.0}
