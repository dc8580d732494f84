"""Retraining from Airflow's form, under a real scheduler: accepted, refused, left to a person who says no, then yes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artrec_core.config import load
from artrec_core.model.registry import Registry
from tests.conftest import ROOT
from tests.end_to_end.small_world import DAY, small_recipe
from tests.end_to_end.standalone import Airflow, standalone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Of a run, twelve processes of Airflow and seven of ours: long on a busy machine.
PATIENCE = 600.0
# Fifty people are too few to be sure of anything: the intervals are wide, and lists of ten of 120 works vary.
EASY = "[gate]\nmargin = 1.0\nmin_overlap = 0.0\nmax_drop = 0.0\n"
GOOD, BAD = "user_epochs = 8", "user_epochs = 1\nuser_learning_rate = 1e-6\nseed = 1"
WRONG = (
    ({"date": "tomorrow"}, "date"),
    ({"epochs": -1}, "epochs"),
    ({"learning_rate": "fast"}, "learning_rate"),
    ({"base_model": "bert"}, "base_model"),
    ({"recipe": "/etc/passwd"}, "recipe"),
    ({"holdout": False}, "holdout"),
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared night; its champion was trained by one pass at a rate that leaves the user tower as it was drawn."""
    path = small_recipe(tmp_path_factory.mktemp("retrain"), EASY)
    write(path, "user_epochs = 2", BAD)
    for step in ("crawl", "validate", "prepare", "train"):
        line = [sys.executable, "-m", f"jobs.{step}", "--config", str(path), "--date", DAY]
        done = subprocess.run(line, cwd=ROOT, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    write(path, BAD, GOOD)
    return path


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> Iterator[Airflow]:
    with standalone(tmp_path_factory.mktemp("airflow"), "retrain", recipe, ARTREC_PYTHON=sys.executable) as one:
        yield one


def write(recipe: Path, before: str, after: str) -> None:
    text = recipe.read_text()
    assert before in text
    recipe.write_text(text.replace(before, after))


def champion(recipe: Path) -> str:
    found = Registry(load(recipe).store).champion()
    assert found is not None
    return found.name


def asked(airflow: Airflow, **parameters: object) -> tuple[str, Any]:
    """A run that waits for a person: its id, and what the person is shown."""
    run = airflow.trigger(date=DAY, **parameters)
    airflow.state_among(f"/{run}/taskInstances/approval", ("awaiting_input", "failed", "upstream_failed"), PATIENCE)
    return run, airflow.runs(f"/{run}/taskInstances/approval/-1/hitlDetails")


def answer(airflow: Airflow, run: str, choice: str, why: str) -> str:
    """Answer as the page does; the state the run ends in."""
    # Airflow 3 fails a task that is answered before its executor has told that it waits, which took six seconds.
    time.sleep(15)
    said = {"chosen_options": [choice], "params_input": {"why": why}}
    airflow.runs(f"/{run}/taskInstances/approval/-1/hitlDetails", "PATCH", said)
    return airflow.end_of(run, PATIENCE)


@pytest.mark.parametrize(("parameters", "field"), WRONG)
def test_the_form_refuses_before_anything_starts(airflow: Airflow, parameters: dict[str, object], field: str) -> None:
    status, told = airflow.ask("POST", "/api/v2/dags/retrain/dagRuns", {"logical_date": None, "conf": parameters})
    assert status == 400
    assert f"Invalid input for param {field}" in told["detail"]
    assert airflow.runs()["dag_runs"] == []


def test_what_the_gate_accepts_becomes_champion(airflow: Airflow, recipe: Path) -> None:
    assert champion(recipe) == "1"
    run = airflow.trigger(date=DAY)
    assert airflow.end_of(run, PATIENCE) == "success", airflow.tasks(run)
    states = airflow.tasks(run)
    assert states.pop("approval") == "skipped"
    assert set(states.values()) == {"success"}
    assert champion(recipe) == "2"
    assert "version 2 is champion now in the place of version 1, by gate: NDCG@10" in airflow.log(run, "promote")


def test_what_the_gate_refuses_leaves_the_champion_and_says_why(airflow: Airflow, recipe: Path) -> None:
    write(recipe, GOOD, BAD.replace("seed = 1", "seed = 2"))
    try:
        run = airflow.trigger(date=DAY)
        assert airflow.end_of(run, PATIENCE) == "failed"
    finally:
        write(recipe, BAD.replace("seed = 1", "seed = 2"), GOOD)
    states = airflow.tasks(run)
    assert (states["gate"], states["decision"], states["promote"]) == ("success", "failed", "upstream_failed")
    assert "the gate refused version 3: " in airflow.log(run, "decision")
    assert champion(recipe) == "2"


def test_a_person_is_asked_of_what_the_gate_accepts_where_the_recipe_wants_it(airflow: Airflow, recipe: Path) -> None:
    another = f"{GOOD}\nseed = 5"
    write(recipe, EASY, f'{EASY}ask = "always"\n')
    write(recipe, GOOD, another)
    try:
        run, shown = asked(airflow)
        assert shown["subject"] == "Shall version 4 become champion in the place of version 2?"
        assert "| not worse | ok |" in shown["body"]
        assert champion(recipe) == "2"
        assert answer(airflow, run, "Approve", "looked at the report") == "success"
    finally:
        write(recipe, another, GOOD)
        write(recipe, 'ask = "always"\n', "")
    assert champion(recipe) == "4"
    assert Registry(load(recipe).store).promotions()[-1].by == "person:admin"


def test_a_person_says_no_and_on_second_thoughts_yes(airflow: Airflow, recipe: Path) -> None:
    # Trained on everything there is, nothing can be measured.
    run, shown = asked(airflow, holdout="no")
    assert shown["subject"] == "Shall version 5 become champion in the place of version 4?"
    assert "not measured: train.holdout is false" in shown["body"]
    assert "| coverage | ok |" in shown["body"]
    assert answer(airflow, run, "Reject", "not before the holidays") == "success"
    assert airflow.tasks(run)["promote"] == "skipped"
    assert champion(recipe) == "4"

    run, shown = asked(airflow, holdout="no")
    assert shown["subject"] == "Shall version 5 become champion in the place of version 4?"
    assert answer(airflow, run, "Approve", "the lists look right") == "success"
    assert champion(recipe) == "5"
    last = Registry(load(recipe).store).promotions()[-1]
    assert last.by == "person:admin"
    assert "the lists look right" in last.why
