"""Training a model version: the text tower end to end, then the user tower on cached text vectors.

Needs torch only, and DeepSpeed where there is more than one process or the recipe's launcher asks for it. The same loop
runs in a plain process and in the workers that Ray Train starts (`launch.py`).
"""

import json
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from artrec_core.arrays import Int64Array
from artrec_core.files import write_atomically
from artrec_core.model.auto_settings import text_steps, text_steps_in_epoch
from artrec_core.model.distributed.checkpoints import Checkpoints
from artrec_core.model.distributed.engines import build_engine, weight_dtype
from artrec_core.model.run import CHECKPOINTS, MODEL, VECTORS, Evaluator, Run, learning_rate_factor
from artrec_core.model.text_encoder import TextEncoder, encode, prepare_training
from artrec_core.model.text_phase import TextBatches, TextPhase
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TEXT
from artrec_core.model.user_loop import train_user_tower


def train(run: Run, data: TrainingData, evaluator: Evaluator) -> None:
    """Both phases; afterwards `run.folder / MODEL` holds the whole model and `VECTORS` the text vectors of its documents."""
    torch.manual_seed(run.train.seed)
    model = run.folder / MODEL
    if (model / "config.json").exists():
        return
    building = run.folder / "building"
    begun = time.monotonic()
    digest, vectors = run_text_phase(run, data)
    run.note(phase="text", done=True, seconds=round(time.monotonic() - begun, 2))
    begun = time.monotonic()
    tower = train_user_tower(run, data, torch.from_numpy(np.array(vectors)), evaluator)
    tower.text_tower_digest = digest
    run.note(phase="user", done=True, seconds=round(time.monotonic() - begun, 2))
    if run.workers.rank == 0:
        tower.save(building)
        os.replace(building, model)
    run.workers.barrier()


def run_text_phase(run: Run, data: TrainingData) -> tuple[str, NDArray[np.float32]]:
    """The text tower's digest and the vectors of its `data.texts`; both are left in the run's folder."""
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
            device=run.workers.device,
            weights=weight_dtype(run),
        )
        if run.model.tuning != "frozen" and run.train.text_epochs != 0:
            train_text_tower(run, data, encoder, folder)
        elif run.workers.rank == 0:
            encoder.save(folder)
        if run.workers.rank == 0:
            saved = TextEncoder.load(folder)
            mark.write_text(json.dumps({"digest": saved.digest()}))
            shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)
        run.workers.barrier()
    return str(json.loads(mark.read_text())["digest"])


def _text_vectors(run: Run, data: TrainingData, building: Path) -> NDArray[np.float32]:
    """Vectors of `data.texts`, (texts, text_dim); every worker encodes its share."""
    if data.text_vectors is not None:
        return data.text_vectors
    texts = data.texts
    path = run.folder / VECTORS
    if not path.exists():
        encoder = TextEncoder.load(building / TEXT).to(run.workers.device)
        advance = run.counting("text", len(texts), phase="encode")
        share = encode(
            encoder,
            texts[run.workers.rank :: run.workers.size],
            batch_tokens=run.encode.batch_tokens,
            advance=lambda count: advance(count * run.workers.size),
        )
        np.save(run.folder / f"share-{run.workers.rank}.npy", share)
        run.workers.barrier()
        if run.workers.rank == 0:
            vectors = np.zeros((len(texts), encoder.dim), np.float32)
            for rank in range(run.workers.size):
                vectors[rank :: run.workers.size] = np.load(run.folder / f"share-{rank}.npy")
            with write_atomically(path) as building_file, open(building_file, "wb") as file:
                np.save(file, vectors)
        run.workers.barrier()
    found: NDArray[np.float32] = np.load(path)
    return found


def train_text_tower(run: Run, data: TrainingData, encoder: TextEncoder, folder: Path) -> None:
    """The text tower end to end: recent positive works -> the next one, and what a work may be asked for by -> the work."""
    train, world = run.train, run.workers
    prepare_training(
        encoder, run.model.tuning, lora_rank=run.model.lora_rank, checkpointing=run.model.gradient_checkpointing
    )
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
    steps = text_steps(train, len(data.documents), world.size)
    in_epoch = text_steps_in_epoch(train, len(data.documents), world.size)
    of = {"steps": steps, "epochs": math.ceil(steps / in_epoch)}
    kept = Checkpoints(run.folder / CHECKPOINTS, world.rank, world.size, train.checkpoint_steps, world.barrier)
    kept.load_weights(phase)
    engine = build_engine(run, phase, train.text_learning_rate)
    done = kept.resume(engine, steps)
    run.note(phase="text", engine=engine.described, steps=steps, shards=_shards(run, batches.people))
    phase.train()
    for step in range(done, steps):
        engine.set_rate(train.text_learning_rate * learning_rate_factor(step, steps))
        batch = batches.draw(step)
        torch.manual_seed(batches.dropout_seed(step))
        loss = run.check_finite(engine.step(batch), f"at step {step + 1} of the text tower")
        epoch, padding = step // in_epoch + 1, round(batch.padding_share, 4)
        run.note(phase="text", in_epoch=epoch, step=step + 1, **of, loss=loss, padding_share=padding)
        kept.save(engine, step + 1, steps)
    engine.save(lambda: encoder.save(folder))


def _shards(run: Run, people: Int64Array) -> list[list[int]]:
    """A rank's people: how many, the first and the sum of their rows; for tests and for the record."""
    mine = torch.tensor([len(people), int(people[0]) if len(people) else -1, int(people.sum())])
    if run.workers.size == 1:
        return [mine.tolist()]
    every = [torch.zeros_like(mine) for _ in range(run.workers.size)]
    dist.all_gather(every, mine)
    return [one.tolist() for one in every]
