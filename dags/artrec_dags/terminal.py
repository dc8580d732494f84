"""Airflow in a terminal, for infra/airflow.sh: each line when it is said, and all of it ends with this process.

`python -m dags.artrec_dags.terminal test DAG DATE CONF`, or `standalone`.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

from artrec_core.processes import child, ending_in_order

FAILED = "Task failed with exception"


def without_tracebacks(lines: Iterable[str]) -> Iterator[str]:
    """The lines, without the traceback of a failed task but for its last line: it leads through Airflow, not to the fault."""
    within = False
    for line in lines:
        if line.rstrip() == FAILED:
            within = True
        elif not (within and line.startswith(("Traceback ", " ", "\t"))):
            within = False
            yield line


def test(dag: str, day: str, conf: str) -> None:
    """One run of a DAG; its jobs' lines are shown. Exits with status 1 where it fails."""
    begun = time.monotonic()
    # Ctrl-C reaches this process alone, which sees to the end of the others.
    with child(
        ["airflow", "dags", "test", dag, day, "--conf", conf],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    ) as airflow:
        assert airflow.stdout is not None
        for line in without_tracebacks(airflow.stdout):
            print(line, end="", flush=True)
        status = airflow.wait()
    if status:
        sys.exit(f"artrec: {dag} of {day} stopped at the step above; mend what it says and run the same line again")
    print(f"{dag} {day}: done in {time.monotonic() - begun:.0f} s")


def standalone() -> int:
    """Scheduler, page and all until it is ended; the exit status. SIGINT is what it ends its parts at."""
    with child(["airflow", "standalone"], ending=signal.SIGINT, process_group=0) as airflow:
        return airflow.wait()


def main() -> None:
    """As infra/airflow.sh asks."""
    with ending_in_order():
        try:
            test(*sys.argv[2:]) if sys.argv[1] == "test" else sys.exit(standalone())
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
