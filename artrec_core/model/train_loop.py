"""Training a model version: the text tower end to end, then the user tower on cached text vectors.

Needs torch only, and DeepSpeed where there is more than one process or the recipe's launcher asks for it. The same loop
runs in a plain process and in the workers that Ray Train starts (`launch.py`).
"""

import copy
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from artrec_core.config import Encode, Model, Train
from artrec_core.errors import ArtrecError
from artrec_core.model.adamw import AdamW
from artrec_core.model.batches import Ints, Sequences, length_batches
from artrec_core.model.checkpoints import Checkpoints, read_deepspeed, read_plain, write_deepspeed, write_plain
from artrec_core.model.deepspeed_import import import_deepspeed
from artrec_core.model.sizing import Sizes, sized
from artrec_core.model.text_encoder import TextEncoder, encode, tune
from artrec_core.model.text_phase import TextBatches, TextPhase
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TEXT, Shape, TwoTower
from artrec_core.model.user_phase import UserPhase, user_states

# (user vectors, artwork vectors, what these people have seen, the held-out work of each) -> a figure a person, higher is better.
Evaluator = Callable[[NDArray[np.float32], NDArray[np.float32], Sequences, Ints], NDArray[np.float64]]

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


def train(run: Run, data: TrainingData, evaluator: Evaluator) -> None:
    """Both phases; afterwards `run.folder / MODEL` holds the whole model and `VECTORS` the text vectors of its documents."""
    torch.manual_seed(run.train.seed)
    model = run.folder / MODEL
    if (model / "config.json").exists():
        return
    building = run.folder / "building"
    begun = time.monotonic()
    digest, vectors = train_text_side(run, data)
    run.note(phase="text", done=True, seconds=round(time.monotonic() - begun, 2))
    begun = time.monotonic()
    tower = train_user(run, data, torch.from_numpy(np.array(vectors)), evaluator)
    tower.text_tower_digest = digest
    run.note(phase="user", done=True, seconds=round(time.monotonic() - begun, 2))
    if run.world.rank == 0:
        tower.save(building)
        os.replace(building, model)
    run.world.barrier()


def train_text_side(run: Run, data: TrainingData) -> tuple[str, NDArray[np.float32]]:
    """The text tower's digest and its vectors (documents + interests, text_dim); both are left in the run's folder."""
    building = run.folder / "building"
    digest = _text_tower(run, data, building)
    return digest, _text_vectors(run, data, building)


def _text_tower(run: Run, data: TrainingData, building: Path) -> str:
    """Leave the run's text tower in its folder, trained where the recipe says so; returns its digest."""
    folder, mark = building / TEXT, building / "text.json"
    if not mark.exists():  # a worker that was killed after this phase does not train the text tower again
        encoder = TextEncoder.load(
            run.base,
            pooling=run.model.pooling,
            max_tokens=run.model.max_tokens,
            precision=run.model.precision,
            device=run.world.device,
            weights=_weights_kept_in(run),
        )
        if run.model.tuning != "frozen" and run.train.text_epochs > 0:
            train_text(run, data, encoder, folder)
        elif run.world.rank == 0:
            encoder.save(folder)
        if run.world.rank == 0:
            saved = TextEncoder.load(folder)
            mark.write_text(json.dumps({"digest": saved.digest()}))
            shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)
        run.world.barrier()
    return str(json.loads(mark.read_text())["digest"])


def _text_vectors(run: Run, data: TrainingData, building: Path) -> NDArray[np.float32]:
    """Vectors of documents and interests, (documents + interests, text_dim); every worker encodes its share."""
    if data.text_vectors is not None:
        return data.text_vectors
    texts = [*data.documents, *data.interests]
    path = run.folder / VECTORS
    if not path.exists():
        encoder = TextEncoder.load(building / TEXT).to(run.world.device)
        share = encode(encoder, texts[run.world.rank :: run.world.size], batch_tokens=run.encode.batch_tokens)
        np.save(run.folder / f"share-{run.world.rank}.npy", share)
        run.world.barrier()
        if run.world.rank == 0:
            vectors = np.zeros((len(texts), encoder.dim), np.float32)
            for rank in range(run.world.size):
                vectors[rank :: run.world.size] = np.load(run.folder / f"share-{rank}.npy")
            with open(run.folder / "vectors.building", "wb") as file:
                np.save(file, vectors)
            os.replace(file.name, path)
        run.world.barrier()
    found: NDArray[np.float32] = np.load(path)
    return found


