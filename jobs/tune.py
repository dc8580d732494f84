"""tune: hyper-parameters searched by Ray Tune and Optuna on the validation works; the best recipe is written as TOML."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from artrec_core.config import UNSEARCHABLE_KEYS, Recipe, load
from artrec_core.errors import ArtrecError
from artrec_core.files import write_atomically
from artrec_core.lake import day_of, digest_of
from jobs.console import make_console
from jobs.step import ConfigOption, DateOption, Night, SetOption, code_version, run_command
from jobs.steps import find_step
from jobs.training.stages import shown

if TYPE_CHECKING:
    from artrec_core.model.search_space import SearchSpace, Values
    from artrec_core.model.training_data import TrainingData
    from jobs.tuning.records import Trial

NOTE = "tuning.json"
BEST = "best.toml"


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many trials, those of an earlier run of the same search included.")
    ] = None,
    search: Annotated[str | None, typer.Option(help="optuna, grid or random.", metavar="KIND")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the best recipe is written.", metavar="FILE")] = None,
) -> None:
    """Search hyper-parameters on the validation works, print the trials, and write the best recipe as TOML.

    `[tune]` in the recipe says what is searched. Trials are runs in MLflow, below the search's own. Run again, a search that was
    killed goes on, and one that was done takes up where it ended if more trials are asked for.
    """
    asked = [f"tune.trials={trials}"] if trials is not None else []
    asked += [f'tune.search="{search}"'] if search is not None else []
    recipe, day = load(config, [*overrides, *asked]), day_of(date)
    found = tuned(recipe, day)
    _show(found, day)
    target = out or Path(recipe.store.work) / "tune" / BEST
    best = found.ranked[0]
    opening = [
        f"artrec nightly --config {shlex.quote(str(target))} --date {day}",
        f"{Path(config).name} with what `artrec tune` found: NDCG@10 {best.figure:.4f} on the validation works of {day},"
        f" trial {best.number} of {len(found.ranked)}.",
    ]
    from jobs.tuning import recipe as tuned_recipe

    tuned_recipe.write(config, overrides, best.values, target, opening)
    print(_conclusion(found, day, target), flush=True)


@dataclass(frozen=True)
class Found:
    """What a search found: its space, its trials as they began, and where the recipe itself stands in the space."""

    space: "SearchSpace"
    trials: list["Trial"]
    start: "Values | None"
    people: int

    @property
    def ranked(self) -> list["Trial"]:
        """The trials that are over, the best first."""
        from jobs.tuning.records import ranked

        return ranked(self.trials)

    @property
    def unchanged(self) -> "Trial | None":
        """The trial of the recipe as it is."""
        return next((one for one in self.ranked if one.values == self.start), None)


def tuned(recipe: Recipe, day: str) -> Found:
    """Run the search of a night's tables, or what is left of it.

    Raises `MissingPartition` where the night was not prepared, `ArtrecError` where nothing can be validated or every trial failed.
    """
    from artrec_core.model.search_space import apply_values, grid_points, space_of, starting_point

    space = space_of(recipe)
    if recipe.tune.search == "grid":
        grid_points(space)  # what it cannot do is said before anything starts
    night = Night(recipe, day)
    night.made_from = find_step("train").inputs(night)
    night.lake.check_writable()
    # Everyone's validation works judge, whatever the recipe does when it trains for the night: no test work is read.
    trained = recipe.train.model_copy(update={"holdout": True, "refit": False})
    store = recipe.store.model_copy(update={"models": str(Path(recipe.store.models).resolve())})
    night.recipe = recipe.model_copy(update={"train": trained, "store": store})
    digest = _digest(night, space)
    folder = Path(recipe.store.work).resolve() / "tune" / digest
    people, settled = prepared(night, space, folder)
    night.recipe = apply_values(night.recipe, settled)
    from artrec_core.model.registry import FINGERPRINT
    from jobs.tuning import search as tuning

    tags = {
        FINGERPRINT: digest,
        "run_date": day,
        "recipe": recipe.name,
        "code_version": code_version(),
        "tune": recipe.tune.search,
    }
    search = tuning.Search(night.recipe, space, folder, tags)
    found = Found(space, tuning.run(search), starting_point(night.recipe, space), people)
    _note(found, night)
    if all(one.ended == "failed" for one in found.ranked):
        raise ArtrecError(
            f"every trial failed, the first because {found.ranked[0].why}; look at tune.space in the recipe"
        )
    return found


def _digest(night: Night, space: "SearchSpace") -> str:
    """The search: what decides how a trial ends. More trials, or more at a time, are the same search."""
    recipe = night.recipe
    about = recipe.tune.model_dump(mode="json", include={"search", "early_stopping", "grace_epochs", "reduction"})
    among = {key: one if isinstance(one, list) else one.model_dump() for key, one in space.items()}
    unsaid = {key.removeprefix("train.") for key in UNSEARCHABLE_KEYS} - {"seed", "workers", "launcher", "deepspeed"}
    settings = [recipe.model.model_dump(mode="json"), recipe.train.model_dump(mode="json", exclude=unsaid)]
    return digest_of([code_version(), night.made_from, settings, about, among])


def prepared(night: Night, space: "SearchSpace", folder: Path) -> tuple[int, "Values"]:
    """Put what all trials read into the search's folder; how many people validate, and the recipe's values that the data settle."""
    from artrec_core.model.auto_settings import resolve_settings
    from artrec_core.model.run import METRICS
    from artrec_core.model.search_space import touches_text
    from artrec_core.model.training_data import TrainingData
    from artrec_core.model.training_split import read_training_split
    from jobs.tuning.trial import DATA, text_folder, text_vectors

    if not (folder / DATA).exists():
        split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
        if not len(split.validation):
            raise ArtrecError(
                f"nobody on {night.day} has enough positive events to hold one out; look at [signals] in the recipe,"
                " or at the histories of a later day"
            )
        with write_atomically(folder / DATA) as building:
            split.training_data(refit=False).save(building)
    data = TrainingData.load(folder / DATA)
    if not touches_text(night.recipe, space):
        if night.recipe.model.tuning == "frozen":
            _take_frozen(night, data, folder)
        with shown("tune", text_folder(folder, night.recipe) / METRICS):
            text_vectors(folder, night.recipe, data)
    return len(data.validation), resolve_settings(night.recipe.model, night.recipe.train, data).as_parameters()


def _take_frozen(night: Night, data: "TrainingData", folder: Path) -> None:
    """Vectors of a text tower that does not move, from where the night or an evaluation has them already."""
    import numpy as np

    from artrec_core.model.base_models import text_base
    from jobs.evaluation.task import base_vectors
    from jobs.tuning.trial import text_file

    kept = text_file(folder, night.recipe)
    if kept.exists():
        return
    base = text_base(night.recipe.model, night.recipe.store.models, lambda: data.documents)
    vectors = base_vectors(night, base, data.texts)
    with write_atomically(kept) as building, open(building, "wb") as file:
        np.save(file, vectors)


def _note(found: Found, night: Night) -> None:
    """All trials with their curves, as a note of the day."""
    space = {key: one if isinstance(one, list) else one.model_dump() for key, one in found.space.items()}
    told = {
        "recipe": night.recipe.name,
        "run_date": night.day,
        "made_from": night.made_from,
        "code_version": code_version(),
        "people_validated": found.people,
        "space": space,
        "trials": [one.model_dump() for one in found.ranked],
    }
    night.lake.write_note(NOTE, night.day, json.dumps(told, indent=1).encode())


def _show(found: Found, day: str) -> None:
    table = Table(
        title=f"tune {day}: NDCG@10 of {found.people:,} people's validation works",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("trial", justify="right")
    table.add_column("NDCG@10", justify="right")
    table.add_column("at pass", justify="right")
    table.add_column("")
    for key in found.space:
        table.add_column(key, justify="right", overflow="fold")
    for one in found.ranked:
        about = one.why if one.ended == "failed" else _about(one, found)
        chosen = (Text(f"{one.values[key]}") for key in found.space)
        table.add_row(str(one.number), f"{one.figure:.4f}", str(one.best_pass or ""), Text(about), *chosen)
    make_console(log_width=200).print(table)


def _about(one: "Trial", found: Found) -> str:
    said = ["the recipe as it is"] if one.values == found.start else []
    said += ["stopped early"] if one.ended == "stopped" else []
    said += [f"the same as trial {one.same_as}"] if one.same_as is not None else []
    return ", ".join(said)


def _conclusion(found: Found, day: str, target: Path) -> str:
    best, unchanged = found.ranked[0], found.unchanged
    beside = "" if unchanged is None else f"; the recipe as it is: {unchanged.figure:.4f}"
    if unchanged is best:
        beside = ", which is the recipe as it is: no other was better"
    where = shlex.quote(str(target))
    return (
        f"\ntune {day}: the best of {len(found.ranked)} trials is trial {best.number}, NDCG@10 {best.figure:.4f}{beside}\n"
        f"best recipe: {target}\n"
        f"To hold it against the champion on works that no trial saw: artrec retrain --config {where} --date {day}"
    )


if __name__ == "__main__":
    run_command(command, "python -m jobs.tune")
