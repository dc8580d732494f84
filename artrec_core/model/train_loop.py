"""Training of a model version: first the text tower end to end, then the user tower on cached text vectors.

The same loop runs in one plain process, and in the workers that Ray Train starts (`launch.py`). Ray workers use DeepSpeed.
"""

import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from artrec_core.arrays import Int64Array
from artrec_core.files import put_in_place, write_atomically
from artrec_core.model.auto_settings import text_steps, text_steps_in_epoch
from artrec_core.model.distributed.checkpoints import Checkpoints
from artrec_core.model.distributed.engines import build_engine, weight_dtype
from artrec_core.model.run import CHECKPOINTS, MODEL, VECTORS, Evaluator, Run, learning_rate_factor
from artrec_core.model.text_encoder import TextEncoder, encode, prepare_training
from artrec_core.model.text_phase import TextBatches, TextPhase
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TEXT
from artrec_core.model.user_loop import train_user_tower

# Where a run builds its model, in its folder. A run that was killed finds its text tower there.
BUILDING = "building"


def train(run: Run, data: TrainingData, evaluator: Evaluator) -> None:
    """Run both phases. Afterwards `run.folder / MODEL` holds the complete model, and `VECTORS` the vectors of `data.texts`.

    A run that was killed continues from what is in its folder.

    Parameters
    ----------
    run
        Settings, workers and folder of the run.
    data
        What it trains on.
    evaluator
        Computes the validation metric of each user.
    """
    torch.manual_seed(run.train.seed)
    model = run.folder / MODEL
    if (model / "config.json").exists():
        return
    start = time.monotonic()
    digest, vectors = run_text_phase(run, data)
    run.note(phase="text", done=True, seconds=round(time.monotonic() - start, 2))
    start = time.monotonic()
    tower = train_user_tower(run, data, torch.from_numpy(np.array(vectors)), evaluator)
    tower.text_tower_digest = digest
    run.note(phase="user", done=True, seconds=round(time.monotonic() - start, 2))
    if run.workers.rank == 0:
        tower.save(run.folder / BUILDING)
        put_in_place(run.folder / BUILDING, model)
    run.workers.barrier()


def run_text_phase(run: Run, data: TrainingData) -> tuple[str, NDArray[np.float32]]:
    """Return the text tower's digest and its vectors of `data.texts`; both are also stored in the run's folder."""
    digest = _prepare_text_tower(run, data)
    return digest, _encode_texts(run, data)


def _prepare_text_tower(run: Run, data: TrainingData) -> str:
    """Save the run's text tower in its folder, after training if the recipe says so; return its digest."""
    folder, digest_file = run.folder / BUILDING / TEXT, run.folder / BUILDING / "text.json"
    if not digest_file.exists():  # a run that was killed after this phase does not train the text tower again
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
            digest_file.write_text(json.dumps({"digest": saved.digest()}))
            shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)
        run.workers.barrier()
    return str(json.loads(digest_file.read_text())["digest"])


def _encode_texts(run: Run, data: TrainingData) -> NDArray[np.float32]:
    """Vectors of `data.texts`, (texts, text_dim); each worker encodes its share."""
    if data.text_vectors is not None:
        return data.text_vectors
    texts = data.texts
    path = run.folder / VECTORS
    if not path.exists():
        encoder = TextEncoder.load(run.folder / BUILDING / TEXT).to(run.workers.device)
        advance = run.count_progress("text", len(texts), phase="encode")
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
            with write_atomically(path) as building, open(building, "wb") as file:
                np.save(file, vectors)
        run.workers.barrier()
    cached_vectors: NDArray[np.float32] = np.load(path)
    return cached_vectors


def train_text_tower(run: Run, data: TrainingData, encoder: TextEncoder, folder: Path) -> None:
    """Train the text tower end to end on the loss of `TextPhase`.

    Parameters
    ----------
    run
        Settings, workers and folder of the run; checkpoints are written in its folder.
    data
        Histories, documents and queries.
    encoder
        The text tower; training changes its weights.
    folder
        Receives the trained text tower, written by rank 0.
    """
    train, workers = run.train, run.workers
    prepare_training(
        encoder, run.model.tuning, lora_rank=run.model.lora_rank, checkpointing=run.model.gradient_checkpointing
    )
    phase = TextPhase(encoder, train.matching).to(workers.device)
    batches = TextBatches(
        data,
        encoder,
        train.text_batch,
        workers.rank,
        workers.size,
        seed=train.seed,
        augment=train.augment,
        matching=train.matching > 0,
    )
    steps = text_steps(train, len(data.documents), workers.size)
    steps_in_epoch = text_steps_in_epoch(train, len(data.documents), workers.size)
    totals = {"steps": steps, "epochs": math.ceil(steps / steps_in_epoch)}
    checkpoints = Checkpoints(
        run.folder / CHECKPOINTS, workers.rank, workers.size, train.checkpoint_steps, workers.barrier
    )
    checkpoints.load_weights(phase)
    engine = build_engine(run, phase, train.text_learning_rate)
    first_step = checkpoints.resume(engine, steps)
    run.note(phase="text", engine=engine.description, steps=steps, shards=_describe_shards(run, batches.users))
    phase.train()
    for step in range(first_step, steps):
        engine.set_rate(train.text_learning_rate * learning_rate_factor(step, steps))
        batch = batches.draw(step)
        torch.manual_seed(batches.dropout_seed(step))
        loss = run.check_finite(engine.step(batch), f"at step {step + 1} of the text tower")
        epoch, padding = step // steps_in_epoch + 1, round(batch.padding_share, 4)
        run.note(phase="text", in_epoch=epoch, step=step + 1, **totals, loss=loss, padding_share=padding)
        checkpoints.save(engine, step + 1, steps)
    engine.save(lambda: encoder.save(folder))


def _describe_shards(run: Run, users: Int64Array) -> list[list[int]]:
    """The users of each rank: number, first row (-1 for none) and sum of rows; for the run's metrics file."""
    shard = torch.tensor([len(users), int(users[0]) if len(users) else -1, int(users.sum())])
    if run.workers.size == 1:
        return [shard.tolist()]
    shards = [torch.zeros_like(shard) for _ in range(run.workers.size)]
    dist.all_gather(shards, shard)
    return [values.tolist() for values in shards]
