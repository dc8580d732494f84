"""`artrec tune` on two tribes of people: what a search tries, finds, keeps and goes on from."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError, ConfigError, MissingPartition
from artrec_core.lake import Lake
from artrec_core.model.search_space import DEFAULT_SPACE, apply_values, setting, space_of
from jobs import tune
from jobs.step import Night
from jobs.tuning import search as tuning
from jobs.tuning.callback import Log
from jobs.tuning.records import Trial, finished_alike, ranked, trials_in
from tests.artrec_core.model.worlds import tiny_settings
from tests.artrec_core.recs.evaluation_worlds import catalogue, tribes, users, with_other_tests
from tests.conftest import ROOT

CONFIG = str(ROOT / "infra" / "recipes" / "demo.toml")
DAY = "2026-03-30"
# Of the learning rate: nothing is learnt, the tribes are, and the weights leave what numbers can hold.
TOO_SLOW, GOOD, TOO_FAST = 1e-9, 1e-2, 1e35


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """Overrides of a recipe whose night is there: the tribes' tables, as `prepare` would have committed them."""
    settings = [*tiny_settings(tmp_path), "train.user_epochs=4", "train.text_epochs=0", "train.shuffled=0.0"]
    lake = Lake(load(CONFIG, settings).store.lake)
    for table, frame in (("catalogue", catalogue()), ("histories", tribes()), ("people", users())):
        lake.commit(table, DAY, {"all": [lake.write_part(table, DAY, frame)]}, fingerprint=DAY, code_version="test")
    return settings


def recipe_of(settings: list[str], *more: str) -> Recipe:
    return load(CONFIG, [*settings, *more])


def mlflow_runs(recipe: Recipe) -> list[Any]:
    from artrec_core.model.registry import Registry

    client = Registry(recipe.store).client
    return list(client.search_runs([client.get_experiment_by_name("artrec").experiment_id]))


def search_in(folder: Path, recipe: Recipe) -> tuning.Search:
    return tuning.Search(recipe, space_of(recipe), folder, {"fingerprint": "f"})


def over(number: int, figures: list[float], **values: Any) -> Trial:
    """A trial that is over, with its best figure after each pass."""
    curve = [{"pass": row + 1, "figure": one} for row, one in enumerate(figures)]
    return Trial(number=number, values=values, figure=figures[-1], ended="trained", curve=curve)


def test_a_night_that_was_not_prepared_is_named(tmp_path: Path):
    with pytest.raises(MissingPartition, match="run `artrec prepare --date 2026-03-30` first"):
        tune.tuned(recipe_of(tiny_settings(tmp_path)), DAY)


def test_a_grid_over_a_range_is_refused_before_anything_starts(settings: list[str]):
    recipe = recipe_of(settings, 'tune.search="grid"', "tune.space.model.dropout={low=0.1, high=0.5}")
    with pytest.raises(ConfigError, match=r"has a range for model\.dropout; give lists"):
        tune.tuned(recipe, DAY)
    assert not Path(recipe.store.work).exists()


def test_a_kind_of_search_that_there_is_not_is_named(settings: list[str]):
    with pytest.raises(ConfigError, match=r"`tune\.search`: Input should be 'optuna', 'grid' or 'random'"):
        tune.command(CONFIG, DAY, settings, search="bayes", trials=None, out=None)


def test_without_anybody_to_validate_nothing_is_searched(settings: list[str]):
    recipe = recipe_of(settings)
    lake, nobody = Lake(recipe.store.lake), tribes().clear()
    part = lake.write_part("histories", DAY, nobody)
    lake.commit("histories", DAY, {"all": [part]}, fingerprint="empty", code_version="test")
    with pytest.raises(ArtrecError, match="nobody on 2026-03-30 has enough positive events"):
        tune.tuned(recipe, DAY)


def test_what_trials_read_does_not_change_with_the_test_works(settings: list[str], tmp_path: Path):
    recipe = recipe_of([*settings, "train.refit=false"])
    lake, read = Lake(recipe.store.lake), []
    for name, histories in (("one", tribes()), ("other", with_other_tests(tribes()))):
        lake.commit(
            "histories",
            DAY,
            {"all": [lake.write_part("histories", DAY, histories)]},
            fingerprint=name,
            code_version="test",
        )
        people, settled = tune.prepared(Night(recipe, DAY), space_of(recipe), tmp_path / name)
        assert people == 16
        assert not any(setting(apply_values(recipe, settled), key) == "auto" for key in DEFAULT_SPACE)
        files = sorted(path for path in (tmp_path / name).rglob("*.*") if path.suffix in (".json", ".npz", ".npy"))
        read.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert len(read[0]) == 3
    assert read[0] == read[1]


