"""The first phase: the text tower end to end, on the works of one batch, each encoded once."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artrec_core.arrays import Int64Array
from artrec_core.model.augmentation import augment_document, swap_synonyms
from artrec_core.model.text_encoder import TextEncoder, TextGroup
from artrec_core.model.training_data import TrainingData

TEMPERATURE = 0.05
# How many of a person's latest positive works (those of the batch) say what comes next.
WINDOW = 4
# A person brings at most so many works to a batch, else one person of thousands would be the batch.
ARTWORKS_PER_USER = 8
EXAMPLES_PER_STEP = 1024
QUERY_SHARE = 0.5
# Texts of a step are encoded in so many groups of like lengths. Padding is 30 to 45 % of the tokens in one group, 12 % of
# museums' records in four, 5 % in eight. The number is the same on every worker: under ZeRO-3 each call of the model gathers
# its weights from all workers, and a worker with one call less would wait for ever. (Gathering is hidden behind the products
# of a group as long as it holds a few thousand tokens a worker; between machines, raise train.text_batch.)
GROUPS = 8


@dataclass(frozen=True)
class TextBatch:
    """What one step encodes and what it is asked.

    `texts` are the tokens of `works` documents and, after them, of queries they may be asked for by. Examples: `contexts`
    (examples, works) averages the recent positive works, `targets` the next one, `barred` (examples, works) what the
    person has a positive event with, besides the target. `query_targets` and `query_barred` are the same for queries.
    `log_popularity` (works,) corrects for popular works being drawn more often.
    """

    texts: list[TextGroup]
    works: int
    contexts: Tensor
    targets: Tensor
    barred: Tensor
    log_popularity: Tensor
    query_targets: Tensor
    query_barred: Tensor

    @property
    def padding_share(self) -> float:
        """The share of padding among the tokens that are encoded."""
        return 1 - sum(int(group.mask.sum()) for group in self.texts) / sum(group.ids.numel() for group in self.texts)


class TextPhase(nn.Module):
    """Loss of a batch: recent positive works -> the next one, and query text -> its work, weighted by `matching`."""

    def __init__(self, encoder: TextEncoder, matching: float = 0.5) -> None:
        super().__init__()
        self.encoder = encoder
        self.matching = matching

    def forward(self, batch: TextBatch) -> Tensor:
        """In-batch softmax over the batch's works, with the log-popularity correction, plus the second task's."""
        vectors = self.encoder.encode_groups(batch.texts)
        device = vectors.device
        works, queries = vectors[: batch.works], vectors[batch.works :]
        loss = vectors.sum() * 0.0
        if len(batch.targets):
            people = F.normalize(batch.contexts.to(device) @ works, dim=-1)
            logits = people @ works.T / TEMPERATURE - batch.log_popularity.to(device)
            logits = logits.masked_fill(batch.barred.to(device), -torch.inf)
            loss = loss + F.cross_entropy(logits, batch.targets.to(device))
        if len(queries):
            logits = (queries @ works.T / TEMPERATURE).masked_fill(batch.query_barred.to(device), -torch.inf)
            loss = loss + self.matching * F.cross_entropy(logits, batch.query_targets.to(device))
        return loss


class TextBatches:
    """Batches of one worker's share of the people.

    A batch's works are gathered person by person, so that examples meet in it; then every example of the share that lies
    within these works is used: what is encoded once is asked as often as it can be.
    """

    def __init__(
        self,
        data: TrainingData,
        encoder: TextEncoder,
        works_a_batch: int,
        rank: int,
        size: int,
        *,
        seed: int,
        augment: float = 0.0,
        matching: bool = True,
    ) -> None:
        self.size = works_a_batch
        self.encoder = encoder
        self.seed, self.rank, self.augment = seed, rank, augment
        self.documents = data.documents
        self.tokens = encoder.tokens(data.documents)
        self.people = np.arange(data.histories.user_count)[rank::size]
        histories = data.histories.take(self.people)
        # Only first events with works that became positive: a person's taste as a sequence of distinct works.
        kept = histories.positive & histories.new
        owners = np.repeat(np.arange(histories.user_count), histories.lengths)
        self.works, self.owners = histories.artworks[kept], owners[kept]
        self.starts = np.searchsorted(self.owners, np.arange(histories.user_count + 1))
        popularity = np.bincount(self.works, minlength=len(data.documents)) + 1.0
        self.log_popularity = np.log(popularity / popularity.sum()).astype(np.float32)
        self._ask(data, matching)

    def _ask(self, data: TrainingData, matching: bool) -> None:
        stated = [(data.interests[data.interest_of[self.people[owner]]], int(work))
                  for owner, work in zip(self.owners, self.works, strict=True)
                  if data.interest_of[self.people[owner]] >= 0]  # fmt: skip
        queries = [*data.queries, *stated] if matching else []
        self.query_texts = [text for text, _ in queries]
        self.query_works = np.array([work for _, work in queries], np.int64)
        names: dict[str, int] = {}
        self.query_names = np.array([names.setdefault(text, len(names)) for text in self.query_texts], np.int64)

    def draw(self, step: int) -> TextBatch:
        """The batch of a step: the same for the same seed, worker and step, whatever was drawn before."""
        random = np.random.default_rng([self.seed, self.rank, step, 1])
        works = self._gather(random)
        place = np.full(len(self.log_popularity), -1)
        place[works] = np.arange(len(works))
        contexts, targets, barred = self._examples(place, len(works), random)
        queries, query_targets, query_barred = self._queries(place, len(works), random)
        documents = self._documents(works, random)
        return TextBatch(
            texts=self.encoder.pad_groups([*documents, *queries], min(GROUPS, len(works))),
            works=len(works),
            contexts=contexts,
            targets=targets,
            barred=barred,
            log_popularity=torch.from_numpy(self.log_popularity[works]),
            query_targets=query_targets,
            query_barred=query_barred,
        )

    def dropout_seed(self, step: int) -> int:
        """What the model's own randomness of a step starts from."""
        return int(np.random.SeedSequence([self.seed, self.rank, step, 2]).generate_state(1, np.uint64)[0])

    def _documents(self, works: Int64Array, random: np.random.Generator) -> list[list[int]]:
        found = [self.tokens[work] for work in works]
        rows = np.flatnonzero(random.random(len(works)) < self.augment)
        told = self.encoder.tokens([augment_document(self.documents[works[row]], random) for row in rows])
        for row, tokens in zip(rows, told, strict=True):
            found[row] = tokens
        return found

    def _gather(self, random: np.random.Generator) -> Int64Array:
        found: dict[int, None] = {}
        for person in random.permutation(len(self.people)):
            first, last = self.starts[person], self.starts[person + 1]
            if last - first > ARTWORKS_PER_USER:
                first = random.integers(first, last - ARTWORKS_PER_USER + 1)
                last = first + ARTWORKS_PER_USER
            found.update(dict.fromkeys(self.works[first:last].tolist()))
            if len(found) >= self.size:
                break
        if len(found) < self.size:  # few events: the second task learns from any work
            found.update(dict.fromkeys(random.permutation(len(self.tokens))[: self.size].tolist()))
        return np.sort(np.array(list(found)[: self.size], np.int64))

    def _examples(self, place: Int64Array, many: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        rows = np.flatnonzero(place[self.works] >= 0)
        owners, columns = self.owners[rows], place[self.works[rows]]
        # A target needs a work of the same person before it.
        targets = np.flatnonzero(np.r_[False, owners[1:] == owners[:-1]]) if len(rows) else rows
        if len(targets) > EXAMPLES_PER_STEP:
            targets = np.sort(random.choice(targets, EXAMPLES_PER_STEP, replace=False))
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

    def _queries(
        self, place: Int64Array, many: int, random: np.random.Generator
    ) -> tuple[list[list[int]], Tensor, Tensor]:
        rows = np.flatnonzero(place[self.query_works] >= 0)
        most = max(1, int(QUERY_SHARE * self.size))
        if len(rows) > most:
            rows = np.sort(random.choice(rows, most, replace=False))
        targets = place[self.query_works[rows]]
        # Another work that goes by the same text is no wrong answer.
        asked = {(int(name), int(target)) for name, target in zip(self.query_names[rows], targets, strict=True)}
        barred = np.zeros((len(rows), many), bool)
        for row, name in enumerate(self.query_names[rows]):
            barred[row, [target for other, target in asked if other == name]] = True
            barred[row, targets[row]] = False
        swapped = random.random(len(rows)) < self.augment
        texts = [self.query_texts[row] for row in rows]
        texts = [swap_synonyms(text, random) if one else text for text, one in zip(texts, swapped, strict=True)]
        tokens = self.encoder.tokens(texts)
        return tokens, torch.from_numpy(targets), torch.from_numpy(barred)
