"""Products of eight-bit integers for encoding on a CPU: a float32 tower at a quarter of the memory.

It is faster where the processor has instructions for such products (`code_products.py`), and gives the same vectors elsewhere.

Each output of a linear map has its own scale, and so has each token that enters it (Dettmers et al. 2022, "LLM.int8()",
vector-wise quantization): what else stands in a batch does not change a vector.
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
# Products of so many rows are still in a core's cache when they are scaled.
ROWS_IN_BLOCK = 512
SMALLEST = 1e-12
MAGNITUDE = np.int32(0x7FFFFFFF)


class Int8Linear(nn.Module):
    """A linear map with eight-bit weights and an optional GELU behind it; inputs are rounded token by token. For inference only."""

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
    """Rows (n, in) float32 as codes (n, in) int8, and the bits of each row's largest magnitude (n,) int32.

    `bits` are the rows' own: without the sign they are ordered as the magnitudes are, a NaN above all, and whole numbers'
    largest is found with wide instructions.
    """
    for row in range(rows.shape[0]):
        most = np.int32(0)
        for place in range(rows.shape[1]):
            most = max(most, bits[row, place] & MAGNITUDE)
        largest[row] = most
    peaks = largest.view(np.float32)
    for row in range(rows.shape[0]):
        steps = np.float32(LEVELS) / max(peaks[row], np.float32(SMALLEST))
        for place in range(rows.shape[1]):
            codes[row, place] = np.int8(np.rint(rows[row, place] * steps))


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rescale(products: Any, of_rows: Any, of_outputs: Any, bias: Any, out: Any) -> None:
    """Products (n, out) int32 times the scales of their rows and outputs, plus the bias, into out (n, out) float32."""
    for row in range(out.shape[0]):
        for place in range(out.shape[1]):
            out[row, place] = np.float32(products[row, place]) * of_rows[row] * of_outputs[place] + bias[place]


def quantize_backbone(backbone: nn.Module) -> nn.Module:
    """A copy of the language model with every linear map in eight bits; embeddings, norms and attention stay float32."""
    found = copy.deepcopy(backbone).eval().requires_grad_(False)
    replace_linear(found, lambda linear, gelu: Int8Linear(linear, gelu=gelu))
    return found
