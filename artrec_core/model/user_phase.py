"""The second phase: people's next works from their histories, on cached text vectors."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artrec_core.arrays import Int64Array
from artrec_core.model.sequences import NO_WORK, Sequences, padded, padded_targets
from artrec_core.model.softmax_loss import next_work_loss
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TwoTower

# Catalogues up to this size are trained with the whole softmax: exact, and cheaper than drawing negatives for each batch.
FULL_SOFTMAX_WORKS = 4096
# Share of the people who stated interests that a batch treats as if they had not, so that the default opening is trained too.
INTEREST_DROPOUT = 0.3
# So many works are asked for beside each person of a batch: by what somebody may say of their interests.
ASKED_A_PERSON = 3
# Share of the negatives drawn by popularity, the others evenly.
POPULAR_SHARE = 0.5
PEOPLE_IN_BLOCK = 512


class UserPhase(nn.Module):
    """Loss of a batch of people: at every position of a history, softmax over works of a coming positive and a coming seen one.

    And, with `matching` times the weight of a position, of works asked for by somebody with no events, who states as an interest
    what they may be asked for by: few people write of their interests and then come often enough to teach what is wanted by
    those who only wrote.
    """

    def __init__(
        self, tower: TwoTower, vectors: Tensor, data: TrainingData, *, negatives: int, shuffled: float, matching: float
    ) -> None:
        super().__init__()
        self.tower = tower
        works = len(data.documents)
        # Plain attributes, not buffers: they are data, and never travel with the weights.
        self.text, self.interest_vectors = vectors[:works], vectors[works:]
        self.vectors, self.matching = vectors, matching
        self.asked_texts, self.asked_works = (torch.from_numpy(one) for one in data.asked)
        self.data = data
        # Histories in their order and, where a share of the batches is to read them shuffled, out of it.
        self._orders = [(data.histories, _targets(data.histories))]
        self.shuffled = shuffled
        has_target = np.zeros(data.histories.people, bool)
        owners = np.repeat(np.arange(data.histories.people), data.histories.lengths + 1)
        has_target[owners[self._orders[0][1][-1] != NO_WORK]] = True
        self.trainable = has_target
        self.negatives = negatives
        counts = torch.from_numpy(np.bincount(data.histories.works, minlength=works)).double()
        even = torch.full((works,), 1.0 / works, dtype=torch.float64)
        popular = (counts + 1) / (counts + 1).sum()
        self.chances = (POPULAR_SHARE * popular + (1 - POPULAR_SHARE) * even).float().to(vectors.device)

    def forward(self, people: Int64Array) -> Tensor:
        """The mean loss of these people's positions."""
        max_history = self.tower.shape.max_history
        histories, targets = self._orders[self._order()]
        batch = padded(histories, people, max_history)
        found = [padded_targets(one, histories, people, max_history) for one in targets]
        some = torch.randint(max(1, len(self.asked_works)), (self._asked_in_batch(len(people)),))
        candidates, negatives, offsets, inputs, (asked, *wanted) = self._candidates(
            batch.works, [self.asked_works[some][:, None], *(torch.from_numpy(one) for one in found)]
        )
        device = self.text.device
        vectors = self.tower.works(self.text[candidates], candidates)
        interests, stated = openings(self.interest_vectors, self.data.interest_of[people])
        stated = stated & (torch.rand(len(people), device=device) >= INTEREST_DROPOUT)
        signals, gaps = (torch.from_numpy(values).to(device) for values in (batch.signals, batch.gaps))
        # Not by an index: the gradient of one is summed in whatever order the threads come to it.
        met = F.embedding(inputs, vectors)
        users = self.tower.people(interests, stated, met, signals, gaps)
        losses = [next_work_loss(users, vectors, negatives, offsets, inputs, one) for one in wanted]
        if len(asked):
            texts = self.vectors[self.asked_texts[some].to(device)]
            nothing = torch.zeros(len(asked), 0, dtype=torch.long, device=device)
            met = vectors.new_zeros(len(asked), 0, vectors.shape[1])
            askers = self.tower.people(texts, torch.ones_like(asked[:, 0], dtype=torch.bool), met, nothing, nothing)
            # A work that is asked for weighs as much as a position of a history: where histories are long, they are what tells.
            weight = self.matching * len(asked) / (int(batch.lengths.sum()) + len(people))
            losses.append(weight * next_work_loss(askers, vectors, negatives, offsets, nothing, asked))
        return torch.stack(losses).sum()

    def _asked_in_batch(self, people: int) -> int:
        return ASKED_A_PERSON * people if self.matching > 0 and len(self.asked_works) else 0

    def begin_pass(self, random: np.random.Generator) -> None:
        """Shuffle the histories anew for the share of the batches that read them out of order."""
        if self.shuffled > 0:
            mixed = self.data.histories.shuffled(random)
            self._orders = [self._orders[0], (mixed, _targets(mixed))]

    def _order(self) -> int:
        return int(len(self._orders) > 1 and float(torch.rand(())) < self.shuffled)

    def _candidates(
        self, works: Int64Array, drawn: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, list[Tensor]]:
        """Works of a batch; which of them are negatives and what is added to their logits; inputs and targets as rows of them."""
        device = self.text.device
        inputs = torch.from_numpy(works)
        many = len(self.text)
        if many <= FULL_SOFTMAX_WORKS:
            return (
                torch.arange(many, device=device),
                torch.arange(many, device=device),
                None,
                inputs.to(device),
                [one.to(device) for one in drawn],
            )
        sampled = torch.multinomial(self.chances, self.negatives, replacement=True)
        needed = torch.cat([inputs.flatten(), *(one[one != NO_WORK] for one in drawn)]).to(device)
        candidates, rows = torch.unique(torch.cat([sampled, needed]), return_inverse=True)
        # log(how often a work was drawn / how often it is expected to be): sampled softmax with the popularity correction.
        times = torch.bincount(rows[: self.negatives], minlength=len(candidates)).float()
        negatives = times.nonzero()[:, 0]
        offsets = torch.log(times[negatives]) - torch.log(self.negatives * self.chances[candidates[negatives]])
        places = torch.full((many + 1,), NO_WORK, device=device)
        places[candidates] = torch.arange(len(candidates), device=device)
        placed = [places[one.to(device)] for one in drawn]
        return candidates, negatives, offsets, places[inputs.to(device)], placed


