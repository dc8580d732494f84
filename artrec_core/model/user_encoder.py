"""The user tower: a causal transformer over the user's events, plus a weighted memory of their artworks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Initial decay for each event of the three memories: the whole history, the last twenty artworks, the last three.
INITIAL_DECAYS = (0.999, 0.95, 0.7)


class Block(nn.Module):
    """A pre-norm transformer layer with causal attention."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(dim)
        self.queries_keys_values = nn.Linear(dim, 3 * dim)
        self.attended = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.widened = nn.Linear(dim, 4 * dim)
        self.narrowed = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(users, positions, dim) -> the same shape."""
        users, positions, dim = x.shape
        heads = self.queries_keys_values(self.attention_norm(x)).view(users, positions, 3, self.heads, -1)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        # Dropout applies to what a layer adds, not to attention weights: there it would prevent the fused kernel, and
        # drawing its random numbers took a third of a step on a CPU.
        attention = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self._drop_out(self.attended(attention.transpose(1, 2).reshape(users, positions, dim)))
        return x + self._drop_out(self.narrowed(F.gelu(self.widened(self.norm(x)))))

    def _drop_out(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class Memory(nn.Module):
    """Decaying sums of the artworks in a user's events, one for each decay, with a linear map each.

    An artwork's weight depends on the signal of its event and on the number of events since. A transformer must learn that
    users want artworks like those they chose. The memory has this built in, so few events suffice. The stated interest
    counts as the first artwork, with a weight of its own.
    """

    def __init__(self, dim: int, kinds: int) -> None:
        super().__init__()
        self.weights = nn.Embedding(kinds, 1)
        self.stated_weight = nn.Parameter(torch.zeros(1))
        self.decays = nn.Parameter(torch.logit(torch.tensor(INITIAL_DECAYS)))
        self.maps = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in INITIAL_DECAYS)

    def forward(self, first: Tensor, has_interest: Tensor, artworks: Tensor, kinds: Tensor) -> Tensor:
        """Memories before the first event and after each event, (users, positions + 1, dim).

        Parameters are those of `UserEncoder.forward`.
        """
        places = torch.arange(artworks.shape[1] + 1, device=artworks.device)
        ages = places[:, None] - places
        interest_weight = torch.sigmoid(self.stated_weight) * has_interest[:, None]
        weights = torch.cat([interest_weight, torch.sigmoid(self.weights(kinds))[..., 0]], dim=1)
        vectors = weights[..., None] * torch.cat([first[:, None], artworks], dim=1)
        memory = artworks.new_zeros(())
        for decay, linear in zip(torch.sigmoid(self.decays), self.maps, strict=True):
            # The same for all users: one matrix product, no table for each user.
            shares = (ages >= 0) * decay ** ages.clamp(min=0)
            # Division by the square root: more evidence makes the memory larger, but not proportionally.
            evidence = (weights @ shares.T + 0.5).sqrt()
            memory = memory + linear((shares @ vectors) / evidence[..., None])
        return memory


class UserEncoder(nn.Module):
    """Reads a first token (the stated interest, or a learned default), then one token for each event.

    Sequences are padded at their end. Attention is causal, so no position attends to padding and no mask is needed.

    Parameters
    ----------
    dim
        Size of the vectors.
    layers, heads, dropout
        Of the transformer; `dropout` also applies to its input and to the memory.
    positions
        Largest number of events.
    kinds, gaps
        Number of distinct signals and of gap buckets.
    """

    def __init__(
        self, *, dim: int, layers: int, heads: int, dropout: float, positions: int, kinds: int, gaps: int
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.start = nn.Parameter(torch.zeros(dim))
        self.interest = nn.Parameter(torch.zeros(dim))
        self.kinds = nn.Embedding(kinds, dim)
        self.gaps = nn.Embedding(gaps, dim)
        self.positions = nn.Embedding(positions + 1, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.memory = Memory(dim, kinds)
        self.apply(_init_weights)
        for vector in (self.start, self.interest):
            nn.init.normal_(vector, std=0.02)
        for linear in self.memory.maps:
            with torch.no_grad():
                linear.weight.copy_(0.3 * torch.eye(dim))  # type: ignore[operator]

    def forward(self, first: Tensor, has_interest: Tensor, artworks: Tensor, kinds: Tensor, gaps: Tensor) -> Tensor:
        """User states before the first event and after each event.

        Parameters
        ----------
        first
            (users, dim) the stated interest as an artwork vector.
        has_interest
            (users,) whether `first` is read.
        artworks
            (users, positions, dim) artwork vectors of the events.
        kinds, gaps
            (users, positions) signals and gap buckets of the events.

        Returns
        -------
        Tensor
            (users, positions + 1, dim).
        """
        opening = torch.where(has_interest[:, None], first + self.interest, self.start.expand_as(first))
        events = artworks + self.kinds(kinds) + self.gaps(gaps)
        x = torch.cat([opening[:, None], events], dim=1)
        x = x + self.positions.weight[: x.shape[1]]
        x = F.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        memory = F.dropout(self.memory(first, has_interest, artworks, kinds), self.dropout, self.training)
        states: Tensor = self.norm(x) + memory
        return states


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
