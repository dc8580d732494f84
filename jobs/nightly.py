"""`artrec nightly`: a whole night without Airflow; each step runs in its own process, as in the DAG."""

import sys
import time

import typer

from artrec_core.config import load
from artrec_core.errors import ArtrecError
from artrec_core.lake import parse_day
from artrec_core.processes import run
from jobs.step import ConfigOption, DateOption, SetOption, run_command
from jobs.steps import STEPS


def command(config: ConfigOption, date: DateOption, overrides: SetOption = []) -> None:  # noqa: B006
    """Run every step of a night in order; a step whose inputs are unchanged is skipped."""
    load(config, overrides)  # an invalid recipe is an error here, before the first step starts
    day = parse_day(date)
    started = time.monotonic()
    for step, arguments in STEPS.items():
        line = [sys.executable, "-m", f"jobs.{step}", "--config", config, "--date", day, *arguments]
        for override in overrides:
            line += ["--set", override]
        status = run(line)
        if status != 0:
            command_line = f"artrec nightly --config {config} --date {day}"
            raise ArtrecError(
                f"the night of {day} stopped at {step} (exit status {status}); fix it and run `{command_line}` again"
            )
    typer.echo(f"nightly {day}: done in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    run_command(command, "python -m jobs.nightly")
