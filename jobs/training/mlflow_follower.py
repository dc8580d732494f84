"""A training run as it goes: the lines its workers write, shown and logged to MLflow, and what they say in the end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from artrec_core.config import Recipe
from jobs.progress import ShowStages, stages
from jobs.training.stages import Lines, LinesFile, stages_of

if TYPE_CHECKING:
    from artrec_core.model.registry import Registry


class Follower:
    """Reads the lines that the workers write, shows them, and logs them to MLflow as they come.

    MLflow is asked for a run when the first of them is there: importing it and making its database takes seconds of a
    processor, which the workers' start can use.
    """

    def __init__(self, registry: "Registry", recipe: Recipe, tags: dict[str, str], file: Path) -> None:
        self.registry, self.recipe, self.tags, self.file = registry, recipe, tags, LinesFile(file)
        self.lines: Lines = []
        self.run_id = ""
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def _follow(self) -> None:
        try:
            parameters = {**self.recipe.model.model_dump(), **self.recipe.train.model_dump()}
            with stages("train") as show:
                while not self._begun() and not self.ended.wait(0.2):
                    pass
                show(stages_of(self.file.read()))
                self.run_id = self.registry.start_run(self.recipe.train.experiment, self.tags, parameters)
                while not self.ended.wait(1.0):
                    self._tell(show)
                self._tell(show)
        except Exception as error:  # raised again where the training is waited for
            self.error = error

    def _begun(self) -> bool:
        """Whether a step or an epoch was done."""
        return any("loss" in line or "done" in line for line in self.file.read())

    def _tell(self, show: ShowStages) -> None:
        lines = self.file.read()
        show(stages_of(lines))
        fresh, self.lines = lines[len(self.lines) :], lines
        metrics = [
            (
                f"{line['phase']}/{name}",
                float(line[name]),
                int(line["step"] if "step" in line else line.get("epoch", 0)),
            )
            for line in fresh
            for name in ("loss", "validation")
            if name in line
        ]
        metrics += [(name, float(size), 0) for line in fresh for name, size in line.get("sizes", {}).items()]
        if metrics:
            self.registry.log_metrics(self.run_id, metrics)


@contextmanager
def followed(registry: "Registry", recipe: Recipe, tags: dict[str, str], file: Path) -> Iterator[Follower]:
    """Follow the lines of a file while training goes on; a training that fails closes its run as failed.

    Trouble with MLflow is raised when the training is over.
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


def seconds_of(lines: Lines, launched: float) -> dict[str, float]:
    """Seconds of each phase, and of what was before and between them, of a training that took `launched` seconds."""
    phases = {str(line["phase"]): float(line["seconds"]) for line in lines if line.get("done")}
    return {"start_up": round(launched - sum(phases.values()), 1)} | {
        name: round(one, 1) for name, one in phases.items()
    }


def passes_of(lines: Lines) -> int | None:
    """How many passes of the user tower the weights that were kept had; None where nothing was trained or told."""
    validated = [(float(line["validation"]), -int(line["epoch"])) for line in lines if "validation" in line]
    if validated:
        return -max(validated)[1]
    passes = [int(line["epoch"]) for line in lines if "epoch" in line]
    return max(passes) if passes else None
