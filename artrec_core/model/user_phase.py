"""The second phase of training: predict users' next artworks from their histories, on cached text vectors."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artrec_core.arrays import Int64Array
from artrec_core.model.sequences import NO_ROW, Sequences, pad_histories, pad_targets
from artrec_core.model.softmax_loss import next_artwork_loss
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TwoTower

# Up to this size of catalogue the softmax covers every artwork: exact, and cheaper than drawing negatives for each batch.
FULL_SOFTMAX_ARTWORKS = 4096
# Share of the users with stated interests whose interests a batch hides, so that the default first token is trained too.
INTEREST_DROPOUT = 0.3
# A batch has this many queries for each of its users.
QUERIES_PER_USER = 3
# Share of the negatives that is drawn by popularity; the rest is drawn uniformly.
POPULARITY_SHARE = 0.5
USERS_IN_BLOCK = 512


class UserPhase(nn.Module):
    """Loss of a batch of users.

    At every position of a history, two softmax losses over artworks: one for the next artwork with a positive event, one
    for the next artwork seen.

    Training adds pseudo-users without history whose stated interest is a query for an artwork. Too few users both state
    interests and have histories that show what such interests mean.

    Parameters
    ----------
    tower
        The model to train.
    vectors
        (texts, text_dim) vectors of `data.texts`.
    data
        Histories, interests and queries.
    negatives
        Number of negatives drawn for a batch, where the catalogue is too large for a softmax over every artwork.
    shuffled
        Share of the batches that read histories in random order.
    matching
        Weight of a query, in positions of a history; 0 leaves queries out.
    """

    def __init__(
        self, tower: TwoTower, vectors: Tensor, data: TrainingData, *, negatives: int, shuffled: float, matching: float
    ) -> None:
        super().__init__()
        self.tower = tower
        artwork_count = len(data.documents)
        # Plain attributes, not buffers: they are data and are not saved with the weights.
        self.artwork_text, self.interest_vectors = vectors[:artwork_count], vectors[artwork_count:]
        self.vectors, self.matching = vectors, matching
        self.query_texts, self.query_artworks = (torch.from_numpy(rows) for rows in data.query_pairs)
        self.data = data
        # Histories with their targets: first in order and, after `begin_epoch`, second in random order.
        self._orders = [(data.histories, _loss_targets(data.histories))]
        self.shuffled = shuffled
        has_target = np.zeros(data.histories.user_count, bool)
        owners = np.repeat(np.arange(data.histories.user_count), data.histories.lengths + 1)
        has_target[owners[self._orders[0][1][-1] != NO_ROW]] = True
        self.has_target = has_target
        self.negatives = negatives
        counts = torch.from_numpy(np.bincount(data.histories.artworks, minlength=artwork_count)).double()
        uniform = torch.full((artwork_count,), 1.0 / artwork_count, dtype=torch.float64)
        popularity = (counts + 1) / (counts + 1).sum()
        mixture = POPULARITY_SHARE * popularity + (1 - POPULARITY_SHARE) * uniform
        self.sampling_probabilities = mixture.float().to(vectors.device)

    def forward(self, users: Int64Array) -> Tensor:
        """The loss of these users (rows of the histories): means over positions, plus the weighted mean over queries."""
        max_history = self.tower.shape.max_history
        histories, targets = self._orders[self._pick_order()]
        batch = pad_histories(histories, users, max_history)
        padded_targets = [torch.from_numpy(pad_targets(rows, histories, users, max_history)) for rows in targets]
        queries = torch.randint(max(1, len(self.query_artworks)), (self._query_count(len(users)),))
        candidates, negatives, offsets, inputs, (query_targets, *history_targets) = self._candidates(
            batch.artworks, [self.query_artworks[queries][:, None], *padded_targets]
        )
        device = self.artwork_text.device
        vectors = self.tower.artwork_vectors(self.artwork_text[candidates], candidates)
        interests, has_interest = interest_inputs(self.interest_vectors, self.data.interest_of[users])
        has_interest = has_interest & (torch.rand(len(users), device=device) >= INTEREST_DROPOUT)
        signals, gaps = (torch.from_numpy(values).to(device) for values in (batch.signals, batch.gaps))
        # Not by indexing: its gradient is summed in the order of the threads, which changes from run to run.
        artworks = F.embedding(inputs, vectors)
        states = self.tower.user_vectors(interests, has_interest, artworks, signals, gaps)
        losses = [next_artwork_loss(states, vectors, negatives, offsets, inputs, rows) for rows in history_targets]
        if len(query_targets):
            texts = self.vectors[self.query_texts[queries].to(device)]
            no_events = torch.zeros(len(query_targets), 0, dtype=torch.long, device=device)
            no_artworks = vectors.new_zeros(len(query_targets), 0, vectors.shape[1])
            has_text = torch.ones_like(query_targets[:, 0], dtype=torch.bool)
            query_states = self.tower.user_vectors(texts, has_text, no_artworks, no_events, no_events)
            # Each query weighs `matching` positions: with long histories, the positions decide.
            weight = self.matching * len(query_targets) / (int(batch.lengths.sum()) + len(users))
            losses.append(
                weight * next_artwork_loss(query_states, vectors, negatives, offsets, no_events, query_targets)
            )
        return torch.stack(losses).sum()

    def _query_count(self, user_count: int) -> int:
        return QUERIES_PER_USER * user_count if self.matching > 0 and len(self.query_artworks) else 0

    def begin_epoch(self, random: np.random.Generator) -> None:
        """Shuffle the histories again, for the share of the batches that read them in random order."""
        if self.shuffled > 0:
            histories = self.data.histories.shuffle_events(random)
            self._orders = [self._orders[0], (histories, _loss_targets(histories))]

    def _pick_order(self) -> int:
        return int(len(self._orders) > 1 and float(torch.rand(())) < self.shuffled)

    def _candidates(
        self, artworks: Int64Array, targets: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, list[Tensor]]:
        """The artworks that a batch's softmax covers.

        Returns
        -------
        tuple
            Rows of the candidates in the catalogue; the negatives as places in the candidates; what is added to the
            negatives' logits, or None; `artworks` and each of `targets` as places in the candidates.
        """
        device = self.artwork_text.device
        inputs = torch.from_numpy(artworks)
        artwork_count = len(self.artwork_text)
        if artwork_count <= FULL_SOFTMAX_ARTWORKS:
            return (
                torch.arange(artwork_count, device=device),
                torch.arange(artwork_count, device=device),
                None,
                inputs.to(device),
                [rows.to(device) for rows in targets],
            )
        samples = torch.multinomial(self.sampling_probabilities, self.negatives, replacement=True)
        required_rows = torch.cat([inputs.flatten(), *(rows[rows != NO_ROW] for rows in targets)]).to(device)
        candidates, places = torch.unique(torch.cat([samples, required_rows]), return_inverse=True)
        # Sampled softmax with the popularity correction: log(times drawn / expected number of times).
        draw_counts = torch.bincount(places[: self.negatives], minlength=len(candidates)).float()
        negatives = draw_counts.nonzero()[:, 0]
        expected_counts = self.negatives * self.sampling_probabilities[candidates[negatives]]
        offsets = torch.log(draw_counts[negatives]) - torch.log(expected_counts)
        # The last entry answers for NO_ROW, which indexes from the end.
        place_of = torch.full((artwork_count + 1,), NO_ROW, device=device)
        place_of[candidates] = torch.arange(len(candidates), device=device)
        target_places = [place_of[rows.to(device)] for rows in targets]
        return candidates, negatives, offsets, place_of[inputs.to(device)], target_places


def _loss_targets(histories: Sequences) -> list[Int64Array]:
    """Targets of the two losses: positive artworks and seen ones; a single entry if all events are positive."""
    kinds = [True] if histories.positive.all() else [True, False]
    return [histories.targets(positive=positive) for positive in kinds]


def interest_inputs(interest_vectors: Tensor, rows: Int64Array) -> tuple[Tensor, Tensor]:
    """Stated interests as the user tower reads them.

    Parameters
    ----------
    interest_vectors
        (interests, text_dim) text vectors.
    rows
        (users,) rows of `interest_vectors`, -1 for users without stated interests.

    Returns
    -------
    tuple[Tensor, Tensor]
        (users, text_dim) vectors, zeros for -1; (users,) whether there is an interest.
    """
    places = torch.from_numpy(rows).to(interest_vectors.device)
    has_interest = places >= 0
    if len(interest_vectors) == 0:
        return interest_vectors.new_zeros(len(rows), interest_vectors.shape[1]), has_interest
    return interest_vectors[places.clamp(min=0)] * has_interest[:, None], has_interest


def encode_users(
    tower: TwoTower,
    artwork_vectors: Tensor,
    interest_vectors: Tensor,
    interest_of: Int64Array,
    histories: Sequences,
    users: Int64Array,
) -> Tensor:
    """User vectors after all events.

    Parameters
    ----------
    tower
        The trained model, in evaluation mode.
    artwork_vectors
        (artworks, dim) artwork vectors.
    interest_vectors
        (interests, text_dim) text vectors of stated interests.
    interest_of
        (all users,) rows of `interest_vectors`, -1 for users without stated interests.
    histories
        Events of all users.
    users
        (users,) rows of `histories` to encode.

    Returns
    -------
    Tensor
        (users, dim), in the order of `users`.
    """
    vectors = artwork_vectors.new_zeros(len(users), tower.shape.dim)
    # Users with similar history lengths share a block, so that padding is small.
    order = np.argsort(histories.lengths[users], kind="stable")
    for start in range(0, len(order), USERS_IN_BLOCK):
        rows = order[start : start + USERS_IN_BLOCK]
        batch = pad_histories(histories, users[rows], tower.shape.max_history)
        interests, has_interest = interest_inputs(interest_vectors, interest_of[users[rows]])
        artworks, signals, gaps = (
            torch.from_numpy(values).to(artwork_vectors.device)
            for values in (batch.artworks, batch.signals, batch.gaps)
        )
        states = tower.user_vectors(interests, has_interest, artwork_vectors[artworks], signals, gaps)
        vectors[rows] = states[torch.arange(len(rows)), torch.from_numpy(batch.lengths)]
    return vectors
