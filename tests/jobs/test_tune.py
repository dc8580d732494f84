"""`artrec tune` on two tribes of users: what a search tries, finds and stores, and how it continues after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.errors import ArtrecError, ConfigError, MissingPartition
from artrec_core.lake import Lake
from artrec_core.model.registry import Registry
from artrec_core.model.search_space import DEFAULT_SPACE, apply_values, setting, space_of
from jobs import tune
from jobs.step import Night
from tests.artrec_core.model.worlds import tiny_settings
from tests.artrec_core.recs.evaluation_worlds import tribes, with_other_tests
from tests.conftest import ROOT
from tests.jobs.tribes_night import CONFIG, DAY, commit_tribes, recipe_of
from tests.jobs.tuning.searches import mlflow_runs

# Learning rates: nothing is learnt, the tribes are learnt, the weights overflow.
TOO_SLOW, GOOD, TOO_FAST = 1e-9, 1e-2, 1e35


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """Overrides of a recipe whose night is there."""
    return [*commit_tribes(tmp_path), "train.user_epochs=4", "train.text_epochs=0", "train.shuffled=0.0"]


def test_a_night_that_was_not_prepared_is_named(tmp_path: Path):
    with pytest.raises(MissingPartition, match="run `artrec prepare --date 2026-03-30` first"):
        tune.run_search(recipe_of(tiny_settings(tmp_path)), DAY)


def test_a_grid_over_a_range_is_refused_before_anything_starts(settings: list[str]):
    recipe = recipe_of(settings, 'tune.search="grid"', "tune.space.model.dropout={low=0.1, high=0.5}")
    with pytest.raises(ConfigError, match=r"has a range for model\.dropout; give lists"):
        tune.run_search(recipe, DAY)
    assert not Path(recipe.store.work).exists()


def test_an_unknown_kind_of_search_is_named(settings: list[str]):
    with pytest.raises(ConfigError, match=r"`tune\.search`: Input should be 'optuna', 'grid' or 'random'"):
        tune.command(CONFIG, DAY, settings, search="bayes", trials=None, out=None)


def test_without_a_validation_artwork_nothing_is_searched(settings: list[str]):
    recipe = recipe_of(settings)
    lake = Lake(recipe.store.lake)
    part = lake.write_part("histories", DAY, tribes().clear())
    lake.commit("histories", DAY, {"all": [part]}, fingerprint="empty", code_version="test")
    with pytest.raises(ArtrecError, match="no user on 2026-03-30 has enough positive events"):
        tune.run_search(recipe, DAY)


def test_what_trials_read_does_not_change_with_the_test_artworks(settings: list[str], tmp_path: Path):
    recipe = recipe_of([*settings, "train.refit=false"])
    lake, contents = Lake(recipe.store.lake), []
    for name, histories in (("one", tribes()), ("other", with_other_tests(tribes()))):
        lake.commit(
            "histories",
            DAY,
            {"all": [lake.write_part("histories", DAY, histories)]},
            fingerprint=name,
            code_version="test",
        )
        users, resolved = tune.prepare_trials(Night(recipe, DAY), space_of(recipe), tmp_path / name)
        assert users == 16
        assert not any(setting(apply_values(recipe, resolved), key) == "auto" for key in DEFAULT_SPACE)
        files = sorted(path for path in (tmp_path / name).rglob("*.*") if path.suffix in (".json", ".npz", ".npy"))
        contents.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert len(contents[0]) == 3
    assert contents[0] == contents[1]


GRID = [
    'tune.search="grid"',
    f"tune.space.train.user_learning_rate=[{TOO_SLOW}, {GOOD}, {TOO_FAST}]",
    "tune.space.model.layers=[1, 2]",
]


@pytest.mark.slow
def test_a_grid_tries_each_combination_once_and_a_rate_too_small_to_learn_loses(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out" / "best.toml"
    tune.command(CONFIG, DAY, [*settings, *GRID], search="grid", trials=None, out=out)
    recipe = recipe_of(settings, *GRID)
    note = json.loads(Lake(recipe.store.lake).read_note(tune.NOTE, DAY) or b"")
    points = [
        (trial["values"]["train.user_learning_rate"], trial["values"]["model.layers"]) for trial in note["trials"]
    ]
    assert sorted(points) == [(rate, layers) for rate in (TOO_SLOW, GOOD, TOO_FAST) for layers in (1, 2)]
    assert [rate for rate, _ in points] == [GOOD, GOOD, TOO_SLOW, TOO_SLOW, TOO_FAST, TOO_FAST]
    assert {trial["ended"] for trial in note["trials"][:4]} == {"trained"}
    assert "the loss is nan in epoch" in note["trials"][-1]["why"]
    assert note["people_validated"] == 16
    best = note["trials"][0]
    # The best recipe holds the best values, and everything else as it was.
    best_recipe = load(out)
    assert (best_recipe.train.user_learning_rate, best_recipe.model.layers) == points[0]
    assert best_recipe.model_dump(exclude={"model", "train"}) == recipe.model_dump(exclude={"model", "train"})
    assert "# was 0.003" in out.read_text()
    output = capsys.readouterr().out
    assert f"the best of 6 trials is trial {best['number']}, NDCG@10 {best['figure']:.4f}" in output
    assert f"artrec retrain --config {out} --date {DAY}" in output
    # MLflow holds the trials below their search, with settings and curves.
    runs = {run.data.tags["mlflow.runName"]: run for run in mlflow_runs(recipe)}
    parent = next(run for name, run in runs.items() if name.startswith("tune "))
    trials = {name: run for name, run in runs.items() if name.startswith("trial ")}
    assert sorted(trials) == [f"trial {number}" for number in range(6)]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.info.run_id}
    assert sum(run.info.status == "FAILED" for run in trials.values()) == 2
    assert parent.info.status == "FINISHED"
    run = trials[f"trial {best['number']}"]
    assert run.data.params["user_learning_rate"] == str(GOOD)
    curve = Registry(recipe.store).client.get_metric_history(run.info.run_id, "user/validation")
    assert [point.value for point in sorted(curve, key=lambda point: point.step)] == [
        line["validation"] for line in best["curve"]
    ]
    # The lake's tables are only read, and the search run again has nothing to do.
    assert Lake(recipe.store.lake).find_manifest("text_vectors", DAY) is None
    again = tune.run_search(recipe, DAY)
    assert [trial.model_dump() for trial in again.ranked_trials] == note["trials"]


@pytest.mark.slow
def test_a_search_that_was_killed_continues_and_runs_no_finished_trial_again(settings: list[str]):
    overrides = [*settings, "tune.space.model.dropout={low=0.1, high=0.6}", "train.user_epochs=12", "tune.trials=5"]
    recipe = recipe_of(overrides)
    line = [sys.executable, "-m", "jobs.tune", "--config", CONFIG, "--date", DAY]
    line += [part for override in overrides for part in ("--set", override)]
    process = subprocess.Popen(line, cwd=ROOT, start_new_session=True)
    searches = Path(recipe.store.work) / "tune"
    try:
        while len(before := finished(searches)) < 2:
            assert process.poll() is None, "the search ended before it was killed"
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    result = tune.run_search(recipe, DAY)
    assert sorted(trial.number for trial in result.ranked_trials) == list(range(5))
    assert {name: text for name, text in finished(searches).items() if name in before} == before
    assert len({str(trial.values) for trial in result.trials}) == 5
    runs = mlflow_runs(recipe)
    (parent,) = (run for run in runs if run.data.tags["mlflow.runName"].startswith("tune "))
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sum(run.info.status == "FINISHED" for run in trials) == 5
    assert not any(run.info.status == "RUNNING" for run in runs)
    # With more trials, the same search runs only the new ones.
    assert len(tune.run_search(recipe_of(overrides, "tune.trials=6"), DAY).ranked_trials) == 6
    assert len(list(searches.iterdir())) == 1


def finished(searches: Path) -> dict[str, str]:
    """The files of the trials that are over."""
    files = {path.name: path.read_text() for path in searches.glob("*/trials/*.json")}
    return {name: text for name, text in files.items() if json.loads(text)["ended"] is not None}


@pytest.mark.slow
def test_text_vectors_are_made_once_for_each_setting_of_the_text_side(settings: list[str]):
    rates = "tune.space.train.text_learning_rate=[1e-5, 1e-3]"
    recipe = recipe_of(settings, "train.text_epochs=1", 'tune.search="grid"', rates, "tune.space.model.layers=[1, 2]")
    result = tune.run_search(recipe, DAY)
    assert {trial.ended for trial in result.trials} == {"trained"}
    files = list((Path(recipe.store.work) / "tune").glob("*/text/*.npy"))
    assert (len(result.trials), len(files)) == (4, 2)
