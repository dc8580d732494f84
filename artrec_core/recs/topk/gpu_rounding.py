"""Vectors rounded for a processor's matrix units, and what that rounding may have cost.

Vectors are first scaled by powers of two, which changes no order: every person's so that its length lies in [1/2, 1), all
artworks together so that the longest does. Nothing can then overflow, whatever the lengths were.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from artrec_core.arrays import Float32Array

# 65,536 rows x 384 dimensions x 8 bytes = 200 MB: float64 never stands there for all artworks at once.
ROWS_IN_STEP = 65_536
# Artworks whose lengths differ by less than a sixteenth of a factor of two stand in random order.
STEPS_IN_OCTAVE = 16
# Lengths are sums in float64; a hair more, so that no bound is ever too short.
HAIR = 1 + 2.0**-30


@dataclass(frozen=True)
class Rounded:
    """Rows (n, width) as they are multiplied, zeros beyond their dimensions, and what is known of each row.

    `lengths` (n,) are the lengths before rounding, `lost` (n,) the lengths of what rounding took away, `scales` (n,) the powers
    of two the rows were multiplied by; all float64 upper bounds, the first two in scaled units.
    """

    values: Tensor
    lengths: Tensor
    lost: Tensor
    scales: Tensor


def rounded(vectors: Tensor, width: int, dtype: torch.dtype, *, scales: Tensor | None = None) -> Rounded:
    """These float32 rows (n, d), scaled (each by its own length where no `scales` are given) and rounded to `dtype`."""
    rows, dim = vectors.shape
    values = torch.zeros((rows, width), dtype=dtype, device=vectors.device)
    lengths, lost = (torch.empty(rows, dtype=torch.float64, device=vectors.device) for _ in range(2))
    if scales is None:
        scales = scales_of(lengths_of(vectors))
    for top in range(0, rows, ROWS_IN_STEP):
        some = slice(top, top + ROWS_IN_STEP)
        exact = vectors[some].double() * scales[some, None]
        values[some, :dim] = exact.to(dtype)
        lengths[some] = exact.norm(dim=1) * HAIR
        lost[some] = (exact - values[some, :dim].double()).norm(dim=1) * HAIR
    return Rounded(values, lengths, lost, scales)


def lengths_of(vectors: Tensor) -> Tensor:
    """Lengths (n,) of float32 rows, in float64."""
    steps = [vectors[top : top + ROWS_IN_STEP].double().norm(dim=1) for top in range(0, len(vectors), ROWS_IN_STEP)]
    return torch.cat(steps) if steps else vectors.new_empty(0, dtype=torch.float64)


def scales_of(lengths: Tensor) -> Tensor:
    """Powers of two that bring these lengths into [1/2, 1); 1 for a length of zero."""
    exponents = torch.frexp(lengths).exponent
    return torch.where(lengths > 0, torch.ldexp(torch.ones_like(lengths), -exponents), 1.0)


def longest_first(lengths: Tensor, seed: int = 0) -> Tensor:
    """An order of the rows (n,) in which long ones come first, and those about as long as each other in random order.

    The longest raise the bar early, and the bound for a tile of artworks is as tight as its longest; chance spreads
    artworks that resemble each other over tiles, so that a sample stands for all of them.
    """
    shuffled = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed)).to(lengths.device)
    octaves = torch.log2(lengths[shuffled].clamp_min(2.0**-400)) * STEPS_IN_OCTAVE
    return shuffled[torch.sort(torch.floor(octaves), descending=True, stable=True).indices]


def on_device(vectors: Float32Array, device: torch.device) -> Tensor:
    """A copy of float32 rows on the device, read in steps (a memory map is never held whole in ordinary memory)."""
    copied = torch.empty(vectors.shape, dtype=torch.float32, device=device)
    for top in range(0, len(vectors), ROWS_IN_STEP):
        step = torch.from_numpy(np.array(vectors[top : top + ROWS_IN_STEP], dtype=np.float32))
        copied[top : top + ROWS_IN_STEP] = step.to(device)
    return copied