def _targets(histories: Sequences) -> list[Int64Array]:
    """The coming positive works and the coming seen ones; where everything was positive both are one, asked once."""
    questions = [True] if histories.positive.all() else [True, False]
    return [histories.targets(positive=positive) for positive in questions]


def openings(interest_vectors: Tensor, rows: Int64Array) -> tuple[Tensor, Tensor]:
    """Text vectors of these rows of stated interests (zeros for -1), and whether there are any."""
    found = torch.from_numpy(rows).to(interest_vectors.device)
    stated = found >= 0
    if len(interest_vectors) == 0:
        return interest_vectors.new_zeros(len(rows), interest_vectors.shape[1]), stated
    return interest_vectors[found.clamp(min=0)] * stated[:, None], stated


def user_states(
    tower: TwoTower,
    works: Tensor,
    interest_vectors: Tensor,
    interest_of: Int64Array,
    histories: Sequences,
    people: Int64Array,
) -> Tensor:
    """User vectors (people, dim) after all their events; people of like lengths go together."""
    out = works.new_zeros(len(people), tower.shape.dim)
    order = np.argsort(histories.lengths[people], kind="stable")
    for start in range(0, len(order), PEOPLE_IN_BLOCK):
        rows = order[start : start + PEOPLE_IN_BLOCK]
        batch = padded(histories, people[rows], tower.shape.max_history)
        interests, stated = openings(interest_vectors, interest_of[people[rows]])
        met, signals, gaps = (
            torch.from_numpy(values).to(works.device) for values in (batch.works, batch.signals, batch.gaps)
        )
        states = tower.people(interests, stated, works[met], signals, gaps)
        out[rows] = states[torch.arange(len(rows)), torch.from_numpy(batch.lengths)]
    return out
