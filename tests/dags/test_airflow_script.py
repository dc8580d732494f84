"""`infra/airflow.sh test`: a real run of the real DAG in a terminal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jobs.steps import STEPS
from tests.conftest import ROOT
from tests.end_to_end.small_world import DAY, small_recipe
from tests.waiting import wait_until

JOB = """#!/bin/sh
[ "$2" = "jobs.$FAILS" ] && {{ echo "artrec: no catalogue; run prepare first" >&2; exit 1; }}
echo "${{2#jobs.}}" >> {ran}
echo "${{2#jobs.}} {day}: rows 12 (0.1 s, 10 MB)"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Airflow home for the module: its database is made once."""
    return tmp_path_factory.mktemp("airflow")


def environment_of(home: Path, **environment: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {**own, "ARTREC_AIRFLOW_HOME": str(home), **environment}


def start(home: Path, day: str, recipe: Path | str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [ROOT / "infra" / "airflow.sh", "test", "nightly", day, str(recipe)],
        env=environment_of(home, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def run(home: Path, day: str, recipe: Path | str, **environment: str) -> subprocess.CompletedProcess[str]:
    return finish(start(home, day, recipe, **environment))


def job(folder: Path) -> Path:
    """A stand-in for Python whose jobs print a line of figures and write their names to `folder / "ran"`."""
    python = folder / "python"
    python.write_text(JOB.format(ran=folder / "ran", day=DAY))
    python.chmod(0o755)
    return python


def test_a_date_in_the_wrong_form_gets_one_clear_line(home: Path) -> None:
    result = run(home, "2026-3-30", "infra/recipes/demo.toml")
    assert (result.returncode, result.stderr) == (
        1,
        "artrec: '2026-3-30' is not a date; write it as YYYY-MM-DD, for example 2026-03-30\n",
    )


def test_a_recipe_that_is_not_there_gets_one_clear_line(home: Path) -> None:
    result = run(home, DAY, "infra/recipes/none.toml")
    assert result.returncode == 1
    assert result.stderr.startswith("artrec: there is no recipe infra/recipes/none.toml")
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_night_shows_the_jobs_lines_and_none_of_airflows(home: Path, tmp_path: Path) -> None:
    python, ran = job(tmp_path), tmp_path / "ran"
    result = run(home, DAY, small_recipe(tmp_path), ARTREC_PYTHON=str(python))
    assert result.returncode == 0, result.stdout + result.stderr
    assert ran.read_text().split() == ["crawl", *STEPS]
    lines = [line for line in result.stdout.splitlines() if not line.startswith(("--- ", "setting up Airflow"))]
    assert lines[:-1] == [f"{step} {DAY}: rows 12 (0.1 s, 10 MB)" for step in ("crawl", *STEPS)]
    assert lines[-1].startswith(f"nightly {DAY}: done in ")
    assert result.stderr == ""


@pytest.mark.slow
def test_a_night_that_fails_says_where_and_stops_there(home: Path, tmp_path: Path) -> None:
    python, ran = job(tmp_path), tmp_path / "ran"
    result = run(home, DAY, small_recipe(tmp_path), ARTREC_PYTHON=str(python), FAILS="embed")
    assert result.returncode == 1
    assert ran.read_text().split() == ["crawl", "crawl", "validate", "prepare", "train"]
    assert f"embed {DAY} failed with exit status 1: artrec: no catalogue; run prepare first\n" in result.stdout
    assert "Traceback" not in result.stdout
    assert "run the same line again" in result.stderr


@pytest.mark.slow
def test_two_nights_that_are_started_at_once_in_a_fresh_home_follow_each_other(tmp_path: Path) -> None:
    recipe, python = small_recipe(tmp_path), job(tmp_path)
    processes = [start(tmp_path / "airflow", DAY, recipe, ARTREC_PYTHON=str(python)) for _ in range(2)]
    results = [finish(process) for process in processes]
    assert [result.returncode for result in results] == [0, 0], results
    message = f"nightly {DAY}: another run of this DAG and date is active; waiting for it"
    assert sum(message in result.stdout for result in results) == 1
    assert (tmp_path / "ran").read_text().split() == ["crawl", *STEPS] * 2


@pytest.mark.slow
def test_nights_of_two_dates_that_are_started_at_once_set_airflow_up_once(tmp_path: Path) -> None:
    recipe, python = small_recipe(tmp_path), job(tmp_path)
    processes = [start(tmp_path / "airflow", day, recipe, ARTREC_PYTHON=str(python)) for day in (DAY, "2026-03-31")]
    results = [finish(process) for process in processes]
    assert [result.returncode for result in results] == [0, 0], results
    assert sum("setting up Airflow 3" in result.stdout for result in results) == 1


@pytest.mark.slow
def test_a_night_that_was_killed_while_airflow_was_set_up_can_be_run_again(tmp_path: Path) -> None:
    recipe, python, home = small_recipe(tmp_path), job(tmp_path), tmp_path / "airflow"
    first = start(home, DAY, recipe, ARTREC_PYTHON=str(python))
    building = home / ".airflow.db.building"
    while not (building.exists() and building.stat().st_size):
        assert first.poll() is None, finish(first)
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    finish(first)
    assert not (home / "airflow.db").exists()
    result = run(home, DAY, recipe, ARTREC_PYTHON=str(python))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_small_night_from_end_to_end(home: Path, tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    result = run(home, DAY, recipe, ARTREC_PYTHON=sys.executable)
    assert result.returncode == 0, result.stdout + result.stderr
    for step in STEPS:
        assert f"\n{step} {DAY}: " in result.stdout
    assert (tmp_path / "warehouse.duckdb").exists()


@pytest.mark.slow
def test_a_night_that_is_ended_leaves_no_process_behind(home: Path, tmp_path: Path) -> None:
    python, running = tmp_path / "python", tmp_path / "running"
    python.write_text(f"#!/bin/sh\ntouch {running}\nexec sleep 600\n")
    python.chmod(0o755)
    line = [ROOT / "infra" / "airflow.sh", "test", "nightly", DAY, str(small_recipe(tmp_path))]
    with subprocess.Popen(line, env=environment_of(home, ARTREC_PYTHON=str(python)), start_new_session=True) as script:
        wait_until(running.exists)
        family = psutil.Process(script.pid).children(recursive=True)
        script.terminate()
    assert script.returncode == 128 + signal.SIGTERM
    assert len(family) >= 2
    wait_until(lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family))
