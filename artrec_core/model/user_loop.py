"""Training of the user tower, on cached text vectors."""

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from artrec_core.config import Model
from artrec_core.model.auto_settings import UserTowerSettings, resolve_settings
from artrec_core.model.cpu.adamw import AdamW
from artrec_core.model.run import Evaluator, Run, learning_rate_factor
from artrec_core.model.sequences import length_batches
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import Shape, TwoTower
from artrec_core.model.user_phase import UserPhase, encode_users


def train_user_tower(run: Run, data: TrainingData, vectors: Tensor, evaluator: Evaluator) -> TwoTower:
    """Train the user tower, the projection and the id vectors, and return the model with its best weights.

    With `train.refit`, training then repeats the last quarter of the epochs that gave the best weights, on histories that
    include the validation artworks. Served vectors thus contain every user's latest taste. A quarter suffices, because
    what was learned before is kept.

    Parameters
    ----------
    run
        Settings, workers and folder of the run.
    data
        Histories, interests and queries.
    vectors
        (texts, text_dim) vectors of `data.texts`.
    evaluator
        Computes the validation metric of each user.
    """
    torch.manual_seed(run.train.seed)
    artwork_count, settings = len(data.documents), resolve_settings(run.model, run.train, data)
    run.note(phase="user", sizes=settings.as_parameters())
    shape = _shape(run.model, settings, vectors.shape[1], artwork_count)
    tower = TwoTower(shape, data.artwork_ids).to(run.workers.device)
    tower.text_mean.copy_(vectors[:artwork_count].mean(0))
    best_epoch = _fit(run, tower, data, vectors, settings, settings.epochs, evaluator)
    if run.train.refit and data.refit is not None:
        _fit(run, tower, replace(data, histories=data.refit), vectors, settings, math.ceil(best_epoch / 4), None)
    return tower.cpu().eval()


def _fit(
    run: Run,
    tower: TwoTower,
    data: TrainingData,
    vectors: Tensor,
    settings: UserTowerSettings,
    epochs: int,
    evaluator: Evaluator | None,
) -> int:
    """Train for the last `epochs` epochs of the schedule.

    Without an evaluator, the tower keeps its last weights. With one, it gets the weights that validated best, and the
    number of epochs up to them is returned.
    """
    train, workers = run.train, run.workers
    phase = UserPhase(
        tower,
        vectors.to(workers.device),
        data,
        negatives=train.negatives,
        shuffled=settings.shuffled,
        matching=train.matching,
    )
    trained_phase: nn.Module = phase
    if workers.size > 1:
        trained_phase = nn.parallel.DistributedDataParallel(phase)
    users = np.flatnonzero(phase.has_target)[workers.rank :: workers.size]
    # All workers together make one batch: their number changes the time, not the result of training.
    batch_size = max(1, round(settings.batch_size / workers.size))
    steps = max(1, math.ceil(phase.has_target.sum() / workers.size / batch_size))
    optimizer = AdamW(tower.parameters(), lr=train.user_learning_rate, weight_decay=train.weight_decay, fused=True)
    random = np.random.default_rng([train.seed, workers.rank])
    _seed_rank(run)
    best, best_weights, best_epoch, epochs_since_best = -math.inf, copy.deepcopy(tower.state_dict()), epochs, 0
    first = settings.epochs - epochs
    for epoch in range(first, settings.epochs):
        trained_phase.train()
        phase.begin_epoch(random)
        total = 0.0
        labels = {"phase": "user" if evaluator else "refit", "epochs": epochs}
        advance = run.count_progress("step", steps, **labels, in_epoch=epoch - first + 1)
        batches = length_batches(data.histories.lengths[users], batch_size, random)
        for step in range(steps):
            rate = train.user_learning_rate * learning_rate_factor(
                epoch * steps + step, settings.epochs * steps, first * steps
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            # Shards may differ by a batch. Every rank makes the same number of steps, or others would wait for ever.
            loss = trained_phase(users[batches[step % len(batches)]])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
            advance(1)
        mean = run.check_finite(total / steps, f"in epoch {epoch + 1} of the user tower")
        if evaluator is None:
            run.note(**labels, epoch=epoch - first + 1, loss=mean)
            continue
        metric = _validate(run, tower, phase, data, evaluator)
        run.note(**labels, epoch=epoch + 1, loss=mean, validation=metric)
        epochs_since_best += 1
        if metric > best:
            best, best_weights, best_epoch, epochs_since_best = metric, copy.deepcopy(tower.state_dict()), epoch + 1, 0
        if epochs_since_best >= train.patience:
            break
    if evaluator is not None:
        tower.load_state_dict(best_weights)
    return best_epoch


def _validate(run: Run, tower: TwoTower, phase: UserPhase, data: TrainingData, evaluator: Evaluator) -> float:
    """The mean metric of all users with a validation artwork; each rank evaluates its share."""
    pairs = data.validation[run.workers.rank :: run.workers.size]
    tower.eval()
    with torch.inference_mode():
        artworks = tower.artwork_vectors(
            phase.artwork_text, torch.arange(len(phase.artwork_text), device=phase.artwork_text.device)
        )
        users = encode_users(tower, artworks, phase.interest_vectors, data.interest_of, data.histories, pairs[:, 0])
    metrics = evaluator(users.cpu().numpy(), artworks.cpu().numpy(), data.histories.take(pairs[:, 0]), pairs[:, 1])
    total, count = run.workers.sum(float(metrics.sum()), float(len(metrics)))
    return total / count if count else 0.0


def _shape(model: Model, settings: UserTowerSettings, text_dim: int, artwork_count: int) -> Shape:
    return Shape(
        text_dim=text_dim,
        works=artwork_count,
        dim=model.dim,
        layers=model.layers,
        heads=model.heads,
        max_history=model.max_history,
        dropout=settings.dropout,
        id_dropout=settings.id_dropout,
    )


def _seed_rank(run: Run) -> None:
    # All ranks have the same initial weights, but each its own dropout.
    torch.manual_seed(run.train.seed * 1000 + run.workers.rank + 1)
