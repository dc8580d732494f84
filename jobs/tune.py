"""tune: search hyper-parameters by the validation artworks, and write the best recipe as TOML."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from artrec_core.config import UNSEARCHABLE_KEYS, Recipe, load
from artrec_core.errors import ArtrecError
from artrec_core.files import write_atomically, write_folder_atomically
from artrec_core.lake import digest_of, parse_day
from artrec_core.model.search_space import (
    SearchSpace,
    Values,
    apply_values,
    grid_points,
    space_of,
    starting_point,
    touches_text,
)
from jobs.console import make_console
from jobs.evaluation.task import base_vectors
from jobs.step import ConfigOption, DateOption, Night, SetOption, code_version, run_command
from jobs.steps import find_step
from jobs.training.stages import show_stages
from jobs.tuning.records import Trial, rank_trials
from jobs.tuning.trial import DATA, text_file, text_folder, text_vectors

if TYPE_CHECKING:
    from artrec_core.model.training_data import TrainingData

# Functions import torch, Ray and MLflow themselves: each takes seconds.

NOTE = "tuning.json"
BEST = "best.toml"


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Number of trials, including those of an earlier run of the same search."),
    ] = None,
    search: Annotated[str | None, typer.Option(help="optuna, grid or random.", metavar="KIND")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the best recipe is written.", metavar="FILE")] = None,
) -> None:
    """Search hyper-parameters on the validation artworks, print the trials, and write the best recipe as TOML.

    `[tune]` in the recipe describes the search. Each trial is an MLflow run below the search's run. If a search was killed, the
    same command continues it. If a search is complete, the same command with more trials extends it.
    """
    search_overrides = [f"tune.trials={trials}"] if trials is not None else []
    search_overrides += [f'tune.search="{search}"'] if search is not None else []
    from jobs.tuning import recipe as recipe_file  # here, so that `artrec --help` does not load tomlkit

    recipe, day = load(config, [*overrides, *search_overrides]), parse_day(date)
    result = run_search(recipe, day)
    _print_trials(result, day)
    target = out or Path(recipe.store.work) / "tune" / BEST
    best = result.ranked_trials[0]
    opening = [
        f"artrec nightly --config {shlex.quote(str(target))} --date {day}",
        f"{Path(config).name} with the best values of `artrec tune`: NDCG@10 {best.figure:.4f} on the validation artworks"
        f" of {day}, trial {best.number} of {len(result.ranked_trials)}.",
    ]
    recipe_file.write(config, overrides, best.values, target, opening)
    print(_conclusion(result, day, target), flush=True)


@dataclass(frozen=True)
class SearchResult:
    """A search's space and its trials.

    `start` is the recipe's own point in the space, or None if it lies outside. `users` is the number of users with a
    validation artwork.
    """

    space: SearchSpace
    trials: list[Trial]
    start: Values | None
    users: int

    @property
    def ranked_trials(self) -> list[Trial]:
        """The trials that are over, the best first."""
        return rank_trials(self.trials)

    @property
    def unchanged_trial(self) -> Trial | None:
        """The trial of the recipe as it is."""
        return next((trial for trial in self.ranked_trials if trial.values == self.start), None)


def run_search(recipe: Recipe, day: str) -> SearchResult:
    """Run the search on a night's tables; finished trials of an earlier run of the same search are taken over.

    Raises
    ------
    MissingPartition
        If the night was not prepared.
    ArtrecError
        If there is no validation artwork, or if every trial failed.
    """
    space = space_of(recipe)
    if recipe.tune.search == "grid":
        grid_points(space)  # raises for a space that has no grid, before anything starts
    night = Night(recipe, day)
    night.made_from = find_step("train").inputs(night)
    night.lake.check_writable()
    # Trials always hold out, whatever the recipe does for the night's own training. No test artwork is read.
    train = recipe.train.model_copy(update={"holdout": True, "refit": False})
    store = recipe.store.model_copy(update={"models": str(Path(recipe.store.models).resolve())})
    night.recipe = recipe.model_copy(update={"train": train, "store": store})
    digest = _digest(night, space)
    folder = Path(recipe.store.work).resolve() / "tune" / digest
    users, resolved_values = prepare_trials(night, space, folder)
    night.recipe = apply_values(night.recipe, resolved_values)
    from artrec_core.model.registry import FINGERPRINT
    from jobs.tuning.search import Search, run

    tags = {
        FINGERPRINT: digest,
        "run_date": day,
        "recipe": recipe.name,
        "code_version": code_version(),
        "tune": recipe.tune.search,
    }
    trials = run(Search(night.recipe, space, folder, tags))
    result = SearchResult(space, trials, starting_point(night.recipe, space), users)
    _write_note(result, night)
    ranked_trials = result.ranked_trials
    if all(trial.ended == "failed" for trial in ranked_trials):
        raise ArtrecError(
            f"every trial failed, the first because {ranked_trials[0].why}; check tune.space in the recipe"
        )
    return result


def _digest(night: Night, space: SearchSpace) -> str:
    """A digest of what decides a trial's result. More trials, or more of them at a time, are the same search."""
    recipe = night.recipe
    search = recipe.tune.model_dump(mode="json", include={"search", "early_stopping", "grace_epochs", "reduction"})
    without_effect = {key.removeprefix("train.") for key in UNSEARCHABLE_KEYS}
    without_effect -= {"seed", "workers", "launcher", "deepspeed"}
    train = recipe.train.model_dump(mode="json", exclude=without_effect)
    settings = [recipe.model.model_dump(mode="json"), train]
    return digest_of([code_version(), night.made_from, settings, search, _space_as_json(space)])


