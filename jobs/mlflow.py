"""Open MLflow's own page on the runs of a recipe."""

import os
import sys
from typing import Annotated

import typer

from artrec_core.config import load
from jobs.step import ConfigOption, SetOption


def command(
    config: ConfigOption,
    overrides: SetOption = [],  # noqa: B006
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
) -> None:
    """Open the MLflow page of the recipe's training runs on this machine."""
    from artrec_core.model.mlflow_store import set_up

    store = load(config, overrides).store
    set_up(store.mlflow)
    line = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.mlflow, "--host", "127.0.0.1"]
    os.execv(sys.executable, [*line, "--port", str(port)])
