"""Vectors quantized to int8 codes, and how far a product of codes can be from the true score.

An item v becomes codes q and a scale s, with v - m = s q + r. The shift m is the same for all items, so it adds the
same number to all scores of a user. A user u becomes codes p and a scale t, with u = t p + e. The product p . q is
exact in int32 and several times faster than a float32 product. By Cauchy-Schwarz

    |u . v - (t s p . q + u . m)| <= |t p| |r| + |e| |v - m|,

where every length on the right is measured, not estimated. Dimensions are first scaled by powers of two: up for the
items, down for the users, or the reverse. Then both sides have a similar spread in each dimension. This changes no
product. Without it, one dimension with large values would make the codes of all others coarse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Float64Array, Int32Array

Loop = TypeVar("Loop", bound=Callable[..., Any])
Codes: TypeAlias = npt.NDArray[np.int8]

# The items of a group share a scale, so one whole-number threshold per group says which of them are still possible.
ITEMS_IN_GROUP = 128
ROWS_IN_SAMPLE = 4096
LARGEST_CODE = 127
DIMENSION_ALIGNMENT = 16


def compile_reordered(loop: Loop) -> Loop:
    """Compile a loop whose sums and maxima may be taken in any order. It must compute no canonical scores.

    The vectors must be finite.
    """
    fastmath = {"reassoc", "nsz", "nnan", "contract"}
    return cast(Loop, numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=fastmath)(loop))


@dataclass(frozen=True)
class Basis:
    """What items and users share, float64: the shift (d,) of the items, and their gains (d,), which are powers of two.

    Items are multiplied by the gains, users are divided by them.
    """

    shift: Float64Array
    gains: Float64Array


@dataclass(frozen=True)
class QuantizedItems:
    """The codes (I, d) int8 of all items, in groups of similar scale.

    `order` (I,) int32 is the row of `item_vectors` at each position. `scales`, `residues` and `lengths` (groups,)
    float64 are s, the largest |r| and the largest |v - m| of each group; `longest` is the largest of the lengths.
    """

    basis: Basis
    order: Int32Array
    codes: Codes
    scales: Float64Array
    residues: Float64Array
    lengths: Float64Array
    longest: float


@dataclass(frozen=True)
class QuantizedUsers:
    """The codes (U, d) int8 of users, and five numbers of each user, (U,) float64.

    `scales` are t, `lengths` |t p|, `residues` |e|, `shares` u . m. `tails` bound the rounding errors of float64 sums
    and of the canonical score in float32.
    """

    codes: Codes
    scales: Float64Array
    lengths: Float64Array
    residues: Float64Array
    shares: Float64Array
    tails: Float64Array


def shared_basis(users: Float32Array, items: Float32Array) -> Basis:
    """The basis for a sample of users and items. Any basis gives correct bounds; a good basis makes them tight."""
    item_sample = items[:: max(1, len(items) // ROWS_IN_SAMPLE)].astype(np.float64)
    user_sample = users[:: max(1, len(users) // ROWS_IN_SAMPLE)].astype(np.float64)
    shift = item_sample.mean(axis=0)
    item_spread = np.sqrt(((item_sample - shift) ** 2).mean(axis=0))
    user_spread = np.sqrt((user_sample**2).mean(axis=0))
    has_spread = (item_spread > 0) & (user_spread > 0)
    powers = np.zeros(len(shift))
    powers[has_spread] = np.round((np.log2(user_spread[has_spread]) - np.log2(item_spread[has_spread])) / 2)
    # Without this limit, a side with almost no spread would be scaled out of float64's range.
    return Basis(shift, 2.0 ** np.clip(powers, -60, 60))


def quantize_items(
    items: Float32Array, basis: Basis, items_in_block: int, run_loop: Callable[..., None]
) -> QuantizedItems:
    """Quantize all items. Every block of codes gets groups of large and of small scale.

    Parameters
    ----------
    items
        (I, d) float32, finite.
    basis
        The shift and the gains, see `shared_basis`.
    items_in_block
        How many items are multiplied at once.
    run_loop
        Called as `run_loop(loop, rows)`; runs `loop(begin, end)` over all rows.
    """
    item_count, dim = items.shape
    peaks = np.empty(item_count)
    run_loop(lambda begin, end: write_peaks(items, basis.shift, basis.gains, peaks, begin, end), item_count)
    order = deal_groups(np.argsort(-peaks, kind="stable").astype(np.int32), items_in_block)
    groups = -(-item_count // ITEMS_IN_GROUP)
    codes = zero_codes(item_count, dim)
    scales, residues, lengths = np.empty(groups), np.empty(groups), np.empty(groups)
    outputs = (codes, scales, residues, lengths)
    run_loop(
        lambda begin, end: write_item_codes(items, order, basis.shift, basis.gains, peaks, *outputs, begin, end), groups
    )
    return QuantizedItems(basis, order, *outputs, longest=float(lengths.max(initial=0.0)))


def zero_codes(rows: int, dim: int) -> Codes:
    """Codes of zero, (rows, d or more). The dimensions are padded to a multiple of 16, which multiplies faster."""
    return np.zeros((rows, -(-dim // DIMENSION_ALIGNMENT) * DIMENSION_ALIGNMENT), np.int8)


def deal_groups(order: Int32Array, items_in_block: int) -> Int32Array:
    """Deal the full groups of an order (I,) to the blocks in turn. A last group that is not full stays last."""
    grouped_count = len(order) - len(order) % ITEMS_IN_GROUP
    groups = order[:grouped_count].reshape(-1, ITEMS_IN_GROUP)
    blocks = max(1, -(-len(order) // items_in_block))
    return np.concatenate([*(groups[block::blocks].ravel() for block in range(blocks)), order[grouped_count:]])


def quantize_users(
    users: Float32Array, user_norms: Float64Array, longest_item: float, items: QuantizedItems
) -> QuantizedUsers:
    """Quantize a block of users.

    Parameters
    ----------
    users
        (U, d) float32, finite.
    user_norms
        Lengths of the users, (U,).
    longest_item
        The largest length |v| of an item.
    items
        The quantized items, whose basis the users share.
    """
    user_count, dim = users.shape
    quantized = QuantizedUsers(zero_codes(user_count, dim), *(np.empty(user_count) for _ in range(5)))
    write_user_codes(
        users, items.basis.shift, 1.0 / items.basis.gains,
        quantized.codes, quantized.scales, quantized.lengths, quantized.residues, quantized.shares,
    )  # fmt: skip
    # float64 sums are within d * 2^-53 of the true sums, far below 2^-22. 2^-120 covers scores below float32's range.
    item_length = longest_item + float(np.linalg.norm(items.basis.shift))
    quantized.tails[:] = (
        2.0**-22 * (user_norms * item_length + (quantized.lengths + quantized.residues) * items.longest) + 2.0**-120
    )
    return quantized


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})  # type: ignore[untyped-decorator]
def write_squared_lengths(vectors: Any, squares: Any, begin: Any, end: Any) -> None:
    """Write the squared length of each row. NaN and infinity in a row give NaN or infinity.

    The sums are float64, which squares of float32 numbers cannot overflow.
    """
    for row in range(begin, end):
        square = 0.0
        for j in range(vectors.shape[1]):
            square += np.float64(vectors[row, j]) * np.float64(vectors[row, j])
        squares[row] = square


@compile_reordered
def write_peaks(items: Any, shift: Any, gains: Any, peaks: Any, begin: Any, end: Any) -> None:
    """Write the largest absolute coordinate of each shifted and scaled item."""
    for row in range(begin, end):
        peak = 0.0
        for j in range(items.shape[1]):
            peak = max(peak, abs((np.float64(items[row, j]) - shift[j]) * gains[j]))
        peaks[row] = peak


@compile_reordered
def write_item_codes(
    items: Any, order: Any, shift: Any, gains: Any, peaks: Any,
    codes: Any, scales: Any, residues: Any, lengths: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Write the codes of the groups begin to end.

    Lengths are made slightly longer, so that rounding never lowers a bound.
    """
    dim = items.shape[1]
    for group in range(begin, end):
        begin_position, end_position = group * ITEMS_IN_GROUP, min((group + 1) * ITEMS_IN_GROUP, items.shape[0])
        peak = 0.0
        for position in range(begin_position, end_position):
            peak = max(peak, peaks[order[position]])
        scale = peak / LARGEST_CODE if peak > 0.0 else 1.0
        inverse = 1.0 / scale
        residue = length = 0.0
        for position in range(begin_position, end_position):
            row = order[position]
            squared_residue = squared_length = 0.0
            for j in range(dim):
                value = (np.float64(items[row, j]) - shift[j]) * gains[j]
                code = np.rint(value * inverse)
                codes[position, j] = np.int8(np.int32(code))
                difference = value - scale * code
                squared_residue += difference * difference
                squared_length += value * value
            residue, length = max(residue, squared_residue), max(length, squared_length)
        scales[group] = scale
        residues[group] = np.sqrt(residue) * (1.0 + 2.0**-30)
        lengths[group] = np.sqrt(length) * (1.0 + 2.0**-30)


@compile_reordered
def write_user_codes(
    users: Any, shift: Any, gains: Any, codes: Any, scales: Any, lengths: Any, residues: Any, shares: Any
) -> None:
    """Write the codes of users, as `write_item_codes` does for items. Each user has a scale."""
    for row in range(users.shape[0]):
        peak = share = 0.0
        for j in range(users.shape[1]):
            peak = max(peak, abs(np.float64(users[row, j]) * gains[j]))
            share += np.float64(users[row, j]) * shift[j]
        scale = peak / LARGEST_CODE if peak > 0.0 else 1.0
        inverse = 1.0 / scale
        squared_residue = squared_length = 0.0
        for j in range(users.shape[1]):
            value = np.float64(users[row, j]) * gains[j]
            code = np.rint(value * inverse)
            codes[row, j] = np.int8(np.int32(code))
            difference = value - scale * code
            squared_residue += difference * difference
            squared_length += (scale * code) * (scale * code)
        scales[row], shares[row] = scale, share
        residues[row] = np.sqrt(squared_residue) * (1.0 + 2.0**-30)
        lengths[row] = np.sqrt(squared_length) * (1.0 + 2.0**-30)
