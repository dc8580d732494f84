"""What a terminal shows of a run of Airflow; no process of the run outlives it."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from artrec_dags.terminal import drop_tracebacks
from tests.conftest import ROOT
from tests.waiting import wait_until

RUN = [sys.executable, "-m", "dags.artrec_dags.terminal", "test", "nightly", "2026-03-30", "{}"]
STANDALONE = [sys.executable, "-m", "dags.artrec_dags.terminal", "standalone"]


def start(folder: Path, command: list[str], airflow: str) -> "subprocess.Popen[str]":
    """The command, with a stand-in for Airflow, in a session of its own."""
    program = folder / "airflow"
    program.write_text(f"#!/bin/bash\n{airflow}\n")
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(folder),
    }
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def alive(session: int) -> list[int]:
    """The running processes of a session."""
    pids = []
    for process in psutil.process_iter(["status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        try:
            pids += [process.pid] if os.getsid(process.pid) == session else []
        except ProcessLookupError:
            continue
    return pids


def test_of_a_failed_task_s_traceback_the_last_line_is_shown() -> None:
    lines = ["one\n", "Task failed with exception\n", "Traceback (most recent call last):\n", '  File "a.py"\n']
    lines += ["    raise it\n", "JobFailed: no catalogue\n", "  two\n"]
    assert list(drop_tracebacks(lines)) == ["one\n", "JobFailed: no catalogue\n", "  two\n"]


def test_a_run_has_a_database_of_its_own_and_removes_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
        database.execute("CREATE TABLE dag (dag_id)")
    write = "import os, sqlite3; print(sqlite3.connect(os.environ['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'][10:])"
    write += ".execute('INSERT INTO dag VALUES (1) RETURNING dag_id').fetchall())"
    process = start(tmp_path, RUN, f'{sys.executable} -c "{write}"')
    output, _ = process.communicate()
    assert output.startswith("[(1,)]\n"), output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["airflow", "airflow.db"]
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
        assert database.execute("SELECT count(*) FROM dag").fetchall() == [(0,)]


def test_each_line_is_shown_when_it_is_printed(tmp_path: Path) -> None:
    # The second line is printed only after the first one was read.
    process = start(tmp_path, RUN, f"echo one; while [ ! -e {tmp_path}/read ]; do sleep 0.05; done; echo two >&2")
    assert process.stdout is not None
    assert process.stdout.readline() == "one\n"
    (tmp_path / "read").touch()
    assert process.stdout.readline() == "two\n"
    assert process.stdout.readline().startswith("nightly 2026-03-30: done in ")
    assert process.wait() == 0


def test_a_run_that_fails_says_what_to_do(tmp_path: Path) -> None:
    out, _ = start(tmp_path, RUN, "exit 1").communicate()
    assert out == (
        "artrec: nightly of 2026-03-30 stopped at the step above; fix what it says and run the same line again\n"
    )


@pytest.mark.parametrize("command", [RUN, STANDALONE], ids=["test", "standalone"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_of_it(tmp_path: Path, command: list[str], number: signal.Signals) -> None:
    process = start(tmp_path, command, f"sleep 600 & touch {tmp_path}/running; trap 'kill %1; exit' TERM INT; wait")
    wait_until((tmp_path / "running").exists)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert alive(process.pid) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_a_run_ends_with_a_terminal_that_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, RUN, f"touch {tmp_path}/running; trap 'exit' TERM; while :; do sleep 0.05; done")
    wait_until((tmp_path / "running").exists)
    process.kill()
    process.wait()
    wait_until(lambda: alive(process.pid) == [])