def _space_as_json(space: SearchSpace) -> dict[str, Any]:
    return {key: domain if isinstance(domain, list) else domain.model_dump() for key, domain in space.items()}


def prepare_trials(night: Night, space: SearchSpace, folder: Path) -> tuple[int, Values]:
    """Write what all trials read into the search's folder, unless an earlier run wrote it.

    Returns
    -------
    The number of users with a validation artwork, and the values of settings that are "auto" in the recipe.
    """
    from artrec_core.model.auto_settings import resolve_settings
    from artrec_core.model.run import METRICS
    from artrec_core.model.training_data import TrainingData
    from artrec_core.model.training_split import read_training_split

    if not (folder / DATA).exists():
        split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
        if not split.held_out.validation.height:
            raise ArtrecError(
                f"no user on {night.day} has enough positive events to hold one out; check [signals] in the recipe,"
                " or use the histories of a later day"
            )
        with write_folder_atomically(folder / DATA) as building:
            split.training_data(refit=False).save(building)
    data = TrainingData.load(folder / DATA)
    if not touches_text(night.recipe, space):
        if night.recipe.model.tuning == "frozen":
            _write_frozen_vectors(night, data, folder)
        with show_stages("tune", text_folder(folder, night.recipe) / METRICS):
            text_vectors(folder, night.recipe, data)
    return len(data.validation), resolve_settings(night.recipe.model, night.recipe.train, data).as_parameters()


def _write_frozen_vectors(night: Night, data: "TrainingData", folder: Path) -> None:
    """Write the vectors of a frozen text tower. Those that the night or an evaluation made before are not made again."""
    import numpy as np

    from artrec_core.model.base_models import text_base

    file = text_file(folder, night.recipe)
    if file.exists():
        return
    base = text_base(night.recipe.model, night.recipe.store.models, lambda: data.documents)
    vectors = base_vectors(night, base, data.texts)
    with write_atomically(file) as building, open(building, "wb") as out:
        np.save(out, vectors)


def _write_note(result: SearchResult, night: Night) -> None:
    """Write all trials with their curves as a note of the day."""
    note = {
        "recipe": night.recipe.name,
        "run_date": night.day,
        "made_from": night.made_from,
        "code_version": code_version(),
        "people_validated": result.users,
        "space": _space_as_json(result.space),
        "trials": [trial.model_dump() for trial in result.ranked_trials],
    }
    night.lake.write_note(NOTE, night.day, json.dumps(note, indent=1).encode())


def _print_trials(result: SearchResult, day: str) -> None:
    table = Table(
        title=f"tune {day}: NDCG@10 on the validation artworks of {result.users:,} users",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("trial", justify="right")
    table.add_column("NDCG@10", justify="right")
    table.add_column("at epoch", justify="right")
    table.add_column("")
    for key in result.space:
        table.add_column(key, justify="right", overflow="fold")
    for trial in result.ranked_trials:
        remarks = trial.why if trial.ended == "failed" else _remarks(trial, result)
        values = (Text(f"{trial.values[key]}") for key in result.space)
        table.add_row(str(trial.number), f"{trial.figure:.4f}", str(trial.best_pass or ""), Text(remarks), *values)
    make_console(log_width=200).print(table)


def _remarks(trial: Trial, result: SearchResult) -> str:
    remarks = ["the recipe as it is"] if trial.values == result.start else []
    remarks += ["stopped early"] if trial.ended == "stopped" else []
    remarks += [f"the same as trial {trial.same_as}"] if trial.same_as is not None else []
    return ", ".join(remarks)


def _conclusion(result: SearchResult, day: str, target: Path) -> str:
    best, unchanged = result.ranked_trials[0], result.unchanged_trial
    comparison = "" if unchanged is None else f"; the recipe as it is: {unchanged.figure:.4f}"
    if unchanged is best:
        comparison = ", which is the recipe as it is: no other was better"
    config = shlex.quote(str(target))
    return (
        f"\ntune {day}: the best of {len(result.ranked_trials)} trials is trial {best.number},"
        f" NDCG@10 {best.figure:.4f}{comparison}\n"
        f"best recipe: {target}\n"
        f"To compare it with the champion on artworks that no trial used: artrec retrain --config {config} --date {day}"
    )


if __name__ == "__main__":
    run_command(command, "python -m jobs.tune")
