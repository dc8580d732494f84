"""The first phase of training: the text tower end to end, on batches of artworks that are each encoded once."""

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
# A context holds so many of a user's latest positive artworks in the batch.
CONTEXT_ARTWORKS = 4
# One user contributes at most so many artworks to a batch. Otherwise a user with thousands would fill it.
ARTWORKS_PER_USER = 8
EXAMPLES_PER_STEP = 1024
# At most so many queries for each artwork of a batch.
QUERY_SHARE = 0.5
# The texts of a step are encoded in so many groups of similar lengths. Padding is 30 to 45 % of the tokens in one group,
# 12 % in four groups and 5 % in eight (museums' records). The number is the same on every worker: under ZeRO-3 each call of
# the model gathers its weights from all workers, and a worker with one call less would wait for ever. Gathering costs no
# time as long as a group has a few thousand tokens for each worker; between machines, raise train.text_batch.
GROUPS = 8


@dataclass(frozen=True)
class TextBatch:
    """The texts of one training step and its two tasks.

    Attributes
    ----------
    texts
        Tokens of the documents of `artwork_count` artworks, then of the queries.
    artwork_count
        Number of artworks.
    contexts
        (examples, artworks) weights that average the recent positive artworks of an example.
    targets
        (examples,) the next positive artwork, as a place in the batch.
    masked
        (examples, artworks) other artworks that the user has a positive event with: no wrong answers.
    log_popularity
        (artworks,) corrects for popular artworks being drawn more often.
    query_targets, query_masked
        (queries,) and (queries, artworks), the same for the queries.
    """

    texts: list[TextGroup]
    artwork_count: int
    contexts: Tensor
    targets: Tensor
    masked: Tensor
    log_popularity: Tensor
    query_targets: Tensor
    query_masked: Tensor

    @property
    def padding_share(self) -> float:
        """The share of padding among the encoded tokens."""
        return 1 - sum(int(group.mask.sum()) for group in self.texts) / sum(group.ids.numel() for group in self.texts)


class TextPhase(nn.Module):
    """Loss of a batch: recent positive artworks -> the next one, and query -> its artwork, weighted by `matching`."""

    def __init__(self, encoder: TextEncoder, matching: float = 0.5) -> None:
        super().__init__()
        self.encoder = encoder
        self.matching = matching

    def forward(self, batch: TextBatch) -> Tensor:
        """Softmax over the artworks of the batch, with the log-popularity correction, plus the loss of the queries."""
        vectors = self.encoder.encode_groups(batch.texts)
        device = vectors.device
        artworks, queries = vectors[: batch.artwork_count], vectors[batch.artwork_count :]
        loss = vectors.sum() * 0.0
        if len(batch.targets):
            users = F.normalize(batch.contexts.to(device) @ artworks, dim=-1)
            logits = users @ artworks.T / TEMPERATURE - batch.log_popularity.to(device)
            logits = logits.masked_fill(batch.masked.to(device), -torch.inf)
            loss = loss + F.cross_entropy(logits, batch.targets.to(device))
        if len(queries):
            logits = (queries @ artworks.T / TEMPERATURE).masked_fill(batch.query_masked.to(device), -torch.inf)
            loss = loss + self.matching * F.cross_entropy(logits, batch.query_targets.to(device))
        return loss


