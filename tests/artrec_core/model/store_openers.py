"""Processes that open a fresh MLflow store at once, or are killed while they do.

`python store_openers.py race FOLDER ROUNDS` and `… kill FOLDER ROUNDS` print what each round ended with, as JSON.
The processes are forks: MLflow is imported once.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import mlflow.db
import mlflow.store.db.utils
from mlflow.tracking import MlflowClient

from artrec_core.model.mlflow_store import open_client

WARM = (mlflow.db, mlflow.store.db.utils, MlflowClient)


def started(path: Path) -> int:
    """A process that opens the store and writes to it; its id."""
    if (child := os.fork()) != 0:
        return child
    try:
        client = open_client(f"sqlite:///{path}")
        client.create_experiment(f"of {os.getpid()}")
    except BaseException as error:
        (path.parent / f"error-{os.getpid()}").write_text(f"{type(error).__name__}: {error}")
        os._exit(1)
    os._exit(0)


def status_of(child: int) -> int:
    """How a process ended: 0 well, 1 with an error, -9 killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def race(folder: Path, rounds: int) -> list[list[int]]:
    """Three at once, then one more."""
    found = []
    for number in range(rounds):
        path = folder / f"{number}" / "mlflow.db"
        statuses = [status_of(child) for child in [started(path) for _ in range(3)]]
        found.append([*statuses, status_of(started(path))])
    return found


def kill(folder: Path, rounds: int) -> list[list[int]]:
    """One is killed at a moment of the time that the set-up takes, then one more."""
    found, begun = [], time.monotonic()
    assert status_of(started(folder / "undisturbed" / "mlflow.db")) == 0
    duration = time.monotonic() - begun
    for number in range(rounds):
        path = folder / f"{number}" / "mlflow.db"
        child = started(path)
        time.sleep(duration * number / rounds)
        os.kill(child, signal.SIGKILL)
        found.append([status_of(child), status_of(started(path))])
    return found


if __name__ == "__main__":
    what, folder, rounds = sys.argv[1:]
    print(json.dumps({"race": race, "kill": kill}[what](Path(folder), int(rounds))))
