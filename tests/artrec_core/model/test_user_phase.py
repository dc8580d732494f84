"""The loss of people's histories."""

import numpy as np
import torch
from torch import Tensor

from artrec_core.model.batches import Sequences
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import Shape, TwoTower
from artrec_core.model.user_phase import UserPhase

PEOPLE, EVENTS, WORKS, DIM = 64, 40, 50, 32


def world() -> TrainingData:
    """Many events with few works: each work's gradient is a sum of many."""
    random = np.random.default_rng(0)
    works = random.integers(0, WORKS, PEOPLE * EVENTS)
    pairs = np.repeat(np.arange(PEOPLE), EVENTS) * WORKS + works
    new = np.zeros(len(works), bool)
    new[np.unique(pairs, return_index=True)[1]] = True
    nothing = np.zeros_like(works)
    histories = Sequences(np.arange(PEOPLE + 1) * EVENTS, works, nothing, nothing, np.ones(len(works), bool), new)
    ids = [str(work) for work in range(WORKS)]
    return TrainingData(ids, ids, [], np.full(PEOPLE, -1), [], histories, np.zeros((0, 2), np.int64))


def gradient(data: TrainingData) -> Tensor:
    torch.manual_seed(0)
    tower = TwoTower(Shape(8, WORKS, DIM, 1, 2, EVENTS, dropout=0.1), data.artwork_ids)
    phase = UserPhase(tower, torch.randn(WORKS, 8), data, negatives=8, shuffled=0.0)
    phase(np.arange(PEOPLE)).backward()
    return torch.cat([weight.grad.flatten() for weight in tower.parameters() if weight.grad is not None])


def test_a_batch_gives_the_same_gradient_to_the_last_bit_however_its_threads_take_turns():
    data = world()
    first = gradient(data)
    assert all(torch.equal(gradient(data), first) for _ in range(10))
