"""What takes a step of the text tower: torch in one process, or DeepSpeed."""

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
    """One process, no DeepSpeed."""

    described = "torch"

    def __init__(self, phase: nn.Module, rate: float, weight_decay: float) -> None:
        self.phase = phase
        self.weights = [weight for weight in phase.parameters() if weight.requires_grad]
        # Fused: each weight is read and written once a step, not once an operation.
        self.optimizer = AdamW(self.weights, lr=rate, weight_decay=weight_decay, fused=True)

    def set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self, batch: Any) -> float:
        loss: Tensor = self.phase(batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        return loss.item()

    def write(self, folder: Path) -> None:
        write_plain(folder, self.phase, self.optimizer)

    def read(self, folder: Path) -> None:
        read_plain(folder, self.phase, self.optimizer)

    def save(self, save: Callable[[], None]) -> None:
        save()


class DeepSpeedEngine:
    """DeepSpeed's engine at the ZeRO stage of the recipe's file."""

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
        self.described = f"DeepSpeed ZeRO-{self.engine.zero_optimization_stage()}"

    def set_rate(self, rate: float) -> None:
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate

    def step(self, batch: Any) -> float:
        loss = self.engine(batch)
        self.engine.backward(loss)
        self.engine.step()
        return float(loss.item())

    def write(self, folder: Path) -> None:
        write_deepspeed(folder, self.engine)

    def read(self, folder: Path) -> None:
        read_deepspeed(folder, self.engine)

    def save(self, save: Callable[[], None]) -> None:
        # Under ZeRO-3 each rank holds a part of every weight; gathering is collective, writing is rank 0's.
        with self.deepspeed.zero.GatheredParameters(list(self.phase.parameters())):
            if self.rank == 0:
                save()
        self.engine.destroy()


def build_engine(run: Run, phase: nn.Module, rate: float) -> PlainEngine | DeepSpeedEngine:
    """What the run trains this phase with, at this learning rate at first."""
    if _is_plain(run):
        return PlainEngine(phase, rate, run.train.weight_decay)
    return DeepSpeedEngine(run, phase, rate)


def weight_dtype(run: Run) -> torch.dtype:
    """bfloat16 where DeepSpeed's file says so: it makes a float32 copy of its own, shared out over the workers."""
    if _is_plain(run):
        return torch.float32
    return torch.bfloat16 if has_bfloat16_weights(Path(run.train.deepspeed)) else torch.float32


def _is_plain(run: Run) -> bool:
    return run.workers.size == 1 and run.train.launcher == "process"
