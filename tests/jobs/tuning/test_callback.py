"""What Ray Tune reports, recorded in the trials' files and in MLflow. The test calls the recorder as Ray Tune does."""

import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from jobs.progress import Stage
from jobs.tuning.callback import TrialRecorder
from jobs.tuning.records import trials_in
from tests.artrec_core.model.worlds import tiny_settings
from tests.jobs.tribes_night import recipe_of
from tests.jobs.tuning.searches import finished_trial, mlflow_runs, search_in


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return recipe_of(tiny_settings(tmp_path), "tune.space.model.layers=[1, 2]")


def recorder_in(folder: Path, recipe: Recipe, expected: int = 2) -> TrialRecorder:
    search = search_in(folder, recipe)
    return TrialRecorder(recipe, search.space, search.folder, search.tags, expected)


def tune_trial(name: str, layers: int) -> Any:
    return SimpleNamespace(trial_id=name, config={"values": {"model.layers": layers}})


def epoch(number: int, validation: float, best: tuple[int, float]) -> dict[str, Any]:
    return {"pass": number, "loss": 2.0 / number, "validation": validation, "best_pass": best[0], "figure": best[1]}


def test_a_trial_has_its_curve_in_its_file_and_in_mlflow(recipe: Recipe, tmp_path: Path):
    recorder, shown = recorder_in(tmp_path, recipe), list[Sequence[Stage]]()
    recorder.show = shown.append
    first, second = tune_trial("a", 1), tune_trial("b", 2)
    with recorder.record_search():
        recorder.on_trial_start(0, [], first)
        recorder.on_trial_result(0, [], first, epoch(1, 0.3, (1, 0.3)))
        recorder.on_trial_result(0, [], first, epoch(2, 0.2, (1, 0.3)))
        recorder.on_trial_result(0, [], first, {"figure": 0.3, "ended": "trained"})
        recorder.on_trial_complete(0, [], first)
        recorder.on_trial_start(0, [], second)
        recorder.on_trial_result(0, [], second, epoch(1, 0.1, (1, 0.1)))
        recorder.on_trial_complete(0, [], second)
    recorder.check([])
    trained, stopped = trials_in(tmp_path)
    assert (trained.values, trained.figure, trained.best_pass, trained.ended) == (
        {"model.layers": 1},
        0.3,
        1,
        "trained",
    )
    assert [line["validation"] for line in trained.curve] == [0.3, 0.2]
    assert (stopped.number, stopped.ended) == (1, "stopped")  # it did not report its own end
    assert shown[-1][0].text == "2 of 2 trials finished, 3 epochs trained, best validation NDCG@10 .300 of trial 0"
    runs = {run.data.tags["mlflow.runName"]: run for run in mlflow_runs(recipe)}
    assert sorted(runs) == ["trial 0", "trial 1", "tune f"]
    parent = runs["tune f"].info.run_id
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ("trial 0", "trial 1")} == {parent}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["trial 0"].data.metrics == {"user/loss": 1.0, "user/validation": 0.2, "tune/figure": 0.3}
    assert runs["trial 1"].data.params["layers"] == "2"


def test_a_trial_killed_between_its_file_and_its_run_is_finished_in_mlflow_by_the_next_search(
    recipe: Recipe, tmp_path: Path
):
    killed = recorder_in(tmp_path, recipe)
    killed._open_run()
    killed.on_trial_start(0, [], tune_trial("a", 2))
    finished_trial(0, [0.2], **{"model.layers": 2}).save(tmp_path)
    with recorder_in(tmp_path, recipe).record_search():
        pass
    assert sorted(run.info.status for run in mlflow_runs(recipe)) == ["FINISHED", "FINISHED"]
    assert [run.data.metrics.get("tune/figure") for run in mlflow_runs(recipe)] == [0.2, 0.2]


def test_an_interrupted_trial_starts_again_under_its_number(recipe: Recipe, tmp_path: Path):
    killed = recorder_in(tmp_path, recipe)
    killed.on_trial_start(0, [], tune_trial("a", 1))
    killed.on_trial_start(0, [], tune_trial("b", 2))
    recorder = recorder_in(tmp_path, recipe)
    assert recorder.interrupted == [{"model.layers": 1}, {"model.layers": 2}]
    recorder.on_trial_start(0, [], tune_trial("c", 2))
    assert recorder._trials["c"].number == 1
    assert recorder.interrupted == [{"model.layers": 1}]


def test_broken_trials_are_a_warning_if_others_ended_and_an_error_if_none_did(
    recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    errors: list[Exception] = [RuntimeError("first line\nno space left")]
    with pytest.raises(ArtrecError, match=r"1 trials broke \(no space left\); run the same command again"):
        recorder_in(tmp_path, recipe).check(errors)
    finished_trial(0, [0.2], **{"model.layers": 2}).save(tmp_path)
    with caplog.at_level(logging.WARNING):
        recorder_in(tmp_path, recipe).check(errors)
    assert "no space left" in caplog.text


def test_an_error_of_mlflow_is_raised_when_the_trials_are_over(recipe: Recipe, tmp_path: Path):
    store = recipe.store.model_copy(update={"mlflow": f"sqlite:///{tmp_path}/missing/folder/mlflow.db"})
    recorder = recorder_in(tmp_path, recipe.model_copy(update={"store": store}))
    (tmp_path / "missing").write_text("a file where the folder should be")
    with recorder.record_search():
        recorder.on_trial_start(0, [], tune_trial("a", 1))
    assert [trial.number for trial in trials_in(tmp_path)] == [0]
    with pytest.raises(ArtrecError, match=f"the trials are stored in {tmp_path}"):
        recorder.check([])
