"""Engines that make the training steps of the text tower: torch in one process, or DeepSpeed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from artrec_core.model.cpu.adamw import AdamW
from artrec_core.model.deepspeed_settings import has_bfloat16_weights
from artrec_core.model.distributed.checkpoints import read_deepspeed, read_plain, write_deepspeed, write_plain
from artrec_core.model.distributed.deepspeed_import import import_deepspeed
from artrec_core.model.run import Run


class PlainEngine:
    """Training in one process with torch alone."""

    description = "torch"

    def __init__(self, phase: nn.Module, rate: float, weight_decay: float) -> None:
        self.phase = phase
        self.weights = [weight for weight in phase.parameters() if weight.requires_grad]
        # Fused: each weight is read and written once for each step, not once for each operation.
        self.optimizer = AdamW(self.weights, lr=rate, weight_decay=weight_decay, fused=True)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self, batch: Any) -> float:
        """Make one training step; return the loss."""
        loss: Tensor = self.phase(batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        return loss.item()

    def write(self, folder: Path) -> None:
        """Write a checkpoint."""
        write_plain(folder, self.phase, self.optimizer)

    def read(self, folder: Path) -> None:
        """Continue from a checkpoint."""
        read_plain(folder, self.phase, self.optimizer)

    def save(self, save: Callable[[], None]) -> None:
        """Call `save`, on rank 0, while all weights are complete; training is over."""
        save()


class DeepSpeedEngine:
    """Training with DeepSpeed at the ZeRO stage that the recipe's settings file names."""

    def __init__(self, run: Run, phase: nn.Module, rate: float) -> None:
        deepspeed = import_deepspeed()
        config = json.loads(Path(run.train.deepspeed).read_text())
        config |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1, "steps_per_print": 10**9}
        weights = [weight for weight in phase.parameters() if weight.requires_grad]
        optimizer = AdamW(weights, lr=rate, weight_decay=run.train.weight_decay)
        self.phase = phase
        self.rank = run.workers.rank
        self.deepspeed = deepspeed
        self.engine, *_ = deepspeed.initialize(
            model=phase, optimizer=optimizer, config=config, dist_init_required=False
        )
        self.description = f"DeepSpeed ZeRO-{self.engine.zero_optimization_stage()}"

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate

    def step(self, batch: Any) -> float:
        """Make one training step; return the loss."""
        loss = self.engine(batch)
        self.engine.backward(loss)
        self.engine.step()
        return float(loss.item())

    def write(self, folder: Path) -> None:
        """Write a checkpoint."""
        write_deepspeed(folder, self.engine)

    def read(self, folder: Path) -> None:
        """Continue from a checkpoint."""
        read_deepspeed(folder, self.engine)

    def save(self, save: Callable[[], None]) -> None:
        """Call `save`, on rank 0, while all weights are complete; training is over."""
        # Under ZeRO-3 each rank holds a part of every weight. All ranks gather, rank 0 writes.
        with self.deepspeed.zero.GatheredParameters(list(self.phase.parameters())):
            if self.rank == 0:
                save()
        self.engine.destroy()


def build_engine(run: Run, phase: nn.Module, rate: float) -> PlainEngine | DeepSpeedEngine:
    """The engine that the run trains this phase with; `rate` is the first learning rate."""
    if _is_single_process(run):
        return PlainEngine(phase, rate, run.train.weight_decay)
    return DeepSpeedEngine(run, phase, rate)


def weight_dtype(run: Run) -> torch.dtype:
    """The type that weights are loaded in: bfloat16 if the DeepSpeed settings say so, else float32.

    DeepSpeed then makes a float32 copy of its own, sharded over the workers.
    """
    if _is_single_process(run):
        return torch.float32
    return torch.bfloat16 if has_bfloat16_weights(Path(run.train.deepspeed)) else torch.float32


def _is_single_process(run: Run) -> bool:
    return run.workers.size == 1 and run.train.launcher == "process"
