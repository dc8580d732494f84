import json
import math
from pathlib import Path

import pytest

from artrec_core.config import Encode, Model, Train
from artrec_core.model import run as run_module
from artrec_core.model.run import METRICS, Run, TrainingDiverged, WorkerGroup, learning_rate_factor


def run_in(folder: Path, rank: int = 0) -> Run:
    return Run(folder, folder, Model(), Train(), Encode(), WorkerGroup(rank=rank))


def notes(folder: Path) -> list[dict[str, object]]:
    file = folder / METRICS
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    assert all(line.pop("at") > 0 for line in lines)
    return lines


def test_a_single_worker_is_its_own_sum_and_mean():
    workers = WorkerGroup()
    assert workers.sum(1.0, 2.5) == [1.0, 2.5]
    assert workers.mean(1.0, 2.5) == [1.0, 2.5]
    workers.barrier()


def test_only_rank_0_notes(tmp_path: Path):
    run_in(tmp_path).note(phase="start")
    run_in(tmp_path, rank=1).note(phase="another rank")
    run_in(tmp_path).note(loss=0.5)
    assert notes(tmp_path) == [{"phase": "start"}, {"loss": 0.5}]


def test_progress_is_noted_now_and_then_and_never_exceeds_the_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seconds = iter([0.0, 1.0, 6.0, 6.0, 7.0, 20.0, 20.0])
    monkeypatch.setattr(run_module.time, "monotonic", lambda: next(seconds))
    advance = run_in(tmp_path).count_progress("step", 10, phase="user")
    for count in (2, 2, 3, 100):
        advance(count)
    assert notes(tmp_path) == [
        {"phase": "user", "step": 4, "steps": 10},
        {"phase": "user", "step": 10, "steps": 10},
    ]


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_place(tmp_path: Path):
    assert run_in(tmp_path).check_finite(0.25, "at step 1") == 0.25
    for loss in (math.nan, math.inf):
        with pytest.raises(TrainingDiverged, match=f"the loss is {loss} at step 3"):
            run_in(tmp_path).check_finite(loss, "at step 3")


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    factors = [learning_rate_factor(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)  # ten steps of warm-up
    assert max(factors) == factors[9] == pytest.approx(0.55 + 0.45 * math.cos(0.09 * math.pi))
    assert learning_rate_factor(100, 100) == pytest.approx(0.1)
    assert learning_rate_factor(50, 100) == pytest.approx(0.55)


def test_a_training_that_starts_late_warms_up_where_it_starts():
    # 20 steps are left: two of them are the warm-up.
    late = [learning_rate_factor(step, 100, first=80) for step in (80, 81)]
    usual = [learning_rate_factor(step, 100) for step in (80, 81)]
    assert late == [pytest.approx(usual[0] / 2), pytest.approx(usual[1])]
