"""Open MLflow's own page on the runs of a recipe."""

import sys
from typing import Annotated

import typer

from artrec_core.config import load
from artrec_core.processes import run
from jobs.step import ConfigOption, SetOption


def command(
    config: ConfigOption,
    overrides: SetOption = [],  # noqa: B006
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
) -> None:
    """Open the MLflow page of the recipe's training runs on this machine."""
    store = load(config, overrides).store
    line = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.mlflow, "--host", "127.0.0.1"]
    # One person looks at it. MLflow's four workers are more to wait for, and may be waited for in vain when it ends.
    raise typer.Exit(run([*line, "--port", str(port), "--workers", "1"]))
