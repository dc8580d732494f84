"""Checkpoints of the text phase, from which a killed training continues.

Batches and dropout of a step depend on seed, worker and step only. So a checkpoint holds weights, optimizer state and the
step's number. ZeRO's shards are pickles: whoever can write to a run's folder can run code.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from artrec_core.files import write_atomically

LATEST = "last.json"
PLAIN = "plain.pt"


class Engine(Protocol):
    """Writes and reads the trainable weights and the optimizer's state. Under DeepSpeed, all workers call it together."""

    def write(self, folder: Path) -> None:
        """Write a checkpoint."""

    def read(self, folder: Path) -> None:
        """Continue from a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """The latest complete checkpoint: its folder, after which of how many steps, and the number of workers."""

    name: str
    step: int
    steps: int
    workers: int


class Checkpoints:
    """The checkpoints of a run, one every `every` steps; only the latest is kept."""

    def __init__(self, folder: Path, rank: int, workers: int, every: int, barrier: Callable[[], None]) -> None:
        self.folder, self.rank, self.workers, self.every, self.barrier = folder, rank, workers, every, barrier
        file = folder / LATEST
        self.latest = Checkpoint(**json.loads(file.read_text())) if file.exists() else None

    def load_weights(self, phase: nn.Module) -> None:
        """Load the weights of a checkpoint that another number of workers wrote, before the engine is built.

        The optimizer's shards do not fit another number, so the optimizer starts anew.
        """
        if self.latest is not None and self.latest.workers != self.workers:
            weights = read_weights(self.folder / self.latest.name)
            trainable = {name for name, weight in phase.named_parameters() if weight.requires_grad}
            missing = trainable - weights.keys()
            if missing:
                raise ValueError(f"the checkpoint {self.latest.name} lacks {sorted(missing)[0]}")
            phase.load_state_dict(weights, strict=False)

    def resume(self, engine: Engine, steps: int) -> int:
        """Restore the engine from the latest checkpoint; return how many of `steps` are done."""
        if self.latest is None:
            return 0
        if self.latest.workers != self.workers:
            return steps * self.latest.step // self.latest.steps
        engine.read(self.folder / self.latest.name)
        return self.latest.step

    def save(self, engine: Engine, step: int, steps: int) -> None:
        """Write a checkpoint after this step if one is due. It counts when every worker has written its part."""
        if step % self.every or step == steps:
            return
        checkpoint = Checkpoint(f"step-{step:07d}", step, steps, self.workers)
        if self.rank == 0:
            shutil.rmtree(self.folder / checkpoint.name, ignore_errors=True)  # a killed run may have left half of it
            (self.folder / checkpoint.name).mkdir(parents=True)
        self.barrier()
        engine.write(self.folder / checkpoint.name)
        self.barrier()
        if self.rank == 0:
            with write_atomically(self.folder / LATEST) as building:
                building.write_text(json.dumps(asdict(checkpoint)))
            for old in self.folder.glob("step-*"):
                if old.name != checkpoint.name:
                    shutil.rmtree(old)
        self.latest = checkpoint


def write_plain(folder: Path, phase: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write the checkpoint of a single process."""
    trainable = {name: weight.detach() for name, weight in phase.named_parameters() if weight.requires_grad}
    torch.save({"weights": trainable, "optimizer": optimizer.state_dict()}, folder / PLAIN)


def read_plain(folder: Path, phase: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Read what `write_plain` wrote."""
    states = torch.load(folder / PLAIN, weights_only=True, map_location="cpu")
    phase.load_state_dict(states["weights"], strict=False)
    optimizer.load_state_dict(states["optimizer"])


def write_deepspeed(folder: Path, engine: Any) -> None:
    """Write the shard of every worker, without frozen weights (those of the base model, under LoRA)."""
    engine.save_checkpoint(str(folder.parent), tag=folder.name, save_latest=False, exclude_frozen_parameters=True)


def read_deepspeed(folder: Path, engine: Any) -> None:
    """Read what the same number of workers wrote with `write_deepspeed`."""
    engine.load_checkpoint(str(folder.parent), tag=folder.name, load_module_strict=False)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The complete weights in a checkpoint of any engine and number of workers; ZeRO's shards are gathered."""
    if (folder / PLAIN).exists():
        plain: dict[str, Tensor] = torch.load(folder / PLAIN, weights_only=True, map_location="cpu")["weights"]
        return plain
    if any(folder.glob("*zero_pp_rank_*_optim_states.pt")):
        from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

        gathered: dict[str, Tensor] = get_fp32_state_dict_from_zero_checkpoint(
            str(folder.parent), tag=folder.name, exclude_frozen_parameters=True
        )
        return gathered
    module: dict[str, Tensor] = torch.load(
        folder / "mp_rank_00_model_states.pt", weights_only=False, map_location="cpu"
    )["module"]
    return module
