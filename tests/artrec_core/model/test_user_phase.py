"""The loss of people's histories."""

import numpy as np
import pytest
import torch
from torch import Tensor

from artrec_core.model.sequences import Sequences
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import Shape, TwoTower
from artrec_core.model.user_phase import UserPhase

PEOPLE, EVENTS, WORKS, DIM = 64, 40, 50, 32


def world(queries: list[tuple[str, int]] | None = None) -> TrainingData:
    """Many events with few works: each work's gradient is a sum of many."""
    random = np.random.default_rng(0)
    works = random.integers(0, WORKS, PEOPLE * EVENTS)
    pairs = np.repeat(np.arange(PEOPLE), EVENTS) * WORKS + works
    new = np.zeros(len(works), bool)
    new[np.unique(pairs, return_index=True)[1]] = True
    nothing = np.zeros_like(works)
    histories = Sequences(np.arange(PEOPLE + 1) * EVENTS, works, nothing, nothing, np.ones(len(works), bool), new)
    ids = [str(work) for work in range(WORKS)]
    return TrainingData(ids, ids, ["boats"], np.full(PEOPLE, -1), queries or [], histories, np.zeros((0, 2), np.int64))


def gradient(data: TrainingData) -> Tensor:
    torch.manual_seed(0)
    tower = TwoTower(Shape(8, WORKS, DIM, 1, 2, EVENTS, dropout=0.1), data.artwork_ids)
    phase = UserPhase(tower, torch.randn(len(data.texts), 8), data, negatives=8, shuffled=0.0, matching=0.5)
    phase(np.arange(PEOPLE)).backward()
    return torch.cat([weight.grad.flatten() for weight in tower.parameters() if weight.grad is not None])


@pytest.mark.parametrize("queries", [[], [("boat", 3), ("horse", 4), ("boat", 5)]])
def test_a_batch_gives_the_same_gradient_to_the_last_bit_however_its_threads_take_turns(queries: list[tuple[str, int]]):
    data = world(queries)
    first = gradient(data)
    assert all(torch.equal(gradient(data), first) for _ in range(10))


@pytest.mark.parametrize("whole_softmax", [True, False])
def test_what_works_are_asked_for_by_is_learnt_as_an_interest(whole_softmax: bool, monkeypatch: pytest.MonkeyPatch):
    """Whoever stated an interest did nothing, and histories are drawn at random; all that tells of "boat" is that works 3 and 5 are."""
    if not whole_softmax:
        monkeypatch.setattr("artrec_core.model.user_phase.FULL_SOFTMAX_WORKS", 4)
    data = world([("boat", 3), ("horse", 4), ("boat", 5)])
    ranks = {matching: place_of_boats(data, matching) for matching in (0.0, 10.0)}
    assert ranks[10.0] == [0, 1]
    assert ranks[0.0] != [0, 1]


def place_of_boats(data: TrainingData, matching: float) -> list[int]:
    """The places of works 3 and 5 for somebody who only stated an interest in boats, after some steps."""
    torch.manual_seed(0)
    vectors = torch.randn(len(data.texts), 8)
    boat = vectors[data.texts.index("boat")][None]
    tower = TwoTower(Shape(8, WORKS, DIM, 1, 2, EVENTS), data.artwork_ids)
    phase = UserPhase(tower, vectors, data, negatives=8, shuffled=0.0, matching=matching)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        phase(np.arange(8)).backward()
        optimizer.step()
    nothing = torch.zeros(1, 0, dtype=torch.long)
    user = tower.people(boat, torch.tensor([True]), torch.zeros(1, 0, DIM), nothing, nothing)[0, 0]
    order = (tower.works(phase.text, torch.arange(WORKS)) @ user).argsort(descending=True).tolist()
    return sorted([order.index(3), order.index(5)])
