"""The versions in the registry, and which of them serves the nights."""

from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from artrec_core.config import load
from jobs.step import ConfigOption, SetOption, run_command

# Figures of the held-out test that are shown, of the model and beside it of the baselines.
SHOWN = "ndcg@10"


def command(config: ConfigOption, overrides: SetOption = []) -> None:  # noqa: B006
    """List the model versions with their figures; the champion is the one that nights are served with."""
    from artrec_core.model.registry import Registry  # MLflow takes seconds to import

    versions = Registry(load(config, overrides).store).versions()
    if not versions:
        typer.echo(f"There is no model version yet; `artrec train --config {config} --date DATE` makes one.")
        return
    rivals = sorted({name for version in versions for name in _measured(version.figures)} - {"model"})
    table = Table(title=f"{SHOWN} on held-out last positive events", title_justify="left", box=None, pad_edge=False)
    for column in ("version", "alias", "night", "base", "tuning", "model", *rivals):
        table.add_column(column)
    for version in versions:
        measured = _measured(version.figures)
        told = [version.tags.get(name, "") for name in ("run_date", "base", "tuning")]
        scores = [f"{measured[name]:.4f}" if name in measured else "" for name in ("model", *rivals)]
        table.add_row(*map(Text, (version.name, ", ".join(version.aliases), *told, *scores)))
    Console().print(table)


def _measured(figures: dict[str, Any]) -> dict[str, float]:
    """Who was measured -> NDCG@10."""
    return {
        name: float(values[SHOWN]) for name, values in figures.items() if isinstance(values, dict) and SHOWN in values
    }


if __name__ == "__main__":
    run_command(command, "python -m jobs.models")
