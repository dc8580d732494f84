"""The operator that runs a job: a subprocess whose lines become the task's log and whose end is the task's end."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import structlog
from airflow.sdk import BaseOperator, XComArg

from artrec_core.errors import ArtrecError
from artrec_core.processes import tethered
from artrec_core.urls import redacted
from artrec_dags.recipes import HOME

# Airflow's own loggers are structlog's: only theirs heed `namespace_levels`, by which infra/airflow.sh hears us alone.
log = structlog.get_logger("artrec.job")

# What every task is given unless it says otherwise. `infra/airflow.sh test` sets no retries: a person is waiting.
DEFAULTS: dict[str, Any] = {
    "owner": "artrec",
    "retries": int(os.environ.get("ARTREC_RETRIES", "2")),
    "retry_delay": timedelta(minutes=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    "execution_timeout": timedelta(hours=2),
}

# Airflow's supervisor kills the task itself five seconds after its SIGTERM: the job must be gone before.
GRACE_SECONDS = 2.0

# What follows this on a job's line is JSON for the tasks after it (`jobs/retrain.py`).
ANSWER = "answer: "


class JobFailed(ArtrecError):
    """A job ended with a status other than zero; the message ends with what the job said last."""


class JobOperator(BaseOperator):
    """Runs `python -m jobs.<job> --config <config> --date <date> <arguments>` in the project's root.

    Among the arguments may stand lists of arguments, which other tasks answered.
    `ARTREC_PYTHON` names the Python to run it with, by default Airflow's own. The job gets a session of its own, so that
    whatever it started dies with it: when the task is killed or times out, and when the job ends. Where the task's process is
    ended before it can see to that, the job gets SIGTERM from the kernel (Linux).
    """

    template_fields: Sequence[str] = ("config", "date", "arguments")

    def __init__(
        self,
        *,
        job: str,
        config: str,
        date: str | XComArg,
        arguments: Iterable[str | Iterable[str] | XComArg] | XComArg = (),
        **task: Any,
    ) -> None:
        super().__init__(**task)
        self.job = job
        self.config = config
        # Text once Airflow has rendered them; until then they may stand for the result of another task.
        self.date: Any = date
        self.arguments: Any = arguments
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def command(self) -> list[str]:
        """The line that is run."""
        python = os.environ.get("ARTREC_PYTHON", sys.executable)
        return [python, "-m", f"jobs.{self.job}", "--config", self.config, "--date", self.date, *_flat(self.arguments)]

    def execute(self, context: Any) -> Any:
        """Run the job to its end; what it answered, if it did, is returned. Raises `JobFailed`."""
        command = self.command()
        log.info("--- %s: %s", self.job, redacted(shlex.join(["python", *command[1:]])))
        self._process = process = subprocess.Popen(
            tethered(command),
            cwd=HOME,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        # What a job leaves behind could hold its output open for ever.
        follow = threading.Thread(target=_end_with_leader, args=(process,), daemon=True)
        follow.start()
        said, answer = "", None
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(ANSWER):
                    answer = json.loads(line.removeprefix(ANSWER))
                elif text := redacted(line.rstrip()):
                    log.info("%s", text)
                    said = _worth_telling(said, text)
        except BaseException:
            self.on_kill()
            raise
        finally:
            follow.join()
            self._process = None
        if process.returncode != 0:
            ending = "was stopped with its task" if self._killed else _ending(process.returncode)
            raise JobFailed(f"{self.job} {self.date} {ending}: {said or 'it said nothing'}")
        return answer

    def on_kill(self) -> None:
        """Stop the job and everything it started: SIGTERM, and SIGKILL for what is still there after a grace."""
        if (process := self._process) is not None:
            self._killed = True
            stop_group(process.pid, GRACE_SECONDS)


def _flat(arguments: Iterable[Any]) -> Iterator[str]:
    for one in arguments:
        yield from ([one] if isinstance(one, str) else _flat(one))


def stop_group(group: int, grace_seconds: float) -> None:
    """End every process of a group; returns when the group is empty or was sent SIGKILL."""
    try:
        os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline:
            time.sleep(0.05)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _end_with_leader(process: subprocess.Popen[str]) -> None:
    process.wait()
    stop_group(process.pid, GRACE_SECONDS)


def _worth_telling(before: str, line: str) -> str:
    """The line that tells best why a job failed: our own last error, else whatever came last."""
    ours = "artrec: "
    return before if before.startswith(ours) and not line.startswith(ours) else line


def _ending(status: int) -> str:
    # A command that leaves in order after a signal says so by its status, as a shell does.
    number = -status if status < 0 else status - 128
    if number not in set(signal.Signals):
        return f"failed with exit status {status}"
    name = signal.Signals(number).name
    advice = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was ended by {name}{advice}"
