"""A training while it runs: its workers' lines are shown, logged to MLflow and summarised."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from artrec_core.config import Recipe
from jobs.progress import ShowStages, stages
from jobs.training.stages import LinesFile, TrainingLines, stages_of

if TYPE_CHECKING:
    from artrec_core.model.registry import Registry


class Follower:
    """A thread that reads the workers' lines, shows them and logs them to MLflow.

    The MLflow run starts when a step or an epoch is done. Importing MLflow and making its database takes seconds of a
    processor, which the start of the workers needs.
    """

    def __init__(self, registry: "Registry", recipe: Recipe, tags: dict[str, str], file: Path) -> None:
        self.registry, self.recipe, self.tags, self.file = registry, recipe, tags, LinesFile(file)
        self.lines: TrainingLines = []
        self.run_id = ""
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def _follow(self) -> None:
        try:
            parameters = {**self.recipe.model.model_dump(), **self.recipe.train.model_dump()}
            with stages("train") as show:
                while not self._has_metrics() and not self.ended.wait(0.2):
                    pass
                show(stages_of(self.file.read()))
                self.run_id = self.registry.start_run(self.recipe.train.experiment, self.tags, parameters)
                while not self.ended.wait(1.0):
                    self._log_new_lines(show)
                self._log_new_lines(show)
        except Exception as error:  # raised again in `follow_training`
            self.error = error

    def _has_metrics(self) -> bool:
        """Whether a step, an epoch or a phase is done."""
        return any("loss" in line or "done" in line for line in self.file.read())

    def _log_new_lines(self, show: ShowStages) -> None:
        lines = self.file.read()
        show(stages_of(lines))
        new_lines, self.lines = lines[len(self.lines) :], lines
        metrics = [
            (
                f"{line['phase']}/{name}",
                float(line[name]),
                int(line["step"] if "step" in line else line.get("epoch", 0)),
            )
            for line in new_lines
            for name in ("loss", "validation")
            if name in line
        ]
        metrics += [(name, float(size), 0) for line in new_lines for name, size in line.get("sizes", {}).items()]
        if metrics:
            self.registry.log_metrics(self.run_id, metrics)


@contextmanager
def follow_training(registry: "Registry", recipe: Recipe, tags: dict[str, str], file: Path) -> Iterator[Follower]:
    """Follow the lines of `file` while a training runs in the block.

    If the training fails, its MLflow run ends as failed. An error of MLflow is raised when the training is over.
    """
    follower = Follower(registry, recipe, tags, file)
    follower.thread.start()
    try:
        yield follower
    except BaseException:
        follower.ended.set()
        follower.thread.join()
        if follower.run_id:
            registry.end_run(follower.run_id, "FAILED")
        raise
    follower.ended.set()
    follower.thread.join()
    if follower.error is not None:
        raise follower.error


def phase_seconds(lines: TrainingLines, total_seconds: float) -> dict[str, float]:
    """The seconds of each phase of a training. `start_up` is the rest of `total_seconds`."""
    seconds = {str(line["phase"]): float(line["seconds"]) for line in lines if line.get("done")}
    start_up = round(total_seconds - sum(seconds.values()), 1)
    return {"start_up": start_up} | {phase: round(value, 1) for phase, value in seconds.items()}


def best_epoch(lines: TrainingLines) -> int | None:
    """The epoch of the user tower whose weights were kept: the best one on validation, else the last one.

    None if no epoch was trained.
    """
    validations = [(float(line["validation"]), -int(line["epoch"])) for line in lines if "validation" in line]
    if validations:
        return -max(validations)[1]
    epochs = [int(line["epoch"]) for line in lines if "epoch" in line]
    return max(epochs) if epochs else None
