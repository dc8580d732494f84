"""`artrec mlflow`: MLflow's own page with the training runs of a recipe."""

import os
import sys
from typing import Annotated

import typer

from artrec_core.config import load
from artrec_core.model.mlflow_store import set_up
from artrec_core.processes import run
from artrec_core.urls import redact
from jobs.step import ConfigOption, SetOption


def command(
    config: ConfigOption,
    overrides: SetOption = [],  # noqa: B006
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
) -> None:
    """Open the MLflow page of the recipe's training runs on this machine."""
    store = load(config, overrides).store
    if store.mlflow.startswith(("http://", "https://")):
        typer.echo(f"an MLflow server holds the runs; its page is {redact(store.mlflow)}")
        return
    set_up(store.mlflow)
    # The address may hold a password, and every user of the machine can read a command line.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.mlflow
    line = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1"]
    # One worker is enough for one reader. MLflow's default of four start slowly, and may not end when MLflow ends.
    raise typer.Exit(run([*line, "--port", str(port), "--workers", "1"]))
