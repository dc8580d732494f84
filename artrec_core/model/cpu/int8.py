"""int8 matrix products for encoding on a CPU: linear maps take a quarter of the memory of float32.

They are faster where the processor has int8 instructions (`code_products.py`). The vectors are the same on every processor.

Each output of a linear map and each input token have a scale of their own (vector-wise quantization, Dettmers et al. 2022,
"LLM.int8()"). So the other texts of a batch do not change a vector.
"""

import copy
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn

from artrec_core.model.code_products import multiply_codes
from artrec_core.model.cpu.onednn import replace_linear

LEVELS = 127
# The products of so many rows are still in a core's cache when they are scaled.
ROWS_IN_BLOCK = 512
SMALLEST = 1e-12
MAGNITUDE = np.int32(0x7FFFFFFF)


class Int8Linear(nn.Module):
    """A linear map with int8 weights, optionally followed by a GELU. Each token is quantized by itself. For inference only."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear, *, gelu: bool = False) -> None:
        super().__init__()
        self.gelu = gelu
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1).clamp_min(SMALLEST) / LEVELS
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8).T.contiguous())
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in) float32 -> (..., out) float32."""
        rows = inputs.reshape(-1, inputs.shape[-1]).contiguous()
        codes, largest = torch.empty(rows.shape, dtype=torch.int8), np.empty(len(rows), np.int32)
        quantize(rows.numpy(), rows.numpy().view(np.int32), codes.numpy(), largest)
        scales = largest.view(np.float32) / np.float32(LEVELS)
        out = torch.empty(len(rows), len(self.scale))
        for first in range(0, len(rows), ROWS_IN_BLOCK):
            block = slice(first, first + ROWS_IN_BLOCK)
            products = torch.empty(len(codes[block]), out.shape[1], dtype=torch.int32)
            multiply_codes(codes[block], self.weight, products)
            rescale(products.numpy(), scales[block], self.scale.numpy(), self.bias.numpy(), out[block].numpy())
            if self.gelu:
                torch.ops.aten.gelu_(out[block])
        return out.view(*inputs.shape[:-1], out.shape[1])


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def quantize(rows: Any, bits: Any, codes: Any, largest: Any) -> None:
    """Quantize rows to int8.

    Parameters
    ----------
    rows
        (n, in) float32.
    bits
        The same memory as int32. Without the sign bit, float32 bits have the order of the magnitudes, with NaN on top. The
        maximum of integers is found with vector instructions.
    codes
        (n, in) int8, receives the codes.
    largest
        (n,) int32, receives the bits of each row's largest magnitude.
    """
    for row in range(rows.shape[0]):
        maximum = np.int32(0)
        for column in range(rows.shape[1]):
            maximum = max(maximum, bits[row, column] & MAGNITUDE)
        largest[row] = maximum
    peaks = largest.view(np.float32)
    for row in range(rows.shape[0]):
        steps = np.float32(LEVELS) / max(peaks[row], np.float32(SMALLEST))
        for column in range(rows.shape[1]):
            codes[row, column] = np.int8(np.rint(rows[row, column] * steps))


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rescale(products: Any, row_scales: Any, output_scales: Any, bias: Any, out: Any) -> None:
    """Multiply int32 products (n, out) by the scales of row and output, add the bias, and write to `out` (n, out) float32."""
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = (
                np.float32(products[row, column]) * row_scales[row] * output_scales[column] + bias[column]
            )


def quantize_backbone(backbone: nn.Module) -> nn.Module:
    """A copy of the language model with int8 linear maps; embeddings, norms and attention stay float32."""
    int8_backbone = copy.deepcopy(backbone).eval().requires_grad_(False)
    replace_linear(int8_backbone, lambda linear, gelu: Int8Linear(linear, gelu=gelu))
    return int8_backbone