def train_text(run: Run, data: TrainingData, encoder: TextEncoder, folder: Path) -> None:
    """The text tower end to end: recent positive works -> the next one, and what a work may be asked for by -> the work."""
    train, world = run.train, run.world
    tune(encoder, run.model.tuning, lora_rank=run.model.lora_rank, checkpointing=run.model.gradient_checkpointing)
    phase = TextPhase(encoder, train.matching).to(world.device)
    batches = TextBatches(
        data,
        encoder,
        train.text_batch,
        world.rank,
        world.size,
        seed=train.seed,
        augment=train.augment,
        matching=train.matching > 0,
    )
    steps = batches.steps * train.text_epochs
    kept = Checkpoints(run.folder / CHECKPOINTS, world.rank, world.size, train.checkpoint_steps, world.barrier)
    kept.load_weights(phase)
    engine = _engine(run, phase, train.text_learning_rate)
    done = kept.resume(engine, steps)
    run.note(phase="text", engine=engine.described, steps=steps, shards=_shards(run, batches.people))
    phase.train()
    for step in range(done, steps):
        engine.set_rate(train.text_learning_rate * _schedule(step, steps))
        batch = batches.draw(step)
        torch.manual_seed(batches.dropout_seed(step))
        loss = run.check_finite(engine.step(batch), f"at step {step + 1} of the text tower")
        run.note(phase="text", step=step + 1, loss=loss, padding_share=round(batch.padding_share, 4))
        kept.save(engine, step + 1, steps)
    engine.save(lambda: encoder.save(folder))


class _Plain:
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


class _DeepSpeed:
    """DeepSpeed's engine at the ZeRO stage of the recipe's file."""

    def __init__(self, run: Run, phase: nn.Module, rate: float) -> None:
        deepspeed = import_deepspeed()
        config = json.loads(Path(run.train.deepspeed).read_text())
        config |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1, "steps_per_print": 10**9}
        weights = [weight for weight in phase.parameters() if weight.requires_grad]
        optimizer = AdamW(weights, lr=rate, weight_decay=run.train.weight_decay)
        self.phase = phase
        self.rank = run.world.rank
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


def _engine(run: Run, phase: nn.Module, rate: float) -> _Plain | _DeepSpeed:
    if run.world.size == 1 and run.train.launcher == "process":
        return _Plain(phase, rate, run.train.weight_decay)
    return _DeepSpeed(run, phase, rate)


def _weights_kept_in(run: Run) -> torch.dtype:
    """bfloat16 where DeepSpeed's file says so: it makes a float32 copy of its own, shared out over the workers."""
    if run.world.size == 1 and run.train.launcher == "process":
        return torch.float32
    settings = json.loads(Path(run.train.deepspeed).read_text())
    return torch.bfloat16 if settings.get("bf16", {}).get("enabled") else torch.float32


def train_user(run: Run, data: TrainingData, vectors: Tensor, evaluator: Evaluator) -> TwoTower:
    """The user tower, the projection and the id vectors on cached text vectors (works and interests, text_dim).

    The weights that validated best are kept; with `train.refit` they go once more through the last quarter of their passes,
    on histories that the validation works belong to: the latest taste of everyone is too good to be left out of what is
    served, and what was learnt before it need not be learnt again.
    """
    torch.manual_seed(run.train.seed)
    works, sizes = len(data.documents), sized(run.model, run.train, data)
    run.note(phase="user", sizes=sizes.as_parameters())
    tower = TwoTower(_shape(run.model, sizes, vectors.shape[1], works), data.artwork_ids).to(run.world.device)
    tower.text_mean.copy_(vectors[:works].mean(0))
    taken = _fit_user(run, tower, data, vectors, sizes, sizes.passes, evaluator)
    if run.train.refit and data.refit is not None:
        _fit_user(run, tower, replace(data, histories=data.refit), vectors, sizes, math.ceil(taken / 4), None)
    return tower.cpu().eval()


