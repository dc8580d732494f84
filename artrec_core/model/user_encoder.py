"""The user tower: a causal transformer over what a person did, beside a plain memory of the works themselves."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Decay of each memory an event, before training moves it: the whole history, the last twenty works, the last three.
MEMORIES = (0.999, 0.95, 0.7)


class Block(nn.Module):
    """A pre-norm transformer layer whose attention sees the past only."""

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
        """(people, positions, dim) -> the same shape."""
        people, positions, dim = x.shape
        heads = self.queries_keys_values(self.attention_norm(x)).view(people, positions, 3, self.heads, -1)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        # Dropout stands on what a layer adds, not inside it: on attention weights it would cost the fused kernel, and
        # drawing all its random numbers took a third of a step on a CPU.
        seen = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self._dropped(self.attended(seen.transpose(1, 2).reshape(people, positions, dim)))
        return x + self._dropped(self.narrowed(F.gelu(self.widened(self.norm(x)))))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class Memory(nn.Module):
    """Sums of the works a person met, weighted by what the person did and how long ago, each through its own map.

    A transformer has to learn that people want what resembles what they took up; here it is given, so few events suffice.
    What somebody said of their interests is remembered as the first of the works, with a weight of its own.
    """

    def __init__(self, dim: int, kinds: int) -> None:
        super().__init__()
        self.weights = nn.Embedding(kinds, 1)
        self.stated_weight = nn.Parameter(torch.zeros(1))
        self.decays = nn.Parameter(torch.logit(torch.tensor(MEMORIES)))
        self.maps = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in MEMORIES)

    def forward(self, first: Tensor, has_interest: Tensor, works: Tensor, kinds: Tensor) -> Tensor:
        """Memories before the first and after each event, (people, positions + 1, dim), from what `UserEncoder.forward` reads."""
        places = torch.arange(works.shape[1] + 1, device=works.device)
        ages = places[:, None] - places
        stated = torch.sigmoid(self.stated_weight) * has_interest[:, None]
        weights = torch.cat([stated, torch.sigmoid(self.weights(kinds))[..., 0]], dim=1)
        weighted = weights[..., None] * torch.cat([first[:, None], works], dim=1)
        out = works.new_zeros(())
        for decay, mapped in zip(torch.sigmoid(self.decays), self.maps, strict=True):
            # The same for everybody, so that it is one product and no table a person.
            shares = (ages >= 0) * decay ** ages.clamp(min=0)
            # By the root of the sum: more evidence speaks louder, but not in proportion.
            evidence = (weights @ shares.T + 0.5).sqrt()
            out = out + mapped((shares @ weighted) / evidence[..., None])
        return out


class UserEncoder(nn.Module):
    """Reads a first token (stated interests, or the learned default) and then one token an event.

    Sequences are padded at their end: attention is causal, so no position sees the padding and no mask is needed.
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
        self.apply(_small)
        for vector in (self.start, self.interest):
            nn.init.normal_(vector, std=0.02)
        for mapped in self.memory.maps:
            with torch.no_grad():
                mapped.weight.copy_(0.3 * torch.eye(dim))  # type: ignore[operator]

    def forward(self, first: Tensor, has_interest: Tensor, works: Tensor, kinds: Tensor, gaps: Tensor) -> Tensor:
        """The person's vector before the first event and after each one, (people, positions + 1, dim).

        `first` (people, dim) are the stated interests, as a work with such a text, read where `has_interest` (people,) is true;
        `works` (people, positions, dim), `kinds` and `gaps` (people, positions).
        """
        opening = torch.where(has_interest[:, None], first + self.interest, self.start.expand_as(first))
        events = works + self.kinds(kinds) + self.gaps(gaps)
        x = torch.cat([opening[:, None], events], dim=1)
        x = x + self.positions.weight[: x.shape[1]]
        x = F.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        remembered = F.dropout(self.memory(first, has_interest, works, kinds), self.dropout, self.training)
        out: Tensor = self.norm(x) + remembered
        return out


def _small(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