def test_optuna_begins_with_what_was_interrupted_then_the_recipe_itself_then_its_own_ideas(tmp_path: Path):
    recipe = recipe_of(["model.dropout=0.4", "tune.space.model.dropout={low=0.1, high=0.6}"])
    search, cut_short = search_in(tmp_path, recipe), {"model.dropout": 0.15}
    assert tuning._optuna(search, [], [cut_short]).suggest("again") == {"values": cut_short}
    searcher = tuning._optuna(search, [], [])
    first, second = (searcher.suggest(name)["values"]["model.dropout"] for name in ("a", "b"))
    assert first == recipe.model.dropout != second
    # Of a search that goes on, the recipe's own point is known, and draws are not those of the beginning.
    going_on = tuning._optuna(search, [over(0, [0.2], **{"model.dropout": recipe.model.dropout})], [])
    assert going_on.suggest("c")["values"]["model.dropout"] not in (first, second)


def test_optuna_that_is_asked_for_all_points_or_more_tries_each_once(tmp_path: Path):
    space = "tune.space.model.layers=[1, 2, 3]"
    assert search_in(tmp_path, recipe_of([space, "tune.trials=2"])).points is None
    points = search_in(tmp_path, recipe_of([space, "tune.trials=9"])).points
    assert points == [{"model.layers": 1}, {"model.layers": 2}, {"model.layers": 3}]


def test_a_random_search_begins_with_the_recipe_itself(tmp_path: Path):
    recipe = recipe_of(
        ["model.dropout=0.4", 'tune.search="random"', "tune.space.model.dropout={low=0.1, high=0.6}", "tune.trials=4"]
    )
    points = search_in(tmp_path, recipe).points
    assert points is not None
    assert points[0] == {"model.dropout": recipe.model.dropout}
    assert len({one["model.dropout"] for one in points}) == 4


def test_a_trial_behind_after_as_many_passes_is_stopped_by_what_was_known_before(tmp_path: Path):
    recipe = recipe_of(["tune.grace_epochs=2", "tune.reduction=3", "train.user_epochs=9"])
    known = [over(number, [0.1, figure, figure]) for number, figure in enumerate((0.5, 0.6, 0.7))]

    def told(figure: float, passes: int, trials: list[Trial]) -> str:
        scheduler, new = tuning._scheduler(search_in(tmp_path, recipe), trials), SimpleNamespace(trial_id="new")
        scheduler.on_trial_add(None, new)
        return str(scheduler.on_trial_result(None, new, {"pass": passes, "figure": figure}))

    assert told(0.2, 1, known) == "CONTINUE"  # before the first look
    assert told(0.2, 2, known) == "STOP"
    assert told(0.8, 2, known) == "CONTINUE"
    assert told(0.2, 2, []) == "CONTINUE"  # there is nothing to be behind of
    assert told(0.2, 9, []) == "CONTINUE"  # that it was the last pass is for the trial to say


def test_a_trial_of_no_more_passes_than_the_grace_is_never_stopped(tmp_path: Path):
    recipe = recipe_of(["tune.grace_epochs=4", "train.user_epochs=4"])
    known = [over(number, [0.7] * 4) for number in range(3)]
    scheduler, new = tuning._scheduler(search_in(tmp_path, recipe), known), SimpleNamespace(trial_id="new")
    assert str(scheduler.on_trial_result(None, new, {"pass": 4, "figure": 0.1})) == "CONTINUE"