def _fit_user(
    run: Run,
    tower: TwoTower,
    data: TrainingData,
    vectors: Tensor,
    sizes: Sizes,
    passes: int,
    evaluator: Evaluator | None,
) -> int:
    """Train for the last so many of the passes; returns after how many of them the weights were taken.

    Those are the weights that validated best, or the last where nobody judges.
    """
    train, world = run.train, run.world
    phase = UserPhase(tower, vectors.to(world.device), data, negatives=train.negatives, shuffled=sizes.shuffled)
    moving: nn.Module = phase
    if world.size > 1:
        moving = nn.parallel.DistributedDataParallel(phase)
    people = np.flatnonzero(phase.trainable)[world.rank :: world.size]
    # The batch is one over all workers: how many there are changes the time, not what is learnt.
    batch = max(1, round(sizes.people_in_step / world.size))
    steps = max(1, math.ceil(phase.trainable.sum() / world.size / batch))
    optimizer = AdamW(tower.parameters(), lr=train.user_learning_rate, weight_decay=train.weight_decay, fused=True)
    random = np.random.default_rng([train.seed, world.rank])
    _seed_rank(run)
    best, best_weights, taken, waited = -math.inf, copy.deepcopy(tower.state_dict()), passes, 0
    first = sizes.passes - passes
    for epoch in range(first, sizes.passes):
        moving.train()
        phase.begin_pass(random)
        total = 0.0
        batches = length_batches(data.histories.lengths[people], batch, random)
        for step in range(steps):
            rate = train.user_learning_rate * _schedule(epoch * steps + step, sizes.passes * steps, first * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            # Shards may differ by a batch: every rank takes the same number of steps, or the others would wait for ever.
            loss = moving(people[batches[step % len(batches)]])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        mean = run.check_finite(total / steps, f"in pass {epoch + 1} of the user tower")
        if evaluator is None:
            run.note(phase="refit", epoch=epoch - first + 1, loss=mean)
            continue
        figure = _validate(run, tower, phase, data, evaluator)
        run.note(phase="user", epoch=epoch + 1, loss=mean, validation=figure)
        waited += 1
        if figure > best:
            best, best_weights, taken, waited = figure, copy.deepcopy(tower.state_dict()), epoch + 1, 0
        if waited >= train.patience:
            break
    if evaluator is not None:
        tower.load_state_dict(best_weights)
    return taken


def _validate(run: Run, tower: TwoTower, phase: UserPhase, data: TrainingData, evaluator: Evaluator) -> float:
    """The evaluator's mean over everyone with a validation work; every rank judges its share."""
    mine = data.validation[run.world.rank :: run.world.size]
    tower.eval()
    with torch.inference_mode():
        works = tower.works(phase.text, torch.arange(len(phase.text), device=phase.text.device))
        users = user_states(tower, works, phase.interest_vectors, data.interest_of, data.histories, mine[:, 0])
    each = evaluator(users.cpu().numpy(), works.cpu().numpy(), data.histories.take(mine[:, 0]), mine[:, 1])
    total, count = run.world.sum(float(each.sum()), float(len(each)))
    return total / count if count else 0.0


def _shape(model: Model, sizes: Sizes, text_dim: int, works: int) -> Shape:
    return Shape(
        text_dim=text_dim,
        works=works,
        dim=model.dim,
        layers=model.layers,
        heads=model.heads,
        max_history=model.max_history,
        dropout=sizes.dropout,
        id_dropout=sizes.id_dropout,
    )


def _schedule(step: int, steps: int, first: int = 0) -> float:
    """A short warm-up from the first step taken, then a cosine down to a tenth."""
    warm = min(1.0, (step - first + 1) / max(1, min(50, (steps - first) // 10)))
    return warm * (0.55 + 0.45 * math.cos(math.pi * step / max(1, steps)))


def _seed_rank(run: Run) -> None:
    # Same initial weights everywhere, but each rank its own dropout.
    torch.manual_seed(run.train.seed * 1000 + run.world.rank + 1)


def _shards(run: Run, people: Ints) -> list[list[int]]:
    """A rank's people: how many, the first and the sum of their rows; for tests and for the record."""
    mine = torch.tensor([len(people), int(people[0]) if len(people) else -1, int(people.sum())])
    if run.world.size == 1:
        return [mine.tolist()]
    every = [torch.zeros_like(mine) for _ in range(run.world.size)]
    dist.all_gather(every, mine)
    return [one.tolist() for one in every]
