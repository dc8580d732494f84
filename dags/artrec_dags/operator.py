"""The operator that runs a job as a subprocess: the job's lines are the task's log, and task and job end together."""

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
from artrec_core.processes import tether_command
from artrec_core.urls import redact
from artrec_dags.recipes import HOME

# infra/airflow.sh shows only our log lines. It selects them by `namespace_levels`, which only structlog's loggers obey.
log = structlog.get_logger("artrec.job")

# The default arguments of every task. `infra/airflow.sh test` sets 0 retries, so that a failure is seen at once.
DEFAULTS: dict[str, Any] = {
    "owner": "artrec",
    "retries": int(os.environ.get("ARTREC_RETRIES", "2")),
    "retry_delay": timedelta(minutes=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    "execution_timeout": timedelta(hours=2),
}

# Airflow's supervisor kills the task five seconds after its SIGTERM. The job must have ended before that.
GRACE_SECONDS = 2.0

# A line that begins so holds a JSON value for the tasks after this one (`jobs/retrain.py` prints it).
ANSWER = "answer: "


class JobFailed(ArtrecError):
    """A job ended with a status other than zero; the message ends with the job's own error or its last line."""


class JobOperator(BaseOperator):
    """Runs `python -m jobs.<job> --config <config> --date <date> <arguments>` in the project's folder.

    `ARTREC_PYTHON` names the Python that runs the job, by default Airflow's own. The job gets a session of its own, so that
    all processes it started can be ended with it: when the task is killed or times out, and when the job ends. If the
    task's process dies without doing so, the kernel sends the job SIGTERM (Linux only).

    Parameters
    ----------
    job
        Name of the module in `jobs/`.
    config
        Path of the recipe, relative to the project's folder.
    date
        The night's date, YYYY-MM-DD, or the result of another task.
    arguments
        More arguments, or results of other tasks. A result may be a list of arguments.
    **task
        The arguments of `BaseOperator`.
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
        # Both may be results of other tasks. Airflow replaces these by text before `execute`.
        self.date: Any = date
        self.arguments: Any = arguments
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def command(self) -> list[str]:
        """The command line of the job."""
        python = os.environ.get("ARTREC_PYTHON", sys.executable)
        return [
            python,
            "-m",
            f"jobs.{self.job}",
            "--config",
            self.config,
            "--date",
            self.date,
            *_flatten(self.arguments),
        ]

    def execute(self, context: Any) -> Any:
        """Run the job to its end; returns the JSON value that it answered, or None. Raises `JobFailed`."""
        command = self.command()
        log.info("--- %s: %s", self.job, redact(shlex.join(["python", *command[1:]])))
        self._process = process = subprocess.Popen(
            tether_command(command),
            cwd=HOME,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        # A process that outlives the job may hold the job's output open, so that reading it would never end.
        group_ender = threading.Thread(target=_end_group_after, args=(process,), daemon=True)
        group_ender.start()
        reason, answer = "", None
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(ANSWER):
                    answer = json.loads(line.removeprefix(ANSWER))
                elif text := redact(line.rstrip()):
                    log.info("%s", text)
                    reason = _failure_reason(reason, text)
        except BaseException:
            self.on_kill()
            raise
        finally:
            group_ender.join()
            self._process = None
        if process.returncode != 0:
            ending = "was stopped with its task" if self._killed else _describe_exit(process.returncode)
            raise JobFailed(f"{self.job} {self.date} {ending}: {reason or 'it printed nothing'}")
        return answer

    def on_kill(self) -> None:
        """End the job and all processes it started: SIGTERM, and SIGKILL after GRACE_SECONDS."""
        if (process := self._process) is not None:
            self._killed = True
            stop_group(process.pid, GRACE_SECONDS)


def _flatten(arguments: Iterable[Any]) -> Iterator[str]:
    for argument in arguments:
        yield from ([argument] if isinstance(argument, str) else _flatten(argument))


def stop_group(group: int, grace_seconds: float) -> None:
    """Send SIGTERM to every process of a group, and SIGKILL if some still run after `grace_seconds`."""
    try:
        os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline:
            time.sleep(0.05)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _end_group_after(process: subprocess.Popen[str]) -> None:
    process.wait()
    stop_group(process.pid, GRACE_SECONDS)


def _failure_reason(reason: str, line: str) -> str:
    """The better explanation of a failure: the last error line of artrec if there is one, otherwise the last line."""
    prefix = "artrec: "
    return reason if reason.startswith(prefix) and not line.startswith(prefix) else line


def _describe_exit(status: int) -> str:
    # Popen reports a signal as a negative status. A command that ends cleanly after a signal exits with 128 + its number.
    number = -status if status < 0 else status - 128
    if number not in set(signal.Signals):
        return f"failed with exit status {status}"
    name = signal.Signals(number).name
    advice = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was ended by {name}{advice}"
