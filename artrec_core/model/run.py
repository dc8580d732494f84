"""A training run: its settings, its workers, and what it leaves in its folder."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from artrec_core.arrays import Int64Array
from artrec_core.config import Encode, Model, Train
from artrec_core.errors import ArtrecError
from artrec_core.model.sequences import Sequences

# (user vectors, artwork vectors, what these people have seen, the held-out work of each) -> a figure a person, higher is better.
Evaluator = Callable[[NDArray[np.float32], NDArray[np.float32], Sequences, Int64Array], NDArray[np.float64]]

MODEL = "model"
VECTORS = "text_vectors.npy"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
FAILED = "failed.txt"


class TrainingDiverged(ArtrecError):
    """The loss is not finite."""


@dataclass(frozen=True)
class World:
    """Which of how many workers this is."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def barrier(self) -> None:
        """Wait until every worker is here."""
        if self.size > 1:
            dist.barrier()

    def mean(self, *values: float) -> list[float]:
        """Each value's mean over the workers."""
        return [one / self.size for one in self.sum(*values)]

    def sum(self, *values: float) -> list[float]:
        """Each value's sum over the workers."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(one) for one in total]


@dataclass(frozen=True)
class Run:
    """A training run: its settings, its world, and the folder where the workers write (shared by all of them)."""

    folder: Path
    base: Path
    model: Model
    train: Train
    encode: Encode
    world: World

    def note(self, **values: object) -> None:
        """Add a line to the run's metrics; the driver shows and logs it while training goes on."""
        if self.world.rank == 0:
            with open(self.folder / METRICS, "a") as file:
                file.write(json.dumps({**values, "at": round(time.time(), 3)}) + "\n")

    def check_finite(self, loss: float, where: str) -> float:
        """The loss as the mean over the workers; all of them stop together where it is not finite."""
        (mean,) = self.world.mean(loss)
        if not math.isfinite(mean):
            raise TrainingDiverged(
                f"the loss is {mean} {where}; lower train.text_learning_rate or train.user_learning_rate and train again"
            )
        return mean


def schedule(step: int, steps: int, first: int = 0) -> float:
    """The share of the highest learning rate at a step: a short warm-up from the first step taken, then a cosine down to a tenth."""
    warm = min(1.0, (step - first + 1) / max(1, min(50, (steps - first) // 10)))
    return warm * (0.55 + 0.45 * math.cos(math.pi * step / max(1, steps)))