def test_trials_are_ranked_by_figure_then_by_age_and_failures_come_last(tmp_path: Path):
    failed = Trial(number=0, values={}, ended="failed", why="diverged")
    trials = [failed, over(1, [0.2], a=1), over(2, [0.3], a=2), over(3, [0.3], a=3), Trial(number=4, values={"a": 4})]
    for one in trials:
        one.save(tmp_path)
    assert [one.number for one in ranked(trials_in(tmp_path))] == [2, 3, 1, 0]
    assert finished_alike(tmp_path, {"a": 3}) == trials[3]
    assert finished_alike(tmp_path, {"a": 4}) is None


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
    tried = [(one["values"]["train.user_learning_rate"], one["values"]["model.layers"]) for one in note["trials"]]
    assert sorted(tried) == [(rate, layers) for rate in (TOO_SLOW, GOOD, TOO_FAST) for layers in (1, 2)]
    assert [rate for rate, _ in tried] == [GOOD, GOOD, TOO_SLOW, TOO_SLOW, TOO_FAST, TOO_FAST]
    assert {one["ended"] for one in note["trials"][:4]} == {"trained"}
    assert "the loss is nan in epoch" in note["trials"][-1]["why"]
    assert note["people_validated"] == 16
    best = note["trials"][0]
    # The best recipe holds what was found, and everything else as it was.
    found = load(out)
    assert (found.train.user_learning_rate, found.model.layers) == tried[0]
    assert found.model_dump(exclude={"model", "train"}) == recipe.model_dump(exclude={"model", "train"})
    assert "# was 0.003" in out.read_text()
    said = capsys.readouterr().out
    assert f"the best of 6 trials is trial {best['number']}, NDCG@10 {best['figure']:.4f}" in said
    assert f"artrec retrain --config {out} --date {DAY}" in said
    # MLflow holds the trials below their search, with settings and curves.
    runs = {one.data.tags["mlflow.runName"]: one for one in mlflow_runs(recipe)}
    parent = next(one for name, one in runs.items() if name.startswith("tune "))
    trials = {name: one for name, one in runs.items() if name.startswith("trial ")}
    assert sorted(trials) == [f"trial {number}" for number in range(6)]
    assert {one.data.tags["mlflow.parentRunId"] for one in trials.values()} == {parent.info.run_id}
    assert sum(one.info.status == "FAILED" for one in trials.values()) == 2
    assert parent.info.status == "FINISHED"
    run = trials[f"trial {best['number']}"]
    assert run.data.params["user_learning_rate"] == str(GOOD)
    from artrec_core.model.registry import Registry

    curve = Registry(recipe.store).client.get_metric_history(run.info.run_id, "user/validation")
    assert [one.value for one in sorted(curve, key=lambda one: one.step)] == [
        one["validation"] for one in best["curve"]
    ]
    # The lake's tables are only read, and the search run again has nothing to do.
    assert Lake(recipe.store.lake).find_manifest("text_vectors", DAY) is None
    again = tune.tuned(recipe, DAY)
    assert [one.model_dump() for one in again.ranked] == note["trials"]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_runs_no_finished_trial_again(settings: list[str]):
    overrides = [*settings, "tune.space.model.dropout={low=0.1, high=0.6}", "train.user_epochs=12", "tune.trials=5"]
    recipe = recipe_of(overrides)
    line = [sys.executable, "-m", "jobs.tune", "--config", CONFIG, "--date", DAY]
    line += [part for one in overrides for part in ("--set", one)]
    process = subprocess.Popen(line, cwd=ROOT, start_new_session=True)
    searches = Path(recipe.store.work) / "tune"
    try:
        while len(before := finished(searches)) < 2:
            assert process.poll() is None, "the search ended before it was killed"
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    found = tune.tuned(recipe, DAY)
    assert sorted(one.number for one in found.ranked) == list(range(5))
    assert {name: text for name, text in finished(searches).items() if name in before} == before
    assert len({str(one.values) for one in found.trials}) == 5
    runs = mlflow_runs(recipe)
    (parent,) = (one for one in runs if one.data.tags["mlflow.runName"].startswith("tune "))
    trials = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sum(one.info.status == "FINISHED" for one in trials) == 5
    assert not any(one.info.status == "RUNNING" for one in runs)
    # More trials of the same search are only those that are not there yet.
    assert len(tune.tuned(recipe_of(overrides, "tune.trials=6"), DAY).ranked) == 6
    assert len(list(searches.iterdir())) == 1


def finished(searches: Path) -> dict[str, str]:
    """The files of the trials that are over."""
    files = {path.name: path.read_text() for path in searches.glob("*/trials/*.json")}
    return {name: text for name, text in files.items() if json.loads(text)["ended"] is not None}


def test_a_trial_killed_between_its_file_and_its_run_is_finished_in_mlflow_by_the_next_search(
    settings: list[str], tmp_path: Path
):
    recipe = recipe_of(settings, "tune.space.model.layers=[1, 2]")
    search, trial = search_in(tmp_path, recipe), SimpleNamespace(trial_id="a", config={"values": {"model.layers": 2}})

    def log() -> Log:
        return Log(recipe, search.space, search.folder, search.tags)

    killed = log()
    killed._open()
    killed.on_trial_start(0, [], trial)
    over(0, [0.2], **{"model.layers": 2}).save(search.folder)
    with log().kept():
        pass
    assert sorted(run.info.status for run in mlflow_runs(recipe)) == ["FINISHED", "FINISHED"]
    assert [run.data.metrics.get("tune/figure") for run in mlflow_runs(recipe)] == [0.2, 0.2]


@pytest.mark.slow
def test_text_vectors_are_made_once_for_each_setting_of_the_text_side(settings: list[str]):
    rates = "tune.space.train.text_learning_rate=[1e-5, 1e-3]"
    recipe = recipe_of(settings, "train.text_epochs=1", 'tune.search="grid"', rates, "tune.space.model.layers=[1, 2]")
    found = tune.tuned(recipe, DAY)
    assert {one.ended for one in found.trials} == {"trained"}
    made = list((Path(recipe.store.work) / "tune").glob("*/text/*.npy"))
    assert (len(found.trials), len(made)) == (4, 2)
