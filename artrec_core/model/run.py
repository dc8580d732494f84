"""A training run: its settings, its workers and the files in its folder."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from artrec_core.arrays import Float32Array, Float64Array, Int64Array
from artrec_core.config import Encode, Model, Train
from artrec_core.errors import ArtrecError
from artrec_core.model.sequences import Sequences

# (user vectors, artwork vectors, histories of these users, held-out artwork row of each user) -> the metric of each user;
# higher is better.
Evaluator = Callable[[Float32Array, Float32Array, Sequences, Int64Array], Float64Array]

MODEL = "model"
VECTORS = "text_vectors.npy"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
FAILED = "failed.txt"
# Progress within a long epoch or a long encoding is noted this often.
SECONDS_BETWEEN_NOTES = 5.0


class TrainingDiverged(ArtrecError):
    """The training loss is not finite."""


@dataclass(frozen=True)
class WorkerGroup:
    """All workers of a training run, as one of them sees them: its rank, their number and its device."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def barrier(self) -> None:
        """Wait until every worker has called this."""
        if self.size > 1:
            dist.barrier()

    def mean(self, *values: float) -> list[float]:
        """The mean of each value over the workers."""
        return [total / self.size for total in self.sum(*values)]

    def sum(self, *values: float) -> list[float]:
        """The sum of each value over the workers."""
        if self.size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(totals)
        return [float(total) for total in totals]


@dataclass(frozen=True)
class Run:
    """Settings, workers and folder of a training run; `folder` is shared by all workers, `base` holds the base model."""

    folder: Path
    base: Path
    model: Model
    train: Train
    encode: Encode
    workers: WorkerGroup

    def note(self, **values: object) -> None:
        """Add a line to the run's metrics file; the driver shows and logs it during training. Only rank 0 writes."""
        if self.workers.rank == 0:
            with open(self.folder / METRICS, "a") as file:
                file.write(json.dumps({**values, "at": round(time.time(), 3)}) + "\n")

    def count_progress(self, unit: str, total: int, **values: object) -> Callable[[int], None]:
        """Return `advance(count)`, which counts units and notes the progress every `SECONDS_BETWEEN_NOTES` seconds.

        Parameters
        ----------
        unit
            Name of the unit; a note has the keys `step` and `steps` for the unit "step".
        total
            Number of units.
        values
            Further values of each note.
        """
        progress, note_time = 0, time.monotonic()

        def advance(count: int) -> None:
            nonlocal progress, note_time
            progress = min(progress + count, total)
            if time.monotonic() - note_time >= SECONDS_BETWEEN_NOTES:
                note_time = time.monotonic()
                self.note(**values, **{unit: progress, f"{unit}s": total})

        return advance

    def check_finite(self, loss: float, where: str) -> float:
        """The mean of the loss over the workers.

        Parameters
        ----------
        loss
            This worker's loss.
        where
            The place in training, for the error message: "at step 3 of the text tower".

        Raises
        ------
        TrainingDiverged
            On all workers together, if the mean is not finite.
        """
        (mean,) = self.workers.mean(loss)
        if not math.isfinite(mean):
            raise TrainingDiverged(
                f"the loss is {mean} {where}; lower train.text_learning_rate or train.user_learning_rate and train again"
            )
        return mean


def learning_rate_factor(step: int, steps: int, first: int = 0) -> float:
    """The share of the highest learning rate that a step uses: a short linear warm-up, then a cosine down to a tenth.

    Parameters
    ----------
    step
        The step, from 0.
    steps
        Number of steps of the whole schedule.
    first
        The step at which this training starts; the warm-up begins there.
    """
    warm_up = min(1.0, (step - first + 1) / max(1, min(50, (steps - first) // 10)))
    return warm_up * (0.55 + 0.45 * math.cos(math.pi * step / max(1, steps)))
