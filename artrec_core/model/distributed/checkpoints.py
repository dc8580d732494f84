"""Checkpoints of the text tower's phase: what a training whose workers were killed goes on from.

Batches and dropout of a step are drawn from the seed, the worker and the step alone, so weights, optimizer and the number
of the step are all there is to keep. Shards of ZeRO are pickles: a run's folder is trusted as its code is.
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
    """What trains: it writes and reads the weights that move and the optimizer's state; collective under DeepSpeed."""

    def write(self, folder: Path) -> None: ...

    def read(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class Checkpoint:
    """The newest checkpoint that was written whole."""

    name: str
    step: int
    steps: int
    workers: int


class Checkpoints:
    """A run's checkpoints, every so many steps; the newest one is kept."""

    def __init__(self, folder: Path, rank: int, workers: int, every: int, barrier: Callable[[], None]) -> None:
        self.folder, self.rank, self.workers, self.every, self.barrier = folder, rank, workers, every, barrier
        mark = folder / LATEST
        self.last = Checkpoint(**json.loads(mark.read_text())) if mark.exists() else None

    def load_weights(self, phase: nn.Module) -> None:
        """Before the engine is made: the weights of a checkpoint that another number of workers wrote.

        Their optimizer's shards do not fit; it starts afresh.
        """
        if self.last is not None and self.last.workers != self.workers:
            found = read_weights(self.folder / self.last.name)
            moving = {name for name, weight in phase.named_parameters() if weight.requires_grad}
            left_out = moving - found.keys()
            if left_out:
                raise ValueError(f"the checkpoint {self.last.name} lacks {sorted(left_out)[0]}")
            phase.load_state_dict(found, strict=False)

    def resume(self, engine: Engine, steps: int) -> int:
        """How many of `steps` are done; the engine is as it was then."""
        if self.last is None:
            return 0
        if self.last.workers != self.workers:
            return steps * self.last.step // self.last.steps
        engine.read(self.folder / self.last.name)
        return self.last.step

    def save(self, engine: Engine, step: int, steps: int) -> None:
        """After the given step, where a checkpoint is due: every worker writes, then the checkpoint counts."""
        if step % self.every or step == steps:
            return
        last = Checkpoint(f"step-{step:07d}", step, steps, self.workers)
        if self.rank == 0:
            shutil.rmtree(self.folder / last.name, ignore_errors=True)  # a kill may have left half of it
            (self.folder / last.name).mkdir(parents=True)
        self.barrier()
        engine.write(self.folder / last.name)
        self.barrier()
        if self.rank == 0:
            with write_atomically(self.folder / LATEST) as building:
                building.write_text(json.dumps(asdict(last)))
            for old in self.folder.glob("step-*"):
                if old.name != last.name:
                    shutil.rmtree(old)
        self.last = last


def write_plain(folder: Path, phase: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """One process's checkpoint."""
    moving = {name: weight.detach() for name, weight in phase.named_parameters() if weight.requires_grad}
    torch.save({"weights": moving, "optimizer": optimizer.state_dict()}, folder / PLAIN)


def read_plain(folder: Path, phase: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """What `write_plain` wrote."""
    found = torch.load(folder / PLAIN, weights_only=True, map_location="cpu")
    phase.load_state_dict(found["weights"], strict=False)
    optimizer.load_state_dict(found["optimizer"])


def write_deepspeed(folder: Path, engine: Any) -> None:
    """Every worker's shard, without the weights that stand still (those of the base model, under LoRA)."""
    engine.save_checkpoint(str(folder.parent), tag=folder.name, save_latest=False, exclude_frozen_parameters=True)


def read_deepspeed(folder: Path, engine: Any) -> None:
    """What `write_deepspeed` wrote, by as many workers."""
    engine.load_checkpoint(str(folder.parent), tag=folder.name, load_module_strict=False)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The whole weights in a checkpoint of any number of workers: of one process, of ZeRO-0, or gathered from ZeRO's shards."""
    if (folder / PLAIN).exists():
        found: dict[str, Tensor] = torch.load(folder / PLAIN, weights_only=True, map_location="cpu")["weights"]
        return found
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
