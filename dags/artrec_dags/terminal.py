"""Airflow in a terminal, for infra/airflow.sh: lines are shown at once, and Airflow ends with this process.

`python -m dags.artrec_dags.terminal test DAG DATE CONF`, or `standalone`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from artrec_core.processes import child_process, exit_on_signals
from artrec_core.sqlite_files import copy_database, remove_database

FAILED = "Task failed with exception"


def drop_tracebacks(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the traceback of a failed task, except its last line.

    The traceback shows Airflow's code, not the fault.
    """
    in_traceback = False
    for line in lines:
        if line.rstrip() == FAILED:
            in_traceback = True
        elif not (in_traceback and line.startswith(("Traceback ", " ", "\t"))):
            in_traceback = False
            yield line


@contextmanager
def own_database(dag: str, day: str) -> Iterator[dict[str, str]]:
    """The environment of a run with a copy of Airflow's database, which is removed at the end.

    Runs that start at once in a shared database would all insert the DAGs, and all but one would fail.
    """
    home = Path(os.environ["AIRFLOW_HOME"])
    database = home / f".{dag}-{day}.db"
    remove_database(database)
    copy_database(home / "airflow.db", database)
    try:
        yield {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}"}
    finally:
        remove_database(database)


def run_test(dag: str, day: str, conf: str) -> None:
    """Run a DAG once and show the lines of its jobs; exits with status 1 if the run fails."""
    started = time.monotonic()
    # In a process group of its own, Airflow does not get Ctrl-C. This process gets it and ends Airflow.
    with (
        own_database(dag, day) as environment,
        child_process(
            ["airflow", "dags", "test", dag, day, "--conf", conf],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        ) as airflow,
    ):
        assert airflow.stdout is not None
        for line in drop_tracebacks(airflow.stdout):
            print(line, end="", flush=True)
        status = airflow.wait()
    if status:
        sys.exit(f"artrec: {dag} of {day} stopped at the step above; fix what it says and run the same line again")
    print(f"{dag} {day}: done in {time.monotonic() - started:.0f} s")


def run_standalone() -> int:
    """Run Airflow's scheduler and web page until a signal ends them; returns the exit status.

    `airflow standalone` ends its own processes only after SIGINT.
    """
    with child_process(["airflow", "standalone"], end_signal=signal.SIGINT, process_group=0) as airflow:
        return airflow.wait()


def main() -> None:
    """Run what infra/airflow.sh names on the command line."""
    with exit_on_signals():
        try:
            if sys.argv[1] == "test":
                run_test(*sys.argv[2:])
            else:
                sys.exit(run_standalone())
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