class TextBatches:
    """Batches of one worker's share of the users.

    The artworks of a batch are collected user by user, so that they form examples. Then every example of the share is used
    whose artworks are in the batch: encoding costs most, so each encoded text serves as many examples as it can.

    Parameters
    ----------
    data
        Histories, documents and queries.
    encoder
        The text tower; only its tokenizer is used.
    batch_size
        Number of artworks in a batch.
    rank, size
        This worker and the number of workers.
    seed
        Seed of all batches.
    augment
        Share of the documents and queries that are changed (`augmentation`).
    matching
        Whether batches contain queries.
    """

    def __init__(
        self,
        data: TrainingData,
        encoder: TextEncoder,
        batch_size: int,
        rank: int,
        size: int,
        *,
        seed: int,
        augment: float = 0.0,
        matching: bool = True,
    ) -> None:
        self.batch_size = batch_size
        self.encoder = encoder
        self.seed, self.rank, self.augment = seed, rank, augment
        self.documents = data.documents
        self.tokens = encoder.tokens(data.documents)
        self.users = np.arange(data.histories.user_count)[rank::size]
        histories = data.histories.take(self.users)
        # Of each user, the distinct artworks with a positive event, in the order of their first events.
        is_used = histories.positive & histories.new
        owners = np.repeat(np.arange(histories.user_count), histories.lengths)
        self.artworks, self.owners = histories.artworks[is_used], owners[is_used]
        self.starts = np.searchsorted(self.owners, np.arange(histories.user_count + 1))
        popularity = np.bincount(self.artworks, minlength=len(data.documents)) + 1.0
        self.log_popularity = np.log(popularity / popularity.sum()).astype(np.float32)
        self._collect_queries(data, matching)

    def _collect_queries(self, data: TrainingData, matching: bool) -> None:
        interest_of = data.interest_of[self.users]
        interest_queries = [
            (data.interests[interest_of[owner]], int(artwork))
            for owner, artwork in zip(self.owners, self.artworks, strict=True)
            if interest_of[owner] >= 0
        ]
        queries = [*data.queries, *interest_queries] if matching else []
        self.query_texts = [text for text, _ in queries]
        self.query_artworks = np.array([artwork for _, artwork in queries], np.int64)
        text_numbers: dict[str, int] = {}
        self.query_numbers = np.array(
            [text_numbers.setdefault(text, len(text_numbers)) for text in self.query_texts], np.int64
        )

    def draw(self, step: int) -> TextBatch:
        """The batch of a step. It depends on seed, worker and step only, not on batches drawn before."""
        random = np.random.default_rng([self.seed, self.rank, step, 1])
        artworks = self._collect_artworks(random)
        place_of = np.full(len(self.log_popularity), -1)
        place_of[artworks] = np.arange(len(artworks))
        contexts, targets, masked = self._examples(place_of, len(artworks), random)
        queries, query_targets, query_masked = self._queries(place_of, len(artworks), random)
        documents = self._documents(artworks, random)
        return TextBatch(
            texts=self.encoder.pad_groups([*documents, *queries], min(GROUPS, len(artworks))),
            artwork_count=len(artworks),
            contexts=contexts,
            targets=targets,
            masked=masked,
            log_popularity=torch.from_numpy(self.log_popularity[artworks]),
            query_targets=query_targets,
            query_masked=query_masked,
        )

    def dropout_seed(self, step: int) -> int:
        """The seed of the model's own random numbers in a step."""
        return int(np.random.SeedSequence([self.seed, self.rank, step, 2]).generate_state(1, np.uint64)[0])

    def _documents(self, artworks: Int64Array, random: np.random.Generator) -> list[list[int]]:
        """Tokens of the artworks' documents; a share of the documents is augmented."""
        tokens = [self.tokens[artwork] for artwork in artworks]
        rows = np.flatnonzero(random.random(len(artworks)) < self.augment)
        augmented = self.encoder.tokens([augment_document(self.documents[artworks[row]], random) for row in rows])
        for row, ids in zip(rows, augmented, strict=True):
            tokens[row] = ids
        return tokens

    def _collect_artworks(self, random: np.random.Generator) -> Int64Array:
        artworks: dict[int, None] = {}
        for user in random.permutation(len(self.users)):
            first, last = self.starts[user], self.starts[user + 1]
            if last - first > ARTWORKS_PER_USER:
                first = random.integers(first, last - ARTWORKS_PER_USER + 1)
                last = first + ARTWORKS_PER_USER
            artworks.update(dict.fromkeys(self.artworks[first:last].tolist()))
            if len(artworks) >= self.batch_size:
                break
        if len(artworks) < self.batch_size:  # few events: any artwork serves the queries
            artworks.update(dict.fromkeys(random.permutation(len(self.tokens))[: self.batch_size].tolist()))
        return np.sort(np.array(list(artworks)[: self.batch_size], np.int64))

    def _examples(
        self, place_of: Int64Array, artwork_count: int, random: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`contexts`, `targets` and `masked` of a batch."""
        rows = np.flatnonzero(place_of[self.artworks] >= 0)
        owners, columns = self.owners[rows], place_of[self.artworks[rows]]
        # A target needs an artwork of the same user before it.
        targets = np.flatnonzero(np.r_[False, owners[1:] == owners[:-1]]) if len(rows) else rows
        if len(targets) > EXAMPLES_PER_STEP:
            targets = np.sort(random.choice(targets, EXAMPLES_PER_STEP, replace=False))
        contexts = np.zeros((len(targets), artwork_count), np.float32)
        for back in range(1, CONTEXT_ARTWORKS + 1):
            same_user = (targets >= back) & (owners[np.maximum(targets - back, 0)] == owners[targets])
            contexts[np.flatnonzero(same_user), columns[targets[same_user] - back]] = 1.0
        liked = np.zeros((int(owners.max(initial=-1)) + 1, artwork_count), bool)
        liked[owners, columns] = True
        masked = liked[owners[targets]]
        masked[np.arange(len(targets)), columns[targets]] = False
        contexts /= np.maximum(contexts.sum(1, keepdims=True), 1)
        return torch.from_numpy(contexts), torch.from_numpy(columns[targets]), torch.from_numpy(masked)

    def _queries(
        self, place_of: Int64Array, artwork_count: int, random: np.random.Generator
    ) -> tuple[list[list[int]], Tensor, Tensor]:
        """Tokens of a batch's queries, `query_targets` and `query_masked`."""
        rows = np.flatnonzero(place_of[self.query_artworks] >= 0)
        max_queries = max(1, int(QUERY_SHARE * self.batch_size))
        if len(rows) > max_queries:
            rows = np.sort(random.choice(rows, max_queries, replace=False))
        targets = place_of[self.query_artworks[rows]]
        # Another artwork with the same query text is no wrong answer.
        numbers = self.query_numbers[rows]
        pairs = {(int(number), int(target)) for number, target in zip(numbers, targets, strict=True)}
        masked = np.zeros((len(rows), artwork_count), bool)
        for row, number in enumerate(numbers):
            masked[row, [target for pair_number, target in pairs if pair_number == number]] = True
            masked[row, targets[row]] = False
        is_augmented = random.random(len(rows)) < self.augment
        texts = [self.query_texts[row] for row in rows]
        texts = [
            swap_synonyms(text, random) if augments else text
            for text, augments in zip(texts, is_augmented, strict=True)
        ]
        tokens = self.encoder.tokens(texts)
        return tokens, torch.from_numpy(targets), torch.from_numpy(masked)
