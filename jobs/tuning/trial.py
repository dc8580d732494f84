"""One trial of `artrec tune`, in a Ray process: train the user tower at a point of the space, report each epoch.

The folder that a trial reads holds no test artworks. Text vectors are made once for all points with the same text
settings.
"""

import fcntl
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.files import put_in_place
from artrec_core.lake import digest_of
from artrec_core.model.search_space import SearchSpace, Values, apply_values, shorten, text_settings
from jobs.step import code_version
from jobs.tuning.records import find_finished

if TYPE_CHECKING:
    from artrec_core.arrays import Float32Array
    from artrec_core.model.training_data import TrainingData

DATA, TEXT = "data", "text"


@dataclass(frozen=True)
class TrialContext:
    """What the trials of a search share. Every machine sees `folder`. `threads` is the number for each trial."""

    folder: Path
    recipe: Recipe
    space: SearchSpace
    threads: int
    code: str


def values_of(config: dict[str, Any], space: SearchSpace) -> Values:
    """The point that Ray Tune chose, with numbers rounded to a few digits that read well in a recipe."""
    return {key: shorten(config["values"][key], domain) for key, domain in space.items()}


def run_trial(config: dict[str, Any], context: TrialContext) -> None:
    """Train at a point and report `figure`, the best validation metric so far, after each epoch.

    A trial that diverges, or whose settings are impossible, is worth 0, so that the search avoids its neighbourhood.
    """
    from ray import tune

    if context.code != code_version():
        raise ArtrecError(
            "the machines of the Ray cluster run another version of artrec; install the same version there"
        )
    values = values_of(config, context.space)
    same_point = find_finished(context.folder, values)
    if same_point is not None:
        tune.report({"figure": same_point.figure, "same_as": same_point.number, "ended": same_point.ended})
        return
    reports = _Reports()
    try:
        _train(context, apply_values(context.recipe, values), reports)
    except ArtrecError as error:
        tune.report({"figure": 0.0, "ended": "failed", "why": str(error)})
        return
    tune.report({**reports.best, "ended": "trained"})


@dataclass
class _Reports:
    best: dict[str, Any] = field(default_factory=lambda: {"figure": 0.0})

    def add(self, **values: Any) -> None:
        """Report an epoch of the user tower. `values` are those that `Run.note` gets."""
        from ray import tune

        if "validation" not in values:
            return
        epoch, figure = int(values["epoch"]), float(values["validation"])
        if not math.isfinite(figure):
            figure = 0.0
        if "best_pass" not in self.best or figure > self.best["figure"]:
            self.best = {"figure": figure, "best_pass": epoch}
        self.best |= {"pass": epoch, "loss": float(values["loss"]), "validation": figure}
        tune.report(self.best)


def _train(context: TrialContext, recipe: Recipe, reports: _Reports) -> None:
    import numpy as np
    import torch

    from artrec_core.evaluation.ranking import held_out_ndcg
    from artrec_core.model.run import Run, WorkerGroup
    from artrec_core.model.training_data import TrainingData
    from artrec_core.model.user_loop import train_user_tower

    class ReportingRun(Run):
        def note(self, **values: object) -> None:
            """Report the values to Ray Tune, instead of writing a line to a file."""
            reports.add(**values)

    torch.set_num_threads(context.threads)
    data = TrainingData.load(context.folder / DATA)
    vectors = text_vectors(context.folder, recipe, data)
    # One process for each trial: the number of workers that share a batch changes the time, not the result.
    workers = WorkerGroup(device="cuda" if recipe.train.use_gpu else "cpu")
    run = ReportingRun(context.folder, context.folder, recipe.model, recipe.train, recipe.encode, workers)
    train_user_tower(run, data, torch.from_numpy(np.array(vectors)), held_out_ndcg)


def text_vectors(folder: Path, recipe: Recipe, data: "TrainingData") -> "Float32Array":
    """Load the text vectors of a recipe; if no trial has made them, make them with the recipe's launcher.

    Parameters
    ----------
    folder
        The search's folder.
    recipe
        The recipe at a point of the space.
    data
        The training data whose `texts` are encoded.

    Returns
    -------
    Vectors (texts, text_dim), mapped into memory.
    """
    import numpy as np

    from artrec_core.model.base_models import text_base
    from artrec_core.model.distributed.launch import launch_text
    from artrec_core.model.run import FAILED, VECTORS

    file = text_file(folder, recipe)
    with _lock(file):
        if not file.exists():
            work = text_folder(folder, recipe)
            work.mkdir(parents=True, exist_ok=True)
            if not (work / DATA).exists():
                (work / DATA).symlink_to(folder.resolve() / DATA)
            (work / FAILED).unlink(missing_ok=True)
            launch_text(recipe, work, text_base(recipe.model, recipe.store.models, lambda: data.documents))
            put_in_place(work / VECTORS, file)
            shutil.rmtree(work)
    vectors: Float32Array = np.load(file, mmap_mode="r")
    return vectors


def text_file(folder: Path, recipe: Recipe) -> Path:
    """The file of a recipe's text vectors in a search's folder."""
    return folder / TEXT / f"{digest_of(text_settings(recipe))}.npy"


def text_folder(folder: Path, recipe: Recipe) -> Path:
    """The folder in which a search trains the text tower of a recipe."""
    return text_file(folder, recipe).with_suffix("")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process at a time make the file. It holds on this machine, and on a shared folder that supports locks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
