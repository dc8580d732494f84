"""Commands that a signal ends in the middle of their work leave no process behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from artrec_core.config import load
from artrec_core.lake import Lake
from tests.artrec_core.model.worlds import tiny_settings
from tests.artrec_core.recs.evaluation_worlds import catalogue, tribes, users
from tests.conftest import ROOT
from tests.end_to_end.small_world import DAY, small_recipe
from tests.waiting import wait_until

CONFIG = str(ROOT / "infra" / "recipes" / "demo.toml")
# Training that does not end by itself.
ENDLESS = ["train.user_epochs=1000000", "train.patience=1000000"]


def processes_of(session: int) -> list[psutil.Process]:
    """The running processes of a session."""
    processes = []
    for process in psutil.process_iter(["status"]):
        try:
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getsid(process.pid) == session:
                processes.append(process)
        except ProcessLookupError:
            continue
    return processes


def end_in_the_middle(folder: Path, module: str, arguments: list[str], busy: Callable[[list[str]], bool]) -> str:
    """Start a command, send it SIGTERM once `busy` is true of its processes' command lines, and return its output.

    No process of it may be left.
    """
    # As a service starts it: without a terminal, and without a user's token for Ray.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "ARTREC_RAY_ADDRESS"):
        environment.pop(name, None)
    log = folder / "log.txt"
    with log.open("w") as out:
        line = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(line, cwd=ROOT, env=environment, start_new_session=True, stdout=out, stderr=out)
    try:
        wait_until(lambda: process.poll() is not None or busy(_lines_of(process.pid)), seconds=280)
        assert process.poll() is None, log.read_text()
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM, log.read_text()
        wait_until(lambda: not processes_of(process.pid), seconds=10)
        assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    finally:
        for remaining in processes_of(process.pid):
            remaining.kill()
    return log.read_text()


def _lines_of(session: int) -> list[str]:
    lines = []
    for process in processes_of(session):
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return lines


@pytest.fixture
def prepared_arguments(tmp_path: Path) -> list[str]:
    """The arguments of a command for two tribes' tables, as `prepare` commits them."""
    settings = [*tiny_settings(tmp_path), "train.text_epochs=0", *ENDLESS]
    lake = Lake(load(CONFIG, settings).store.lake)
    for table, frame in (("catalogue", catalogue()), ("histories", tribes()), ("people", users())):
        lake.commit(table, DAY, {"all": [lake.write_part(table, DAY, frame)]}, fingerprint=DAY, code_version="test")
    return ["--config", CONFIG, "--date", DAY, *(word for setting in settings for word in ("--set", setting))]


def trains(folder: Path, where: str) -> Callable[[list[str]], bool]:
    """Whether an epoch of a training below the folder is done."""
    return lambda lines: any('"epoch"' in file.read_text() for file in folder.glob(where))


def test_nightly(tmp_path: Path) -> None:
    arguments = ["--config", str(small_recipe(tmp_path)), "--date", DAY]
    end_in_the_middle(tmp_path, "jobs.nightly", arguments, lambda lines: any("jobs.validate" in line for line in lines))


@pytest.mark.slow
def test_train_in_one_process(tmp_path: Path, prepared_arguments: list[str]) -> None:
    output = end_in_the_middle(
        tmp_path, "jobs.train", prepared_arguments, trains(tmp_path, "work/train/*/metrics.jsonl")
    )
    assert "Traceback" not in output


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_train_on_ray(tmp_path: Path, prepared_arguments: list[str]) -> None:
    on_ray = [*prepared_arguments, "--set", 'train.launcher="ray"', "--set", "train.workers=1"]
    output = end_in_the_middle(tmp_path, "jobs.train", on_ray, trains(tmp_path, "work/train/*/metrics.jsonl"))
    assert "oken authentication" not in output


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_evaluate(tmp_path: Path) -> None:
    settings = [word for setting in ENDLESS for word in ("--set", setting)]
    arguments = ["--config", str(small_recipe(tmp_path)), "--date", DAY, "--models", "full", *settings]
    end_in_the_middle(
        tmp_path, "jobs.evaluate", arguments, trains(tmp_path, "work/evaluate/*/full-seed0/training/metrics.jsonl")
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tune(tmp_path: Path, prepared_arguments: list[str]) -> None:
    arguments = [*prepared_arguments, "--set", "tune.space.model.layers=[1, 2]"]
    # A trial's process is called after what it runs.
    end_in_the_middle(
        tmp_path, "jobs.tune", arguments, lambda lines: any("ImplicitFunc.train" in line for line in lines)
    )


@pytest.mark.slow
def test_mlflow(tmp_path: Path, prepared_arguments: list[str]) -> None:
    arguments = ["mlflow", "--config", CONFIG, *prepared_arguments[4:], "--port", "0"]
    end_in_the_middle(tmp_path, "jobs.cli", arguments, lambda lines: any("uvicorn" in line for line in lines))
