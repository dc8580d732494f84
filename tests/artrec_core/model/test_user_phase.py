"""The loss of user histories and queries."""

import numpy as np
import pytest
import torch
from torch import Tensor

from artrec_core.model.sequences import Sequences
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import Shape, TwoTower
from artrec_core.model.user_phase import UserPhase

USERS, EVENTS, ARTWORKS, DIM = 64, 40, 50, 32


def training_data(queries: list[tuple[str, int]] | None = None) -> TrainingData:
    """Many events with few artworks: the gradient of each artwork is a sum of many terms."""
    random = np.random.default_rng(0)
    artworks = random.integers(0, ARTWORKS, USERS * EVENTS)
    pairs = np.repeat(np.arange(USERS), EVENTS) * ARTWORKS + artworks
    new = np.zeros(len(artworks), bool)
    new[np.unique(pairs, return_index=True)[1]] = True
    zeros = np.zeros_like(artworks)
    histories = Sequences(np.arange(USERS + 1) * EVENTS, artworks, zeros, zeros, np.ones(len(artworks), bool), new)
    ids = [str(artwork) for artwork in range(ARTWORKS)]
    return TrainingData(ids, ids, ["boats"], np.full(USERS, -1), queries or [], histories, np.zeros((0, 2), np.int64))


def gradient(data: TrainingData) -> Tensor:
    torch.manual_seed(0)
    tower = TwoTower(Shape(8, ARTWORKS, DIM, 1, 2, EVENTS, dropout=0.1), data.artwork_ids)
    phase = UserPhase(tower, torch.randn(len(data.texts), 8), data, negatives=8, shuffled=0.0, matching=0.5)
    phase(np.arange(USERS)).backward()
    return torch.cat([weight.grad.flatten() for weight in tower.parameters() if weight.grad is not None])


@pytest.mark.parametrize("queries", [[], [("boat", 3), ("horse", 4), ("boat", 5)]])
def test_gradients_do_not_depend_on_the_order_of_threads(queries: list[tuple[str, int]]):
    data = training_data(queries)
    first = gradient(data)
    assert all(torch.equal(gradient(data), first) for _ in range(10))


@pytest.mark.parametrize("full_softmax", [True, False])
def test_queries_are_learnt_as_stated_interests(full_softmax: bool, monkeypatch: pytest.MonkeyPatch):
    """Users with interests have no events, and histories are random. Only the queries connect "boat" with artworks 3 and 5."""
    if not full_softmax:
        monkeypatch.setattr("artrec_core.model.user_phase.FULL_SOFTMAX_ARTWORKS", 4)
    data = training_data([("boat", 3), ("horse", 4), ("boat", 5)])
    ranks = {matching: boat_ranks(data, matching) for matching in (0.0, 10.0)}
    assert ranks[10.0] == [0, 1]
    assert ranks[0.0] != [0, 1]


def boat_ranks(data: TrainingData, matching: float) -> list[int]:
    """After some steps of training: ranks of artworks 3 and 5 for a user who only stated an interest in boats."""
    torch.manual_seed(0)
    vectors = torch.randn(len(data.texts), 8)
    boat = vectors[data.texts.index("boat")][None]
    tower = TwoTower(Shape(8, ARTWORKS, DIM, 1, 2, EVENTS), data.artwork_ids)
    phase = UserPhase(tower, vectors, data, negatives=8, shuffled=0.0, matching=matching)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        phase(np.arange(8)).backward()
        optimizer.step()
    no_events = torch.zeros(1, 0, dtype=torch.long)
    user = tower.user_vectors(boat, torch.tensor([True]), torch.zeros(1, 0, DIM), no_events, no_events)[0, 0]
    order = (tower.artwork_vectors(phase.artwork_text, torch.arange(ARTWORKS)) @ user).argsort(descending=True).tolist()
    return sorted([order.index(3), order.index(5)])
