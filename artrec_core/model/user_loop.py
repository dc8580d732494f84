"""The user tower's training, on cached text vectors."""

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
    """The user tower, the projection and the id vectors on cached text vectors (those of `data.texts`, text_dim).

    The weights that validated best are kept; with `train.refit` they go once more through the last quarter of their passes,
    on histories that the validation works belong to: the latest taste of everyone is too good to be left out of what is
    served, and what was learnt before it need not be learnt again.
    """
    torch.manual_seed(run.train.seed)
    works, sizes = len(data.documents), resolve_settings(run.model, run.train, data)
    run.note(phase="user", sizes=sizes.as_parameters())
    tower = TwoTower(_shape(run.model, sizes, vectors.shape[1], works), data.artwork_ids).to(run.workers.device)
    tower.text_mean.copy_(vectors[:works].mean(0))
    taken = _fit_user(run, tower, data, vectors, sizes, sizes.epochs, evaluator)
    if run.train.refit and data.refit is not None:
        _fit_user(run, tower, replace(data, histories=data.refit), vectors, sizes, math.ceil(taken / 4), None)
    return tower.cpu().eval()


def _fit_user(
    run: Run,
    tower: TwoTower,
    data: TrainingData,
    vectors: Tensor,
    sizes: UserTowerSettings,
    passes: int,
    evaluator: Evaluator | None,
) -> int:
    """Train for the last so many of the passes; returns after how many of them the weights were taken.

    Those are the weights that validated best, or the last where nobody judges.
    """
    train, world = run.train, run.workers
    phase = UserPhase(
        tower,
        vectors.to(world.device),
        data,
        negatives=train.negatives,
        shuffled=sizes.shuffled,
        matching=train.matching,
    )
    moving: nn.Module = phase
    if world.size > 1:
        moving = nn.parallel.DistributedDataParallel(phase)
    people = np.flatnonzero(phase.has_target)[world.rank :: world.size]
    # The batch is one over all workers: how many there are changes the time, not what is learnt.
    batch = max(1, round(sizes.batch_size / world.size))
    steps = max(1, math.ceil(phase.has_target.sum() / world.size / batch))
    optimizer = AdamW(tower.parameters(), lr=train.user_learning_rate, weight_decay=train.weight_decay, fused=True)
    random = np.random.default_rng([train.seed, world.rank])
    _seed_rank(run)
    best, best_weights, taken, waited = -math.inf, copy.deepcopy(tower.state_dict()), passes, 0
    first = sizes.epochs - passes
    for epoch in range(first, sizes.epochs):
        moving.train()
        phase.begin_epoch(random)
        total = 0.0
        of = {"phase": "user" if evaluator else "refit", "epochs": passes}
        advance = run.counting("step", steps, **of, in_epoch=epoch - first + 1)
        batches = length_batches(data.histories.lengths[people], batch, random)
        for step in range(steps):
            rate = train.user_learning_rate * learning_rate_factor(
                epoch * steps + step, sizes.epochs * steps, first * steps
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            # Shards may differ by a batch: every rank takes the same number of steps, or the others would wait for ever.
            loss = moving(people[batches[step % len(batches)]])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
            advance(1)
        mean = run.check_finite(total / steps, f"in epoch {epoch + 1} of the user tower")
        if evaluator is None:
            run.note(**of, epoch=epoch - first + 1, loss=mean)
            continue
        figure = _validate(run, tower, phase, data, evaluator)
        run.note(**of, epoch=epoch + 1, loss=mean, validation=figure)
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
    mine = data.validation[run.workers.rank :: run.workers.size]
    tower.eval()
    with torch.inference_mode():
        works = tower.artwork_vectors(
            phase.artwork_text, torch.arange(len(phase.artwork_text), device=phase.artwork_text.device)
        )
        users = encode_users(tower, works, phase.interest_vectors, data.interest_of, data.histories, mine[:, 0])
    each = evaluator(users.cpu().numpy(), works.cpu().numpy(), data.histories.take(mine[:, 0]), mine[:, 1])
    total, count = run.workers.sum(float(each.sum()), float(len(each)))
    return total / count if count else 0.0


def _shape(model: Model, sizes: UserTowerSettings, text_dim: int, works: int) -> Shape:
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


def _seed_rank(run: Run) -> None:
    # Same initial weights everywhere, but each rank its own dropout.
    torch.manual_seed(run.train.seed * 1000 + run.workers.rank + 1)
