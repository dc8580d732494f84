"""A whole night without Airflow: each step in a process of its own, as the DAG runs them."""

import sys
import time

import typer

from artrec_core.config import load
from artrec_core.errors import ArtrecError
from artrec_core.lake import day_of
from artrec_core.processes import run
from jobs.step import ConfigOption, DateOption, SetOption, run_command
from jobs.steps import STEPS


def command(config: ConfigOption, date: DateOption, overrides: SetOption = []) -> None:  # noqa: B006
    """Run every step of a night, in order; what did not change since it last ran is skipped."""
    load(config, overrides)  # a recipe that cannot be read fails here, before anything starts
    day = day_of(date)
    begun = time.monotonic()
    for step, arguments in STEPS.items():
        line = [sys.executable, "-m", f"jobs.{step}", "--config", config, "--date", day, *arguments]
        for override in overrides:
            line += ["--set", override]
        status = run(line)
        if status != 0:
            again = f"artrec nightly --config {config} --date {day}"
            raise ArtrecError(
                f"the night of {day} stopped at {step} (exit status {status}); mend it and run `{again}` again"
            )
    typer.echo(f"nightly {day}: done in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    run_command(command, "python -m jobs.nightly")
