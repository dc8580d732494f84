"""The loss of the user tower: a softmax over works not seen yet, without the table of its logits.

Every position of a batch against every work of a catalogue is a table of some hundred megabytes; autograd would keep it
several times over. Here some rows at a time are made, turned into their gradient and thrown away (the idea of Liger's
fused linear cross-entropy, https://arxiv.org/abs/2410.10989): a step takes three matrix products and one exponential.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from artrec_core.processor import multiplies_bfloat16

# With 4,000 works 2 MB of logits: they stay in a core's cache, and the products are still large enough to be fast.
ROWS_IN_BLOCK = 128


def next_artwork_loss(
    states: Tensor, works: Tensor, negatives: Tensor, offsets: Tensor | None, inputs: Tensor, targets: Tensor
) -> Tensor:
    """Mean cross-entropy of the next works, each against the negatives that its person has not seen before.

    `states` (people, positions, d) user vectors, position j after j events; `works` (n, d); `negatives` (m,) rows of
    `works`, each once, with `offsets` (m,) added to their logits (log of how often a work was drawn over how often it
    is expected to be; none for a whole softmax); `inputs` (people, positions - 1) and `targets` (people, positions)
    rows of `works`, targets -1 where none follows. A target counts once, with no offset, whether or not it was drawn.
    """
    person, position = (targets >= 0).nonzero(as_tuple=True)
    if len(person) == 0:
        return states.sum() * 0.0
    columns = torch.full((len(works),), -1, device=works.device)
    columns[negatives] = torch.arange(len(negatives), device=works.device)
    wanted = targets[person, position]
    queries = F.embedding(person * states.shape[1] + position, states.flatten(0, 1))
    found = _NextWork.apply(  # type: ignore[no-untyped-call]
        queries, works, negatives, offsets, columns[inputs], person, position, wanted, columns[wanted]
    )
    return cast(Tensor, found)


class _NextWork(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        works: Tensor,
        negatives: Tensor,
        offsets: Tensor | None,
        seen: Tensor,
        person: Tensor,
        position: Tensor,
        targets: Tensor,
        own_columns: Tensor,
    ) -> Tensor:
        drawn, own = works[negatives], works[targets]
        half = _half(queries)
        own_logits = (queries * own).sum(-1)
        own_grad, query_grad = torch.empty_like(own_logits), torch.empty_like(queries)
        drawn_half, drawn_grad = drawn.to(half), torch.zeros_like(drawn)
        loss = torch.zeros((), dtype=torch.float64, device=queries.device)
        for start in range(0, len(queries), ROWS_IN_BLOCK):
            rows = slice(start, start + ROWS_IN_BLOCK)
            logits = queries[rows] @ drawn.T
            if offsets is not None:
                logits += offsets  # after the product: within it, a vector is spread out over the table first
            logits.view(-1)[_barred(seen[person[rows]], position[rows], own_columns[rows], len(negatives))] = -torch.inf
            largest = torch.maximum(logits.amax(1), own_logits[rows])
            shares = logits.sub_(largest[:, None]).exp_()
            own_share = (own_logits[rows] - largest).exp()
            total = shares.sum(1) + own_share
            loss += (total.log() + largest - own_logits[rows]).sum()
            shares = shares.to(half)
            own_grad[rows] = own_share / total - 1
            query_grad[rows] = (shares @ drawn_half).to(queries.dtype) / total[:, None]
            drawn_grad += shares.T @ (queries[rows] / total[:, None]).to(half)
        query_grad += own_grad[:, None] * own
        works_grad = torch.zeros_like(works)
        works_grad.index_add_(0, negatives, drawn_grad)
        works_grad.index_add_(0, targets, own_grad[:, None] * queries)
        ctx.save_for_backward(query_grad / len(queries), works_grad / len(queries))
        return (loss / len(queries)).to(queries.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query_grad, works_grad = ctx.saved_tensors
        return grad * query_grad, grad * works_grad, *(None,) * 7


def _barred(seen: Tensor, position: Tensor, own: Tensor, many: int) -> Tensor:
    """Places of a block's flat table of logits that hold a work met before the row's position, or its target itself."""
    rows = torch.arange(len(position), device=seen.device)[:, None] * many
    events = torch.arange(seen.shape[1], device=seen.device)
    met = (events < position[:, None]) & (seen >= 0)
    return torch.cat([(rows + seen)[met], (rows[:, 0] + own)[own >= 0]])


def _half(queries: Tensor) -> torch.dtype:
    """What the products of the gradient are made in: shares of at most 1 lose nothing that a drawn batch has to lose."""
    fast = queries.dtype == torch.float32 and multiplies_bfloat16(str(queries.device))
    return torch.bfloat16 if fast else queries.dtype
