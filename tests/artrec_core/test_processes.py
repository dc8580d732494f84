"""Child processes of a command end with it, in whatever way it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from artrec_core import processes
from artrec_core.processes import child_process, run, tether_command
from tests.conftest import ROOT
from tests.waiting import wait_until

PYTHON = sys.executable
# Writes its process id and waits. Its child does the same and ignores SIGTERM.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
if len(sys.argv) == 2:
    subprocess.Popen([sys.executable, "-c", os.environ["STUBBORN"], sys.argv[1], "child"])
time.sleep(600)
"""
# Starts a child as the commands of artrec do, and waits for it.
COMMAND = """
import sys, time
from artrec_core import processes
processes.COMMAND_SECONDS, processes.CHILD_SECONDS = float(sys.argv[2]), 0.5
with processes.exit_on_signals():
    try:
        with processes.child_process([sys.executable, "-c", sys.argv[3], sys.argv[1]]) as process:
            process.wait()
    finally:
        print("cleaned up", flush=True)
        time.sleep(float(sys.argv[4]))
"""


def read_ids(file: Path, count: int) -> list[int]:
    wait_until(lambda: file.exists() and len(file.read_text().split()) == count)
    return [int(word) for word in file.read_text().split()]


def start_command(file: Path, *, command_seconds: float = 8.0, cleanup_seconds: float = 0.0) -> "subprocess.Popen[str]":
    arguments = [str(file), str(command_seconds), STUBBORN, str(cleanup_seconds)]
    environment = os.environ | {"STUBBORN": STUBBORN, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([PYTHON, "-c", COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, text=True)


def have_ended(*pids: int) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def test_a_child_and_its_descendants_end_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CHILD_SECONDS", 0.5)
    monkeypatch.setenv("STUBBORN", STUBBORN)
    with child_process([PYTHON, "-c", STUBBORN, str(tmp_path / "ids")]):
        process_ids = read_ids(tmp_path / "ids", 2)
    assert have_ended(*process_ids)


def test_a_child_has_time_to_clean_up(tmp_path: Path) -> None:
    cleaned_up, ready = tmp_path / "cleaned_up", tmp_path / "ready"
    script = f"trap 'touch {cleaned_up}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    with child_process(["bash", "-c", script]) as process:
        wait_until(ready.exists)
    assert (cleaned_up.exists(), process.returncode) == (True, 0)


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_status_is_the_one_of_a_shell(script: str, status: int) -> None:
    assert run(["sh", "-c", script]) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_and_its_descendants_after_its_clean_up(tmp_path: Path, number: signal.Signals) -> None:
    process = start_command(tmp_path / "ids")
    process_ids = read_ids(tmp_path / "ids", 2)
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "cleaned up\n"
    assert process.returncode == 128 + number
    assert have_ended(*process_ids)


def test_a_second_signal_does_not_interrupt_the_clean_up(tmp_path: Path) -> None:
    process = start_command(tmp_path / "ids")
    process_ids = read_ids(tmp_path / "ids", 2)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "cleaned up\n"
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGHUP)
    assert have_ended(*process_ids)


def test_a_command_whose_clean_up_takes_too_long_is_killed_with_its_descendants(tmp_path: Path) -> None:
    process = start_command(tmp_path / "ids", command_seconds=0.1, cleanup_seconds=600)
    process_ids = read_ids(tmp_path / "ids", 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    wait_until(lambda: have_ended(*process_ids))


def test_a_command_under_nohup_outlives_its_terminal() -> None:
    code = "import os, signal; from artrec_core.processes import exit_on_signals\n"
    code += "with exit_on_signals():\n    os.kill(os.getpid(), signal.SIGHUP); print('still here')"
    line = ["nohup", PYTHON, "-c", code]
    result = subprocess.run(
        line, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert result.stdout == "still here\n"


def test_the_signal_handlers_are_restored_after_the_block() -> None:
    old_handlers = [signal.getsignal(number) for number in processes.END_SIGNALS]
    with processes.exit_on_signals():
        assert signal.getsignal(signal.SIGTERM) not in old_handlers
    assert [signal.getsignal(number) for number in processes.END_SIGNALS] == old_handlers


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_a_child_ends_with_a_command_that_is_killed(tmp_path: Path) -> None:
    (file := tmp_path / "ids").touch()
    waits = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'a')); time.sleep(600)"
    code = f"from artrec_core.processes import run; run([{PYTHON!r}, '-c', {waits!r}, {str(file)!r}])"
    process = subprocess.Popen([PYTHON, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    process_ids = read_ids(file, 1)
    process.kill()
    process.wait()
    wait_until(lambda: have_ended(*process_ids))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_a_child_whose_parent_died_before_it_started_does_not_run() -> None:
    line = tether_command(["echo", "begun"])
    line[line.index(str(os.getpid()))] = "1"
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (128 + signal.SIGTERM, "")


def test_a_program_that_is_not_there_is_named() -> None:
    done = subprocess.run(tether_command(["no-such-program"]), capture_output=True, text=True, check=False)
    assert done.stderr == "artrec: no-such-program cannot be run: No such file or directory\n"
    assert done.returncode == 1
