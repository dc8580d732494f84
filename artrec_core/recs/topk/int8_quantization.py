"""Vectors as whole numbers of eight bits, and how far a product of such codes can lie from the true score.

A work v becomes the codes q and a scale s with v - m = s q + r (m a shift shared by all works: it adds the same to every
score of a person); a person u becomes p and t with u = t p + e. The product p . q is exact in int32, several times
faster than one of float32, and by Cauchy-Schwarz

    |u . v - (t s p . q + u . m)| <= |t p| |r| + |e| |v - m|,

where every length on the right is that of vectors at hand, not an estimate. Dimensions are first scaled by powers of two
(down on one side, up on the other) so that both sides have the same spread in each, which changes no product and keeps
one loud dimension from making all others coarse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Float64Array

Loop = TypeVar("Loop", bound=Callable[..., Any])
Codes: TypeAlias = npt.NDArray[np.int8]

# Works of one group share a scale, so that one whole-number bar a group tells which of them may still win.
WORKS_IN_GROUP = 128
ROWS_IN_SAMPLE = 4096
LARGEST_CODE = 127
DIMENSIONS_TOGETHER = 16


def reordered(loop: Loop) -> Loop:
    """Compile a loop whose sums and maxima may be taken in any order: lengths of finite vectors, nothing canonical."""
    orders = {"reassoc", "nsz", "nnan", "contract"}
    return cast(Loop, numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=orders)(loop))


@dataclass(frozen=True)
class Basis:
    """What both sides share: the works' shift (d,) and what multiplies the works' side, powers of two (d,), float64."""

    shift: Float64Array
    gains: Float64Array


@dataclass(frozen=True)
class CodedWorks:
    """All works as codes, in groups of alike scale: `order` (I,) int32 gives the row of item_vectors at each place.

    scales, residues and lengths (groups,) float64: s, the largest |r| and the largest |v - m| of a group.
    """

    basis: Basis
    order: npt.NDArray[np.int32]
    codes: Codes
    scales: Float64Array
    residues: Float64Array
    lengths: Float64Array
    longest: float


@dataclass(frozen=True)
class CodedPeople:
    """People as codes (P, d) int8; scales t, lengths |t p|, residues |e|, shares u . m and tails, each (P,) float64.

    A tail covers what float64 and the canonical score's float32 round off.
    """

    codes: Codes
    scales: Float64Array
    lengths: Float64Array
    residues: Float64Array
    shares: Float64Array
    tails: Float64Array


def shared_basis(users: Float32Array, items: Float32Array) -> Basis:
    """The basis that suits a sample of people and works; any basis is right, a good one makes the bounds tight."""
    works = items[:: max(1, len(items) // ROWS_IN_SAMPLE)].astype(np.float64)
    people = users[:: max(1, len(users) // ROWS_IN_SAMPLE)].astype(np.float64)
    shift = works.mean(axis=0)
    loud = np.sqrt(((works - shift) ** 2).mean(axis=0))
    heard = np.sqrt((people**2).mean(axis=0))
    both = (loud > 0) & (heard > 0)
    powers = np.zeros(len(shift))
    powers[both] = np.round((np.log2(heard[both]) - np.log2(loud[both])) / 2)
    # A side without spread would be scaled out of float64's range otherwise.
    return Basis(shift, 2.0 ** np.clip(powers, -60, 60))


def coded_works(items: Float32Array, basis: Basis, works_in_block: int, in_threads: Callable[..., None]) -> CodedWorks:
    """Codes of all works, (I, d) int8. Groups are dealt out so that every block holds loud and quiet works alike."""
    many, dim = items.shape
    peaks = np.empty(many)
    in_threads(lambda begin, end: find_peaks(items, basis.shift, basis.gains, peaks, begin, end), many)
    order = dealt(np.argsort(-peaks, kind="stable").astype(np.int32), works_in_block)
    groups = -(-many // WORKS_IN_GROUP)
    codes = empty_codes(many, dim)
    scales, residues, lengths = np.empty(groups), np.empty(groups), np.empty(groups)
    found = (codes, scales, residues, lengths)
    in_threads(lambda begin, end: code_works(items, order, basis.shift, basis.gains, peaks, *found, begin, end), groups)
    return CodedWorks(basis, order, *found, longest=float(lengths.max(initial=0.0)))


def empty_codes(rows: int, dim: int) -> Codes:
    """Codes of zero, with zeros after the last dimension up to a round number of them, which multiply faster."""
    return np.zeros((rows, -(-dim // DIMENSIONS_TOGETHER) * DIMENSIONS_TOGETHER), np.int8)


def dealt(order: npt.NDArray[np.int32], works_in_block: int) -> npt.NDArray[np.int32]:
    """Whole groups dealt to blocks in turn, as cards are; a last group that is not whole stays last."""
    whole = len(order) - len(order) % WORKS_IN_GROUP
    groups = order[:whole].reshape(-1, WORKS_IN_GROUP)
    blocks = max(1, -(-len(order) // works_in_block))
    return np.concatenate([*(groups[turn::blocks].ravel() for turn in range(blocks)), order[whole:]])


def coded_people(users: Float32Array, user_norms: Float64Array, longest_item: float, works: CodedWorks) -> CodedPeople:
    """Codes and bounds of a block of people. `longest_item` is the largest |v|."""
    people, dim = users.shape
    found = CodedPeople(empty_codes(people, dim), *(np.empty(people) for _ in range(5)))
    code_people(
        users, works.basis.shift, 1.0 / works.basis.gains, found.codes, found.scales, found.lengths, found.residues, found.shares
    )  # fmt: skip
    # float64 sums are within d * 2^-53 of the true ones, far inside 2^-22; 2^-120 covers scores below float32's range.
    reach = longest_item + float(np.linalg.norm(works.basis.shift))
    found.tails[:] = 2.0**-22 * (user_norms * reach + (found.lengths + found.residues) * works.longest) + 2.0**-120
    return found


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})  # type: ignore[untyped-decorator]
def find_squares(vectors: Any, squares: Any, begin: Any, end: Any) -> None:
    """The squared length of each row in float64, where no float32 can overflow; NaN and infinity stay what they are."""
    for row in range(begin, end):
        square = 0.0
        for place in range(vectors.shape[1]):
            square += np.float64(vectors[row, place]) * np.float64(vectors[row, place])
        squares[row] = square


@reordered
def find_peaks(items: Any, shift: Any, gains: Any, peaks: Any, begin: Any, end: Any) -> None:
    """The largest coordinate of each shifted and scaled work."""
    for row in range(begin, end):
        peak = 0.0
        for place in range(items.shape[1]):
            peak = max(peak, abs((np.float64(items[row, place]) - shift[place]) * gains[place]))
        peaks[row] = peak


@reordered
def code_works(
    items: Any, order: Any, shift: Any, gains: Any, peaks: Any,
    codes: Any, scales: Any, residues: Any, lengths: Any, begin: Any, end: Any,
) -> None:  # fmt: skip
    """Codes of the groups begin..end; lengths are made a hair longer, so that rounding never shortens a bound."""
    dim = items.shape[1]
    for group in range(begin, end):
        first, last = group * WORKS_IN_GROUP, min((group + 1) * WORKS_IN_GROUP, items.shape[0])
        peak = 0.0
        for place in range(first, last):
            peak = max(peak, peaks[order[place]])
        scale = peak / LARGEST_CODE if peak > 0.0 else 1.0
        inverse = 1.0 / scale
        residue = length = 0.0
        for place in range(first, last):
            row = order[place]
            off = long = 0.0
            for j in range(dim):
                value = (np.float64(items[row, j]) - shift[j]) * gains[j]
                code = np.rint(value * inverse)
                codes[place, j] = np.int8(np.int32(code))
                left = value - scale * code
                off += left * left
                long += value * value
            residue, length = max(residue, off), max(length, long)
        scales[group] = scale
        residues[group] = np.sqrt(residue) * (1.0 + 2.0**-30)
        lengths[group] = np.sqrt(length) * (1.0 + 2.0**-30)


@reordered
def code_people(
    users: Any, shift: Any, gains: Any, codes: Any, scales: Any, lengths: Any, residues: Any, shares: Any
) -> None:
    """Codes of people, as of works; everyone has a scale of their own."""
    for row in range(users.shape[0]):
        peak = share = 0.0
        for j in range(users.shape[1]):
            peak = max(peak, abs(np.float64(users[row, j]) * gains[j]))
            share += np.float64(users[row, j]) * shift[j]
        scale = peak / LARGEST_CODE if peak > 0.0 else 1.0
        inverse = 1.0 / scale
        off = long = 0.0
        for j in range(users.shape[1]):
            value = np.float64(users[row, j]) * gains[j]
            code = np.rint(value * inverse)
            codes[row, j] = np.int8(np.int32(code))
            left = value - scale * code
            off += left * left
            long += (scale * code) * (scale * code)
        scales[row], shares[row] = scale, share
        residues[row] = np.sqrt(off) * (1.0 + 2.0**-30)
        lengths[row] = np.sqrt(long) * (1.0 + 2.0**-30)
