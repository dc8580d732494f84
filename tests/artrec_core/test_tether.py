"""A command that is started through the tether: it runs as itself and gets SIGTERM when its parent dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artrec_core.processes import TETHER

PYTHON = sys.executable
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent")


def tether(parent: int, *command: str) -> "subprocess.CompletedProcess[str]":
    line = [PYTHON, "-IS", str(TETHER), str(parent), *command]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_runs_with_its_arguments_and_exit_status() -> None:
    result = tether(os.getpid(), PYTHON, "-c", "import sys; print(sys.argv[1:]); sys.exit(3)", "a b", "-c")
    assert (result.returncode, result.stdout) == (3, "['a b', '-c']\n")


def test_the_command_has_the_process_id_of_the_tether() -> None:
    line = [PYTHON, "-IS", str(TETHER), str(os.getpid()), PYTHON, "-c", "import os; print(os.getpid())"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        stdout, _ = process.communicate(timeout=60)
    assert int(stdout) == process.pid


def test_a_command_that_does_not_exist_is_an_error_of_one_line() -> None:
    result = tether(os.getpid(), "no-such-command")
    assert result.returncode == 1
    assert result.stderr == "artrec: no-such-command cannot be run: No such file or directory\n"


@LINUX
def test_a_command_whose_parent_died_before_the_request_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    result = tether(1 if os.getpid() != 1 else 2, PYTHON, "-c", f"open({str(ran)!r}, 'w')")
    assert result.returncode == 128 + signal.SIGTERM
    assert not ran.exists()


@LINUX
def test_the_command_gets_sigterm_when_its_parent_dies(tmp_path: Path) -> None:
    started, ended = tmp_path / "started", tmp_path / "ended"
    child = (
        "import pathlib, signal, sys, time\n"
        f"def end(*_): pathlib.Path({str(ended)!r}).touch(); sys.exit()\n"
        f"signal.signal(signal.SIGTERM, end); pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    )
    parent = (
        f"import os, subprocess, sys, time\n"
        f"subprocess.Popen([{PYTHON!r}, '-IS', {str(TETHER)!r}, str(os.getpid()), {PYTHON!r}, '-c', {child!r}])\n"
        f"while not os.path.exists({str(started)!r}): time.sleep(0.02)\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([PYTHON, "-c", parent], check=False, timeout=60).returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while not ended.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended.exists()
