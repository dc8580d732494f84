"""Both DAGs as Airflow parses them: dates, retries and timeouts, documentation, and what parsing imports."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from jobs.steps import STEPS
from tests.conftest import ROOT
from tests.dags.conftest import DAGS

HEAVY = {"torch", "ray", "transformers", "deepspeed", "great_expectations", "pandas", "polars"}


def run_python(environment: dict[str, str], code: str) -> subprocess.CompletedProcess[str]:
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


def test_every_task_has_an_owner_retries_and_a_timeout(bag: DagBag) -> None:
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    assert len(tasks) == 11 + 12
    for task in tasks:
        assert (task.owner, task.retries, task.retry_delay) == ("artrec", 2, timedelta(minutes=5)), task.task_id
        assert task.execution_timeout is not None, task.task_id


def test_each_dag_documents_its_tasks(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert dag.doc_md is not None
        assert dag.doc_md.strip().startswith("###")
        assert "artrec" in dag.tags
        for task in dag.tasks:
            assert f"`{task.task_id}`" in dag.doc_md or (dag.dag_id == "nightly" and task.task_id in STEPS)


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
    process = run_python({}, code)
    assert process.returncode == 0, process.stderr
    before, ours = (set(names) for names in json.loads(process.stdout.splitlines()[-1]))
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
    process = run_python({"ARTREC_RECIPE": str(recipe)}, code)
    last = process.stdout.strip().splitlines()[-1]
    assert last.startswith("[] ")
    assert last.count("unknown key `events.0.usres`; did you mean `users`?") == 2
