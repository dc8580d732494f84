"""Searches and finished trials for tests."""

from pathlib import Path
from typing import Any

from artrec_core.config import Recipe
from artrec_core.model.registry import Registry
from artrec_core.model.search_space import space_of
from jobs.tuning.records import Trial
from jobs.tuning.search import Search


def search_in(folder: Path, recipe: Recipe) -> Search:
    return Search(recipe, space_of(recipe), folder, {"fingerprint": "f"})


def finished_trial(number: int, figures: list[float], **values: Any) -> Trial:
    """A trial that was trained to the end, with its best metric after each epoch."""
    curve = [{"pass": row + 1, "figure": figure} for row, figure in enumerate(figures)]
    return Trial(number=number, values=values, figure=figures[-1], ended="trained", curve=curve)


def mlflow_runs(recipe: Recipe) -> list[Any]:
    client = Registry(recipe.store).client
    return list(client.search_runs([client.get_experiment_by_name("artrec").experiment_id]))
