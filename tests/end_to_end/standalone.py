"""A real Airflow for a test: `infra/airflow.sh standalone` with its scheduler, its API and its tasks' processes."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import ROOT

PASSWORDS = "simple_auth_manager_passwords.json.generated"
ENDED = ("success", "failed")


@dataclass
class Airflow:
    """The API of a standalone Airflow, asked as the user `admin`, about one DAG."""

    address: str
    dag: str
    token: str = ""

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON that it answers."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)

    def runs(self, path: str = "", method: str = "GET", body: object = None) -> Any:
        """What it answers about the DAG's runs; anything but a success is an error."""
        status, answer = self.ask(method, f"/api/v2/dags/{self.dag}/dagRuns{path}", body)
        assert status < 300, answer
        return answer

    def trigger(self, **parameters: object) -> str:
        """Start a run as the form does; its id."""
        run: str = self.runs("", "POST", {"logical_date": None, "conf": parameters})["dag_run_id"]
        return run

    def end_of(self, run: str, seconds: float) -> str:
        """The state that a run ends in; an error if it has not ended after so long."""
        return self.state_among(f"/{run}", ENDED, seconds)

    def state_among(self, path: str, states: tuple[str, ...], seconds: float) -> str:
        """The first of the states that a run or a task is in."""
        found: str | None = None
        for _ in _until(seconds):
            if (found := self.runs(path)["state"]) in states:
                return str(found)
        raise AssertionError(f"{path} is {found} after {seconds} s; its tasks: {self.tasks(path.split('/')[1])}")

    def tasks(self, run: str) -> dict[str, str]:
        """The state of each task of a run."""
        return {one["task_id"]: one["state"] for one in self.runs(f"/{run}/taskInstances")["task_instances"]}

    def log(self, run: str, task: str) -> str:
        """What a task's log shows."""
        lines = self.runs(f"/{run}/taskInstances/{task}/logs/1")["content"]
        return json.dumps(lines)


def _until(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.5)


def free_ports(many: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            first: int = one.getsockname()[1]
        with suppress(OSError, OverflowError):
            for port in range(first, first + many):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
            return first


@contextmanager
def standalone(home: Path, dag: str, recipe: Path, **environment: str) -> Iterator[Airflow]:
    """An Airflow whose DAG is switched on, runs by nobody's schedule, and is run with a recipe; it ends with the block."""
    port = free_ports(3)
    own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {
        "ARTREC_AIRFLOW_HOME": str(home),
        "ARTREC_AIRFLOW_PORT": str(port),
        "ARTREC_RECIPE": str(recipe),
        "ARTREC_RETRIES": "0",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    }
    log = home / "standalone.log"
    with log.open("w") as lines:
        process = psutil.Popen(
            [ROOT / "infra" / "airflow.sh", "standalone"], env=own | settings | environment, stdout=lines, stderr=lines
        )
    try:
        airflow = Airflow(f"http://127.0.0.1:{port}", dag)
        for _ in _until(300):
            assert process.poll() is None, log.read_text()[-3000:]
            if _switched_on(airflow, home / PASSWORDS):
                break
        else:
            raise AssertionError(f"Airflow did not come up:\n{log.read_text()[-3000:]}")
        yield airflow
    finally:
        _end(process)


def _switched_on(airflow: Airflow, passwords: Path) -> bool:
    """Log in and switch the DAG on; False while there is no server, no password or no DAG yet."""
    with suppress(OSError, ValueError):
        login = {"username": "admin", "password": json.loads(passwords.read_text())["admin"]}
        airflow.token = airflow.ask("POST", "/auth/token", login)[1].get("access_token", "")
        return airflow.ask("PATCH", f"/api/v2/dags/{airflow.dag}", {"is_paused": False})[0] == 200
    return False


def _end(process: psutil.Popen) -> None:
    """Airflow's own parts may be in the middle of anything: nothing of it is kept."""
    every = [process, *process.children(recursive=True)]
    for one in every:
        with suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(every)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
