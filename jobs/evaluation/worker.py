"""One model of an evaluation, in a process of its own: choose its settings, train it, and write each user's list.

`artrec evaluate` starts the process. The folder that it reads holds no test artworks, so neither training nor the choice
of settings can use them.
"""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artrec_core.columns import DOCUMENT, USER_ID
from artrec_core.config import Recipe, load
from artrec_core.files import write_atomically
from jobs.step import ConfigOption, SetOption, run_command

if TYPE_CHECKING:
    from artrec_core.arrays import Int64Array
    from artrec_core.evaluation.task import EvaluationTask

LISTS = "lists.parquet"
# Lists that may contain hidden artworks of the user's history: they should be found again.
HIDDEN_LISTS = "hidden_lists.parquet"
# Lists of hidden artworks alone, without those of the user's history.
AMONG_HIDDEN_LISTS = "among_hidden_lists.parquet"
RESULT = "answer.json"


def command(
    config: ConfigOption,
    question: Annotated[Path, typer.Option(help="Folder of the evaluation task.")],
    model: Annotated[str, typer.Option(help="Name of the model.")],
    into: Annotated[Path, typer.Option(help="Folder for the results and for the training's files.")],
    seed: Annotated[int, typer.Option(help="Seed of the model.")] = 0,
    overrides: SetOption = [],  # noqa: B006
) -> None:
    """Train one model on an evaluation task and write its lists."""
    run_model(load(config, overrides), question, model, seed, into)


def run_model(recipe: Recipe, task_folder: Path, model: str, seed: int, folder: Path) -> None:
    """Train one model and write its lists.

    The result file (settings, validation, seconds) is written last: if it exists, the lists are complete.

    Parameters
    ----------
    recipe
        The recipe of our models.
    task_folder
        The folder of the evaluation task.
    model
        Name of a baseline, of one of our models or of an ablation.
    seed
        Seed of the model.
    folder
        Where results and the training's files are written.
    """
    from artrec_core.evaluation.lists import write_lists
    from artrec_core.evaluation.ranking import LONGEST_LIST, best_artworks
    from artrec_core.evaluation.task import EvaluationTask

    folder.mkdir(parents=True, exist_ok=True)
    task, clock = EvaluationTask.load(task_folder), _Clock()
    ranker, user_rows, result = _fit_model(recipe, task, model, seed, folder, clock)
    with clock.measure("score"):
        # File, whether hidden artworks of the history are excluded, and the artworks to choose from.
        list_files: list[tuple[str, bool, Int64Array | None]] = [(LISTS, True, None)]
        if task.hidden_ids:
            list_files += [(HIDDEN_LISTS, False, None), (AMONG_HIDDEN_LISTS, True, task.hidden_rows)]
        for name, excludes_hidden, among in list_files:
            exclude = task.excluded_pairs(with_hidden=excludes_hidden)
            ids, scores = best_artworks(ranker, user_rows, LONGEST_LIST, exclude=exclude, among=among)
            write_lists(folder / name, task.test_users[USER_ID].to_list(), task.artwork_ids, ids, scores)
    peak_memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    result |= {"model": model, "seed": seed, "seconds": clock.seconds, "peak_memory_mb": peak_memory_mb}
    with write_atomically(folder / RESULT) as building:
        building.write_text(json.dumps(result, indent=1))


def _fit_model(
    recipe: Recipe, task: "EvaluationTask", model: str, seed: int, folder: Path, clock: "_Clock"
) -> tuple[Any, "Int64Array", dict[str, Any]]:
    """A model that is ready to rank, its rows of the test users, and its settings with their validation metric."""
    import numpy as np

    from artrec_core.evaluation.baselines import BASELINES, choose_settings, fit_baseline

    if model in BASELINES:
        with clock.measure("choose"):
            search = choose_settings(model, task, seed=seed)
        with clock.measure("fit"):
            baseline = fit_baseline(model, search.settings, task, seed=seed)
        validation = search.validation if search.trials else None
        result = {"chosen": search.settings, "validation": validation, "tried": search.trials}
        return baseline, task.test_user_rows, result
    from artrec_core.evaluation.ablations import variant
    from artrec_core.evaluation.variants import best_validation, train_variant
    from artrec_core.model.base_models import text_base

    with clock.measure("fit"):
        base = text_base(recipe.model, recipe.store.models, lambda: task.catalogue[DOCUMENT].to_list())
        vectors = train_variant(task, variant(recipe, model, seed), model, folder / "training", base)
    return vectors, np.arange(task.test_users.height), {"validation": best_validation(folder / "training")}


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Measure the seconds of a phase."""
        start = time.monotonic()
        yield
        self.seconds[phase] = round(time.monotonic() - start, 2)


if __name__ == "__main__":
    run_command(command, "python -m jobs.evaluation.worker")
