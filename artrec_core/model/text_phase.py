"""The first phase: the text tower end to end, on the works of one batch, each encoded once."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artrec_core.model.batches import Ints
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.training_data import TrainingData

TEMPERATURE = 0.05
# How many of a person's latest positive works (those of the batch) say what comes next.
WINDOW = 4
# A person brings at most so many works to a batch, else one person of thousands would be the batch.
WORKS_A_PERSON = 8
EXAMPLES_A_STEP = 1024
QUERIES_SHARE = 0.5
QUERIES_WEIGHT = 0.5


@dataclass(frozen=True)
class TextBatch:
    """What one step encodes and what it is asked.

    `works` are token ids and mask of the batch's documents, `queries` of what they may be asked for by (None where there
    is nothing to ask). Examples: `contexts` (examples, works) averages the recent positive works, `targets` the next one,
    `barred` (examples, works) what the person has a positive event with, besides the target. `query_targets` and
    `query_barred` are the same for queries. `log_popularity` (works,) corrects for popular works being drawn more often.
    """

    works: tuple[Tensor, Tensor]
    contexts: Tensor
    targets: Tensor
    barred: Tensor
    log_popularity: Tensor
    queries: tuple[Tensor, Tensor] | None
    query_targets: Tensor
    query_barred: Tensor


class TextPhase(nn.Module):
    """Loss of a batch: recent positive works -> the next one, and query text -> its work."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: TextBatch) -> Tensor:
        """In-batch softmax over the batch's works, with the log-popularity correction, plus the second task's."""
        device = next(self.parameters()).device
        works: Tensor = self.encoder(*(one.to(device) for one in batch.works))
        loss = works.sum() * 0.0
        if len(batch.targets):
            people = F.normalize(batch.contexts.to(device) @ works, dim=-1)
            logits = people @ works.T / TEMPERATURE - batch.log_popularity.to(device)
            logits = logits.masked_fill(batch.barred.to(device), -torch.inf)
            loss = loss + F.cross_entropy(logits, batch.targets.to(device))
        if batch.queries is not None:
            queries = self.encoder(*(one.to(device) for one in batch.queries))
            logits = (queries @ works.T / TEMPERATURE).masked_fill(batch.query_barred.to(device), -torch.inf)
            loss = loss + QUERIES_WEIGHT * F.cross_entropy(logits, batch.query_targets.to(device))
        return loss


class TextBatches:
    """Batches of one worker's share of the people.

    A batch's works are gathered person by person, so that examples meet in it; then every example of the share that lies
    within these works is used: what is encoded once is asked as often as it can be.
    """

    def __init__(
        self, data: TrainingData, encoder: TextEncoder, works_a_batch: int, rank: int, size: int, seed: int
    ) -> None:
        self.size = works_a_batch
        self.encoder = encoder
        self.random = np.random.default_rng([seed, rank, 1])
        self.tokens = encoder.tokens(data.documents)
        self.people = np.arange(data.histories.people)[rank::size]
        histories = data.histories.take(self.people)
        # Only first events with works that became positive: a person's taste as a sequence of distinct works.
        kept = histories.positive & histories.new
        owners = np.repeat(np.arange(histories.people), histories.lengths)
        self.works, self.owners = histories.works[kept], owners[kept]
        self.starts = np.searchsorted(self.owners, np.arange(histories.people + 1))
        popularity = np.bincount(self.works, minlength=len(data.documents)) + 1.0
        self.log_popularity = np.log(popularity / popularity.sum()).astype(np.float32)
        # Everybody counts the steps from all works, so that every rank takes as many.
        self.steps = max(1, math.ceil(len(data.documents) / (works_a_batch * size)))
        self._ask(data)

    def _ask(self, data: TrainingData) -> None:
        stated = [(data.interests[data.interest_of[self.people[owner]]], int(work))
                  for owner, work in zip(self.owners, self.works, strict=True)
                  if data.interest_of[self.people[owner]] >= 0]  # fmt: skip
        queries = [*data.queries, *stated]
        self.query_texts = [text for text, _ in queries]
        self.query_works = np.array([work for _, work in queries], np.int64)
        names: dict[str, int] = {}
        self.query_names = np.array([names.setdefault(text, len(names)) for text in self.query_texts], np.int64)

    def draw(self) -> TextBatch:
        """The next batch."""
        works = self._gather()
        place = np.full(len(self.log_popularity), -1)
        place[works] = np.arange(len(works))
        contexts, targets, barred = self._examples(place, len(works))
        queries, query_targets, query_barred = self._queries(place, len(works))
        return TextBatch(
            works=self.encoder.pad([self.tokens[work] for work in works]),
            contexts=contexts,
            targets=targets,
            barred=barred,
            log_popularity=torch.from_numpy(self.log_popularity[works]),
            queries=queries,
            query_targets=query_targets,
            query_barred=query_barred,
        )

    def _gather(self) -> Ints:
        found: dict[int, None] = {}
        for person in self.random.permutation(len(self.people)):
            first, last = self.starts[person], self.starts[person + 1]
            if last - first > WORKS_A_PERSON:
                first = self.random.integers(first, last - WORKS_A_PERSON + 1)
                last = first + WORKS_A_PERSON
            found.update(dict.fromkeys(self.works[first:last].tolist()))
            if len(found) >= self.size:
                break
        if len(found) < self.size:  # few events: the second task learns from any work
            found.update(dict.fromkeys(self.random.permutation(len(self.tokens))[: self.size].tolist()))
        return np.sort(np.array(list(found)[: self.size], np.int64))

    def _examples(self, place: Ints, many: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = np.flatnonzero(place[self.works] >= 0)
        owners, columns = self.owners[rows], place[self.works[rows]]
        # A target needs a work of the same person before it.
        targets = np.flatnonzero(np.r_[False, owners[1:] == owners[:-1]]) if len(rows) else rows
        if len(targets) > EXAMPLES_A_STEP:
            targets = np.sort(self.random.choice(targets, EXAMPLES_A_STEP, replace=False))
        contexts = np.zeros((len(targets), many), np.float32)
        for back in range(1, WINDOW + 1):
            there = (targets >= back) & (owners[np.maximum(targets - back, 0)] == owners[targets])
            contexts[np.flatnonzero(there), columns[targets[there] - back]] = 1.0
        liked = np.zeros((int(owners.max(initial=-1)) + 1, many), bool)
        liked[owners, columns] = True
        barred = liked[owners[targets]]
        barred[np.arange(len(targets)), columns[targets]] = False
        contexts /= np.maximum(contexts.sum(1, keepdims=True), 1)
        return torch.from_numpy(contexts), torch.from_numpy(columns[targets]), torch.from_numpy(barred)

    def _queries(self, place: Ints, many: int) -> tuple[tuple[Tensor, Tensor] | None, Tensor, Tensor]:
        rows = np.flatnonzero(place[self.query_works] >= 0)
        most = max(1, int(QUERIES_SHARE * self.size))
        if len(rows) > most:
            rows = np.sort(self.random.choice(rows, most, replace=False))
        targets = place[self.query_works[rows]]
        # Another work that goes by the same text is no wrong answer.
        asked = {(int(name), int(target)) for name, target in zip(self.query_names[rows], targets, strict=True)}
        barred = np.zeros((len(rows), many), bool)
        for row, name in enumerate(self.query_names[rows]):
            barred[row, [target for other, target in asked if other == name]] = True
            barred[row, targets[row]] = False
        tokens = self.encoder.tokens([self.query_texts[row] for row in rows])
        return (self.encoder.pad(tokens) if tokens else None), torch.from_numpy(targets), torch.from_numpy(barred)
