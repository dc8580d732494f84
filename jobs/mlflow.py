"""Open MLflow's own page on the runs of a recipe."""

import os
import sys
from typing import Annotated

import typer

from artrec_core.config import load
from artrec_core.processes import run
from artrec_core.urls import redacted
from jobs.step import ConfigOption, SetOption


def command(
    config: ConfigOption,
    overrides: SetOption = [],  # noqa: B006
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
) -> None:
    """Open the MLflow page of the recipe's training runs on this machine."""
    from artrec_core.model.mlflow_store import set_up

    store = load(config, overrides).store
    if store.mlflow.startswith(("http://", "https://")):
        typer.echo(f"the runs are on the page of their own server: {redacted(store.mlflow)}")
        return
    set_up(store.mlflow)
    # Not on the command line, which every user of the machine can read.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.mlflow
    line = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1"]
    # One person looks at it. MLflow's four workers are more to wait for, and may be waited for in vain when it ends.
    raise typer.Exit(run([*line, "--port", str(port), "--workers", "1"]))
