"""Retraining from the shell on a small world: accepted, refused, left to a person, rolled back, killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.model.registry import Registry
from jobs.retrain import REFUSED, WAITING
from tests.conftest import ROOT
from tests.end_to_end.small_world import DAY, small_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MOMENTS = (
    "die_before_the_version_is_registered",
    "die_before_the_note",
    "die_before_the_decision_is_kept",
    "die_between_registering_and_promoting",
)
GOOD = ("--set", "train.user_epochs=8")
# Fifty people are too few to be sure of anything: the intervals are wide, and lists of ten of 120 works vary.
EASY = "[gate]\nmargin = 1.0\nmin_overlap = 0.0\nmax_drop = 0.0\n"
# One pass at such a rate leaves the user tower as it was drawn.
BAD = ("--set", "train.user_epochs=1", "--set", "train.user_learning_rate=1e-6")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared night whose champion is a bad one: nothing was there to compare it with."""
    path = small_recipe(tmp_path_factory.mktemp("retrain"), EASY)
    for step in ("crawl", "validate", "prepare"):
        assert run(path, "-m", f"jobs.{step}").returncode == 0
    assert run(path, "-m", "jobs.train", options=BAD).returncode == 0
    return path


def run(
    recipe: Path, *command: str, options: tuple[str, ...] = (), date: bool = True
) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *command, "--config", str(recipe), *(("--date", DAY) if date else ()), *options]
    return subprocess.run(line, cwd=ROOT, check=False, capture_output=True, text=True)


def retrain(recipe: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(recipe, "-m", "jobs.retrain", options=options)


def models(recipe: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return run(recipe, "-m", "jobs.models", *command, date=False)


def champion(recipe: Path) -> str:
    found = Registry(load(recipe).store).champion()
    assert found is not None
    return found.name


def test_a_retrain_is_accepted_refused_left_to_a_person_and_rolled_back(recipe: Path) -> None:
    assert champion(recipe) == "1"
    better = retrain(recipe, *GOOD)
    assert better.returncode == 0, better.stdout + better.stderr
    assert "version 2 is champion now in the place of version 1, by gate: NDCG@10" in better.stdout
    assert champion(recipe) == "2"

    again = retrain(recipe, *GOOD)
    assert (again.returncode, "version 2 is the champion already" in again.stdout) == (0, True)

    worse = retrain(recipe, *BAD, "--set", "train.seed=1", "--promote")
    assert worse.returncode == REFUSED
    assert "version 3 is registered but not promoted, the champion stays as it was: " in worse.stderr
    assert champion(recipe) == "2"

    unmeasured = retrain(recipe, *GOOD, "--set", "train.holdout=false")
    assert unmeasured.returncode == WAITING
    assert f"artrec models promote 4 --config {recipe}" in unmeasured.stdout
    assert champion(recipe) == "2"

    assert models(recipe, "promote", "4", "--why", "trained on everything").returncode == 0
    assert champion(recipe) == "4"
    assert models(recipe, "rollback", "--why", "complaints").returncode == 0
    assert champion(recipe) == "2"
    # What was rolled back does not come back by itself.
    assert retrain(recipe, *GOOD, "--set", "train.holdout=false").returncode == WAITING

    listed = models(recipe).stdout
    assert [line.split()[:2] for line in listed.splitlines()[3:4]] == [["2", "champion"]]
    for told in ("4 promoted in the place of 2", "trained on everything", "2 came back", "complaints", "3 refused"):
        assert told in listed
    assert len(Registry(load(recipe).store).versions()) == 4


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("promote", "9"), "there is no model version '9'"),
        (("rollback", "3"), "version 3 did not serve before the champion"),
    ],
)
def test_what_cannot_be_promoted_gets_one_clear_line(recipe: Path, command: tuple[str, ...], told: str) -> None:
    done = models(recipe, *command)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert told in done.stderr


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("model.base=folder:/nowhere", "holds no model"),
        ("model.heads=3", "multiple of model.heads"),
        ("train.user_epoch=3", "did you mean `user_epochs`?"),
        ("store.mlflow=http://127.0.0.1:9", "cannot be read"),
    ],
)
def test_wrong_settings_are_told_before_anything_starts(recipe: Path, option: str, told: str) -> None:
    done = run(recipe, "-m", "jobs.retrain", options=("--set", option))
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stdout == ""


def test_a_retrain_killed_anywhere_and_run_again_makes_one_version(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    for step in ("crawl", "validate", "prepare"):
        assert run(recipe, "-m", f"jobs.{step}").returncode == 0
    for moment in MOMENTS:
        assert run(recipe, "tests/end_to_end/killed.py", moment, "retrain", options=GOOD).returncode == -9, moment
    done = retrain(recipe, *GOOD)
    assert done.returncode == 0, done.stdout + done.stderr
    registry = Registry(load(recipe).store)
    assert [(one.name, one.aliases) for one in registry.versions()] == [("1", ("champion",))]
    assert [one.by for one in registry.promotions()] == ["gate"]
