"""One trial on the two tribes: what it reports to Ray Tune, which the test collects in a list."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.tune

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.model.search_space import space_of
from jobs.step import Night, code_version
from jobs.tune import prepare_trials
from jobs.tuning.trial import TrialContext, _Reports, run_trial, text_file, text_folder, text_vectors, values_of
from tests.jobs.tribes_night import DAY, commit_tribes, recipe_of
from tests.jobs.tuning.searches import finished_trial

GOOD, TOO_FAST = 1e-2, 1e35
RATES = f"tune.space.train.user_learning_rate=[{GOOD}, {TOO_FAST}]"


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was reported so far."""
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(ray.tune, "report", lambda metrics: reports.append(dict(metrics)))
    return reports


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    settings = commit_tribes(tmp_path)
    return recipe_of([*settings, "train.user_epochs=3", "train.text_epochs=0", "train.shuffled=0.0", RATES])


@pytest.fixture
def context(recipe: Recipe, tmp_path: Path) -> TrialContext:
    """A search's folder with its data, and a recipe without "auto"."""
    from artrec_core.model.search_space import apply_values

    folder = tmp_path / "search"
    _, resolved = prepare_trials(Night(recipe, DAY), space_of(recipe), folder)
    return TrialContext(folder, apply_values(recipe, resolved), space_of(recipe), 1, code_version())


def at_rate(rate: float) -> dict[str, Any]:
    return {"values": {"train.user_learning_rate": rate}}


def test_a_trial_reports_each_epoch_with_the_best_so_far_and_then_its_end(
    context: TrialContext, reports: list[dict[str, Any]]
):
    run_trial(at_rate(GOOD), context)
    *epochs, end = reports
    assert [report["pass"] for report in epochs] == [1, 2, 3]
    validations = [report["validation"] for report in epochs]
    assert [report["figure"] for report in epochs] == list(np.maximum.accumulate(validations))
    assert (end["ended"], end["figure"]) == ("trained", max(validations))
    assert end["best_pass"] == validations.index(max(validations)) + 1


def test_a_trial_that_diverges_is_worth_nothing(context: TrialContext, reports: list[dict[str, Any]]):
    run_trial(at_rate(TOO_FAST), context)
    assert (reports[-1]["ended"], reports[-1]["figure"]) == ("failed", 0.0)
    assert "the loss is nan" in reports[-1]["why"]


def test_a_point_that_was_tried_is_not_trained_again(context: TrialContext, reports: list[dict[str, Any]]):
    finished_trial(4, [0.25], **{"train.user_learning_rate": GOOD}).save(context.folder)
    run_trial(at_rate(GOOD), context)
    assert reports == [{"figure": 0.25, "same_as": 4, "ended": "trained"}]


def test_a_machine_with_other_code_runs_no_trial(context: TrialContext):
    other = TrialContext(context.folder, context.recipe, context.space, 1, "another version")
    with pytest.raises(ArtrecError, match="another version of artrec"):
        run_trial(at_rate(GOOD), other)


def test_a_validation_that_is_not_a_number_counts_as_zero(reports: list[dict[str, Any]]):
    run = _Reports()
    run.add(phase="start")  # no epoch: not reported
    run.add(epoch=1, validation=float("nan"), loss=1.0)
    run.add(epoch=2, validation=0.5, loss=0.9)
    assert [(report["figure"], report["best_pass"]) for report in reports] == [(0.0, 1), (0.5, 2)]


def test_text_vectors_are_made_once(context: TrialContext):
    from artrec_core.model.training_data import TrainingData

    data = TrainingData.load(context.folder / "data")
    file = text_file(context.folder, context.recipe)
    made = file.stat().st_mtime_ns  # `prepare_trials` made them: no trial changes the text tower
    vectors = text_vectors(context.folder, context.recipe, data)
    assert vectors.shape[0] == len(data.texts)
    assert file.stat().st_mtime_ns == made
    assert not text_folder(context.folder, context.recipe).exists()


def test_numbers_of_a_point_are_short(recipe: Recipe):
    space = space_of(recipe_of([], "tune.space.model.dropout={low=0.1, high=0.6}"))
    assert values_of({"values": {"model.dropout": 0.123456789}}, space) == {"model.dropout": 0.1235}
