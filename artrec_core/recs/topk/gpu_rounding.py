"""Vectors rounded for a processor's matrix units, and bounds on what this rounding changed.

Vectors are first scaled by powers of two, which changes no ranking. Each user is scaled so that its length is in [1/2,
1). All items share one scale, chosen so that the longest item is in that range. So nothing can overflow, whatever the
lengths were.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from artrec_core.arrays import Float32Array

# 65,536 rows x 384 dimensions x 8 bytes = 200 MB: a float64 copy is made of so many rows at once, never of all items.
ROWS_IN_STEP = 65_536
# Items whose lengths differ by less than a factor of 2^(1/16) are in random order.
STEPS_IN_OCTAVE = 16
# Lengths are sums in float64. This factor makes them slightly longer, so that no bound is too small.
LENGTH_MARGIN = 1 + 2.0**-30


@dataclass(frozen=True)
class RoundedVectors:
    """Rounded rows (n, width), with zeros after their dimensions, and bounds for each row.

    `lengths` (n,) are the lengths before rounding, `lost` (n,) the lengths of the difference that rounding made, and
    `scales` (n,) the powers of two that the rows were multiplied by. All are float64; `lengths` and `lost` are upper
    bounds in scaled units.
    """

    values: Tensor
    lengths: Tensor
    lost: Tensor
    scales: Tensor


def round_vectors(vectors: Tensor, width: int, dtype: torch.dtype, *, scales: Tensor | None = None) -> RoundedVectors:
    """Scale float32 rows and round them.

    Parameters
    ----------
    vectors
        (n, d) float32.
    width
        The number of columns of the result, d or more.
    dtype
        What to round to.
    scales
        The factor for each row, (n,). None: the power of two that brings its own length into [1/2, 1).
    """
    rows, dim = vectors.shape
    values = torch.zeros((rows, width), dtype=dtype, device=vectors.device)
    lengths, lost = (torch.empty(rows, dtype=torch.float64, device=vectors.device) for _ in range(2))
    if scales is None:
        scales = length_scales(row_lengths(vectors))
    for top in range(0, rows, ROWS_IN_STEP):
        step = slice(top, top + ROWS_IN_STEP)
        exact = vectors[step].double() * scales[step, None]
        values[step, :dim] = exact.to(dtype)
        lengths[step] = exact.norm(dim=1) * LENGTH_MARGIN
        lost[step] = (exact - values[step, :dim].double()).norm(dim=1) * LENGTH_MARGIN
    return RoundedVectors(values, lengths, lost, scales)


def row_lengths(vectors: Tensor) -> Tensor:
    """Lengths (n,) of float32 rows, in float64."""
    steps = [vectors[top : top + ROWS_IN_STEP].double().norm(dim=1) for top in range(0, len(vectors), ROWS_IN_STEP)]
    return torch.cat(steps) if steps else vectors.new_empty(0, dtype=torch.float64)


def length_scales(lengths: Tensor) -> Tensor:
    """Powers of two that bring these lengths into [1/2, 1); 1 for a length of zero."""
    exponents = torch.frexp(lengths).exponent
    return torch.where(lengths > 0, torch.ldexp(torch.ones_like(lengths), -exponents), 1.0)


def longest_first_order(lengths: Tensor, seed: int = 0) -> Tensor:
    """An order of the rows (n,) with long rows first, and rows of similar length in random order.

    Long rows raise the floors early, and the bound for a tile of items depends on its longest row. The random order
    spreads similar items over the tiles, so that a sample represents all of them.
    """
    permutation = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed)).to(lengths.device)
    octaves = torch.log2(lengths[permutation].clamp_min(2.0**-400)) * STEPS_IN_OCTAVE
    return permutation[torch.sort(torch.floor(octaves), descending=True, stable=True).indices]


def copy_to_device(vectors: Float32Array, device: torch.device) -> Tensor:
    """A copy of float32 rows on the device. It is read in steps, so that no memory map is held whole in main memory."""
    copy = torch.empty(vectors.shape, dtype=torch.float32, device=device)
    for top in range(0, len(vectors), ROWS_IN_STEP):
        step = torch.from_numpy(np.array(vectors[top : top + ROWS_IN_STEP], dtype=np.float32))
        copy[top : top + ROWS_IN_STEP] = step.to(device)
    return copy
