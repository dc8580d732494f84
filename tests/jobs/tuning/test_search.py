"""The points of a search, what Optuna proposes, and which trials ASHA stops."""

from pathlib import Path
from types import SimpleNamespace

from jobs.tuning import search as tuning
from jobs.tuning.records import Trial
from tests.jobs.tribes_night import recipe_of
from tests.jobs.tuning.searches import finished_trial, search_in

DROPOUT_RANGE = "tune.space.model.dropout={low=0.1, high=0.6}"


def test_optuna_begins_with_interrupted_points_then_the_recipe_itself_then_its_own_points(tmp_path: Path):
    recipe = recipe_of(["model.dropout=0.4", DROPOUT_RANGE])
    search, interrupted = search_in(tmp_path, recipe), {"model.dropout": 0.15}
    assert tuning._optuna_search(search, [], [interrupted]).suggest("again") == {"values": interrupted}
    searcher = tuning._optuna_search(search, [], [])
    first, second = (searcher.suggest(name)["values"]["model.dropout"] for name in ("a", "b"))
    assert first == recipe.model.dropout != second
    # A search that continues knows the recipe's own point, and does not repeat the draws of the beginning.
    finished = [finished_trial(0, [0.2], **{"model.dropout": recipe.model.dropout})]
    continued = tuning._optuna_search(search, finished, [])
    assert continued.suggest("c")["values"]["model.dropout"] not in (first, second)


def test_optuna_with_as_many_trials_as_points_tries_each_point_once(tmp_path: Path):
    space = "tune.space.model.layers=[1, 2, 3]"
    assert search_in(tmp_path, recipe_of([space, "tune.trials=2"])).points is None
    points = search_in(tmp_path, recipe_of([space, "tune.trials=9"])).points
    assert points == [{"model.layers": 1}, {"model.layers": 2}, {"model.layers": 3}]


def test_a_random_search_begins_with_the_recipe_itself(tmp_path: Path):
    recipe = recipe_of(["model.dropout=0.4", 'tune.search="random"', DROPOUT_RANGE, "tune.trials=4"])
    points = search_in(tmp_path, recipe).points
    assert points is not None
    assert points[0] == {"model.dropout": recipe.model.dropout}
    assert len({point["model.dropout"] for point in points}) == 4


def test_a_trial_that_is_behind_finished_trials_is_stopped_after_the_grace_epochs(tmp_path: Path):
    recipe = recipe_of(["tune.grace_epochs=2", "tune.reduction=3", "train.user_epochs=9"])
    finished = [finished_trial(number, [0.1, figure, figure]) for number, figure in enumerate((0.5, 0.6, 0.7))]

    def decision(figure: float, epoch: int, trials: list[Trial]) -> str:
        scheduler, new = tuning._scheduler(search_in(tmp_path, recipe), trials), SimpleNamespace(trial_id="new")
        scheduler.on_trial_add(None, new)
        return str(scheduler.on_trial_result(None, new, {"pass": epoch, "figure": figure}))

    assert decision(0.2, 1, finished) == "CONTINUE"  # before the first rung
    assert decision(0.2, 2, finished) == "STOP"
    assert decision(0.8, 2, finished) == "CONTINUE"
    assert decision(0.2, 2, []) == "CONTINUE"  # no other trial to be behind
    assert decision(0.2, 9, []) == "CONTINUE"  # the trial itself reports that this was its last epoch


def test_a_trial_with_no_more_epochs_than_the_grace_is_never_stopped(tmp_path: Path):
    recipe = recipe_of(["tune.grace_epochs=4", "train.user_epochs=4"])
    finished = [finished_trial(number, [0.7] * 4) for number in range(3)]
    scheduler, new = tuning._scheduler(search_in(tmp_path, recipe), finished), SimpleNamespace(trial_id="new")
    assert str(scheduler.on_trial_result(None, new, {"pass": 4, "figure": 0.1})) == "CONTINUE"


def test_a_search_whose_points_are_all_finished_starts_nothing(tmp_path: Path):
    search = search_in(tmp_path, recipe_of(['tune.search="grid"', "tune.space.model.layers=[1, 2]"]))
    trials = [finished_trial(row, [0.1], **{"model.layers": layers}) for row, layers in enumerate((1, 2))]
    for trial in trials:
        trial.save(tmp_path)
    assert tuning.run(search) == trials
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trials"]
