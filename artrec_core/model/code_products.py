"""Exact products of eight-bit codes: torch's int8 product where the processor has instructions for it, else float32.

Without such instructions torch multiplies number by number: a core of an AMD EPYC (Zen 3, AVX2) makes 1 to 3 billion
operations a second of it, and 60 to 90 billion of the float32 product, which gives the same whole numbers.
"""

from functools import lru_cache

import torch
from torch import Tensor

from artrec_core.processor import multiplies_int8

# 127 * 127 * 1,024 < 2^24: the sums of so many dimensions are exact in float32, in any order.
EXACT_DIMENSIONS = 1024


def code_products_are_fast() -> bool:
    """Whether codes are multiplied by instructions made for them, faster than float32."""
    return multiplies_int8() and _is_exact()


def multiply_codes(rows: Tensor, columns: Tensor, out: Tensor) -> None:
    """Products of int8 rows (n, d) and columns (d, m) into out (n, m) int32, exact on every processor."""
    if code_products_are_fast():
        torch._int_mm(rows, columns, out=out)
        return
    out.zero_()
    for first in range(0, rows.shape[1], EXACT_DIMENSIONS):
        some = slice(first, first + EXACT_DIMENSIONS)
        out += torch.mm(rows[:, some].float(), columns[some].float()).to(torch.int32)


@lru_cache(maxsize=1)
def _is_exact() -> bool:
    """Whether torch has the product, and it is exact at the extremes, where 16-bit sums would saturate."""
    largest = torch.iinfo(torch.int8).max
    signs = torch.where(torch.arange(64 * 512).view(64, 512) % 7 < 3, -largest, largest)
    signs[:2], signs[2:4] = largest, -largest
    codes, out = signs.to(torch.int8), torch.empty((64, 64), dtype=torch.int32)
    try:
        torch._int_mm(codes, codes.T, out=out)
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(out, (signs @ signs.T).to(torch.int32))
