"""The loss of the user tower: a softmax over artworks not yet seen, without a stored table of logits.

A table of every position of a batch and every artwork of a catalogue takes some hundred megabytes, and autograd would store
it several times. Here a block of rows is computed, turned into its gradient and discarded: three matrix products and one
exponential. The idea is that of Liger's fused linear cross-entropy, https://arxiv.org/abs/2410.10989.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from artrec_core.processor import multiplies_bfloat16

# With 4,000 artworks, 2 MB of logits: they stay in a core's cache, and the products are large enough to be fast.
ROWS_IN_BLOCK = 128


def next_artwork_loss(
    states: Tensor, artworks: Tensor, negatives: Tensor, offsets: Tensor | None, inputs: Tensor, targets: Tensor
) -> Tensor:
    """Mean cross-entropy of the next artworks, each against the negatives that its user has not seen before.

    A target counts once and without offset, also if it is one of the negatives.

    Parameters
    ----------
    states
        (users, positions, d) user vectors; position j is after j events.
    artworks
        (n, d) artwork vectors.
    negatives
        (m,) distinct rows of `artworks`.
    offsets
        (m,) added to the logits of the negatives: log(times drawn / expected number of times). None for a full softmax.
    inputs
        (users, positions - 1) rows of `artworks`: the events.
    targets
        (users, positions) rows of `artworks`, -1 for no target.
    """
    users, positions = (targets >= 0).nonzero(as_tuple=True)
    if len(users) == 0:
        return states.sum() * 0.0
    column_of = torch.full((len(artworks),), -1, device=artworks.device)
    column_of[negatives] = torch.arange(len(negatives), device=artworks.device)
    target_rows = targets[users, positions]
    queries = F.embedding(users * states.shape[1] + positions, states.flatten(0, 1))
    loss = _NextArtworkLoss.apply(  # type: ignore[no-untyped-call]
        queries, artworks, negatives, offsets, column_of[inputs], users, positions, target_rows, column_of[target_rows]
    )
    return cast(Tensor, loss)


class _NextArtworkLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        artworks: Tensor,
        negatives: Tensor,
        offsets: Tensor | None,
        seen_columns: Tensor,
        users: Tensor,
        positions: Tensor,
        targets: Tensor,
        target_columns: Tensor,
    ) -> Tensor:
        negative_vectors, target_vectors = artworks[negatives], artworks[targets]
        dtype = _gradient_dtype(queries)
        target_logits = (queries * target_vectors).sum(-1)
        target_grad, query_grad = torch.empty_like(target_logits), torch.empty_like(queries)
        cast_negatives, negative_grad = negative_vectors.to(dtype), torch.zeros_like(negative_vectors)
        loss = torch.zeros((), dtype=torch.float64, device=queries.device)
        for start in range(0, len(queries), ROWS_IN_BLOCK):
            rows = slice(start, start + ROWS_IN_BLOCK)
            logits = queries[rows] @ negative_vectors.T
            if offsets is not None:
                logits += offsets  # not inside the product: torch would copy the vector to the whole table first
            excluded = _excluded_places(
                seen_columns[users[rows]], positions[rows], target_columns[rows], len(negatives)
            )
            logits.view(-1)[excluded] = -torch.inf
            largest = torch.maximum(logits.amax(1), target_logits[rows])
            exponentials = logits.sub_(largest[:, None]).exp_()
            target_exponential = (target_logits[rows] - largest).exp()
            total = exponentials.sum(1) + target_exponential
            loss += (total.log() + largest - target_logits[rows]).sum()
            exponentials = exponentials.to(dtype)
            target_grad[rows] = target_exponential / total - 1
            query_grad[rows] = (exponentials @ cast_negatives).to(queries.dtype) / total[:, None]
            negative_grad += exponentials.T @ (queries[rows] / total[:, None]).to(dtype)
        query_grad += target_grad[:, None] * target_vectors
        artwork_grad = torch.zeros_like(artworks)
        artwork_grad.index_add_(0, negatives, negative_grad)
        artwork_grad.index_add_(0, targets, target_grad[:, None] * queries)
        ctx.save_for_backward(query_grad / len(queries), artwork_grad / len(queries))
        return (loss / len(queries)).to(queries.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query_grad, artwork_grad = ctx.saved_tensors
        return grad * query_grad, grad * artwork_grad, *(None,) * 7


def _excluded_places(seen_columns: Tensor, positions: Tensor, target_columns: Tensor, width: int) -> Tensor:
    """Places in a block's flattened logits (rows x width) of artworks seen before the row's position, and of its target."""
    rows = torch.arange(len(positions), device=seen_columns.device)[:, None] * width
    events = torch.arange(seen_columns.shape[1], device=seen_columns.device)
    is_seen = (events < positions[:, None]) & (seen_columns >= 0)
    return torch.cat([(rows + seen_columns)[is_seen], (rows[:, 0] + target_columns)[target_columns >= 0]])


def _gradient_dtype(queries: Tensor) -> torch.dtype:
    """The type of the gradient's products. Rounding to bfloat16 is small beside the noise of a random batch."""
    fast = queries.dtype == torch.float32 and multiplies_bfloat16(str(queries.device))
    return torch.bfloat16 if fast else queries.dtype
