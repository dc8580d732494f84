"""One trial of `artrec tune`, in a Ray process: the user tower at a point of the space, a report after each pass.

The folder it reads holds no test work. The text tower's vectors are made once for all points that have the same.
"""

import fcntl
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import digest_of
from artrec_core.model.search_space import SearchSpace, Values, apply_values, shorten, text_settings
from jobs.step import code_version
from jobs.tuning.records import finished_alike

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from artrec_core.model.training_data import TrainingData

DATA, TEXT = "data", "text"


@dataclass(frozen=True)
class Order:
    """What the trials of a search share. Every machine sees `folder`; `threads` are a trial's."""

    folder: Path
    recipe: Recipe
    space: SearchSpace
    threads: int
    code: str


def values_of(config: dict[str, Any], space: SearchSpace) -> Values:
    """The point that Ray Tune chose, its numbers short enough to be read in a recipe."""
    return {key: shorten(config["values"][key], among) for key, among in space.items()}


def trial(config: dict[str, Any], order: Order) -> None:
    """Train at a point and report `figure`, the best validation figure so far, after each pass.

    What diverged or cannot be is worth 0: the search should keep away from there.
    """
    from ray import tune

    if order.code != code_version():
        raise ArtrecError("the machines of the Ray cluster run another version of artrec; install the same there")
    values = values_of(config, order.space)
    alike = finished_alike(order.folder, values)
    if alike is not None:
        tune.report({"figure": alike.figure, "same_as": alike.number, "ended": alike.ended})
        return
    reports = _Reports()
    try:
        _train(order, apply_values(order.recipe, values), reports)
    except ArtrecError as error:
        tune.report({"figure": 0.0, "ended": "failed", "why": str(error)})
        return
    tune.report({**reports.best, "ended": "trained"})


@dataclass
class _Reports:
    best: dict[str, Any] = field(default_factory=lambda: {"figure": 0.0})

    def tell(self, **values: Any) -> None:
        """Report a pass of the user tower: what `Run.note` is told."""
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


def _train(order: Order, recipe: Recipe, reports: _Reports) -> None:
    import numpy as np
    import torch

    from artrec_core.evaluation.ranking import held_out_ndcg
    from artrec_core.model.run import Run, WorkerGroup
    from artrec_core.model.training_data import TrainingData
    from artrec_core.model.user_loop import train_user_tower

    class Reported(Run):
        def note(self, **values: object) -> None:
            """Instead of a line in a file."""
            reports.tell(**values)

    torch.set_num_threads(order.threads)
    data = TrainingData.load(order.folder / DATA)
    vectors = text_vectors(order.folder, recipe, data)
    world = WorkerGroup(device="cuda" if recipe.train.use_gpu else "cpu")
    # One process a trial: how many workers share a batch of the user tower changes its time, not what it learns.
    run = Reported(order.folder, order.folder, recipe.model, recipe.train, recipe.encode, world)
    train_user_tower(run, data, torch.from_numpy(np.array(vectors)), held_out_ndcg)


def text_vectors(folder: Path, recipe: Recipe, data: "TrainingData") -> "NDArray[np.float32]":
    """Vectors (texts, text_dim) of `data.texts` by a recipe; made, as its launcher would, if no trial has made them."""
    import numpy as np

    from artrec_core.model.base_models import text_base
    from artrec_core.model.distributed.launch import launch_text
    from artrec_core.model.run import FAILED, VECTORS

    kept = text_file(folder, recipe)
    with _alone(kept):
        if not kept.exists():
            work = text_folder(folder, recipe)
            work.mkdir(parents=True, exist_ok=True)
            if not (work / DATA).exists():
                (work / DATA).symlink_to(folder.resolve() / DATA)
            (work / FAILED).unlink(missing_ok=True)
            launch_text(recipe, work, text_base(recipe.model, recipe.store.models, lambda: data.documents))
            os.replace(work / VECTORS, kept)
            shutil.rmtree(work)
    vectors: NDArray[np.float32] = np.load(kept, mmap_mode="r")
    return vectors


def text_file(folder: Path, recipe: Recipe) -> Path:
    """Where a search keeps the text vectors of a recipe."""
    return folder / TEXT / f"{digest_of(text_settings(recipe))}.npy"


def text_folder(folder: Path, recipe: Recipe) -> Path:
    """Where the text tower of a recipe is trained for a search."""
    return text_file(folder, recipe).with_suffix("")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Others of this machine (and of a shared folder that knows locks) wait until the file is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
