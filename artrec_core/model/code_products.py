"""Exact products of int8 matrices: torch's int8 product where the processor has instructions for it, else float32.

Without such instructions, torch multiplies number by number. A core of an AMD EPYC (Zen 3, AVX2) then makes 1 to 3 billion
operations per second, but 60 to 90 billion in float32, which gives the same integers.
"""

import logging
from functools import lru_cache

import torch
from torch import Tensor

from artrec_core.processor import multiplies_int8

log = logging.getLogger("artrec.model")

# 127 * 127 * 1,024 < 2^24: sums over so many dimensions are exact in float32, in any order.
EXACT_DIMENSIONS = 1024


def code_products_are_fast() -> bool:
    """Whether products of codes use int8 instructions, which are faster than float32."""
    return multiplies_int8() and _is_exact()


def multiply_codes(rows: Tensor, columns: Tensor, out: Tensor) -> None:
    """Multiply int8 matrices; the result is exact on every processor.

    Parameters
    ----------
    rows
        (n, d) int8.
    columns
        (d, m) int8.
    out
        (n, m) int32, receives the products.
    """
    if code_products_are_fast():
        _multiply_int8(rows, columns, out)
        return
    out.zero_()
    for first in range(0, rows.shape[1], EXACT_DIMENSIONS):
        block = slice(first, first + EXACT_DIMENSIONS)
        out += torch.mm(rows[:, block].float(), columns[block].float()).to(torch.int32)


def _multiply_int8(rows: Tensor, columns: Tensor, out: Tensor) -> None:
    # Private; torch 2.13 has it, and `_is_exact` tests it before the first use. torch has no public int8 product.
    torch._int_mm(rows, columns, out=out)


@lru_cache(maxsize=1)
def _is_exact() -> bool:
    """Whether torch's int8 product exists and is exact for extreme codes, where 16-bit sums would saturate."""
    largest = torch.iinfo(torch.int8).max
    signs = torch.where(torch.arange(64 * 512).view(64, 512) % 7 < 3, -largest, largest)
    signs[:2], signs[2:4] = largest, -largest
    codes, out = signs.to(torch.int8), torch.empty((64, 64), dtype=torch.int32)
    try:
        _multiply_int8(codes, codes.T, out)
        is_exact = torch.equal(out, (signs @ signs.T).to(torch.int32))
    except (AttributeError, RuntimeError, TypeError):
        is_exact = False
    if not is_exact:
        log.info("torch's int8 product is missing or not exact in this version; float32 products take its place")
    return is_exact
