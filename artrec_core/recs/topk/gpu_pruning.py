"""Which pairs can still be among a person's k best, found on a torch device from rounded products."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from artrec_core.recs.topk.gpu_items import DeviceItems
from artrec_core.recs.topk.gpu_rounding import Rounded

# The first floor comes from the best of groups of eight among the first works.
SAMPLE = 16_384
GROUP = 8
# Each pass covers so many times the works seen before it: k * (4 - 1) entries a person are expected in it.
GROWTH = 4
# Work for each of an H100's 132 multiprocessors, two programs on each.
PROGRAMS = 264
# Nothing reaches it: the floor of a row that stands for nobody. Not infinity, for infinity less infinity is no number.
HIGHEST = 3e38


@dataclass(frozen=True)
class Bounds:
    """How far rounded scores lie from canonical ones, in scaled units, float32 (n,) each and rounded up.

    A score of a work of length L whose rounding lost M is off by at most by_length * L + by_lost * M + always. With u' and v'
    the rounded vectors, u v - u' v' = (u - u') v + u' (v - v'), by Cauchy-Schwarz at most |u - u'| |v| + |u'| |v - v'|.
    Sums in float32 add (d + 16) 2^-24 |u'| |v'| at most in any order (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1); matrix units truncate instead of rounding and align a few terms at a time (Fasi et al., Numerical
    behavior of NVIDIA tensor cores, 2021), for which four times that stands. `always` covers what is too small for float32.
    """

    by_length: Tensor
    by_lost: Tensor
    always: Tensor

    @classmethod
    def of(cls, people: Rounded, works_scale: float, dim: int) -> "Bounds":
        slack = (dim + 16) * 2.0**-22
        whole = people.lengths + people.lost
        by_length = people.lost + slack * whole + 2.0**-23 * people.lengths
        by_lost = whole * (1 + slack)
        # Canonical scores are rounded to float32 unscaled: half the smallest number is what may be lost there.
        always = (people.scales * (works_scale * 2.0**-149) + (4 * dim + 16) * 2.0**-124).clamp_max(1e30)
        return cls(*((bound * (1 + 2.0**-20)).float() for bound in (by_length, by_lost, always)))

    def at(self, length: Tensor, lost: Tensor) -> Tensor:
        """The bound (n, ...) for works of these lengths and losses, broadcast over each person's."""
        shape = (-1, *(1,) * (length.dim() - 1))
        of = self.by_length.view(shape) * length + self.by_lost.view(shape) * lost + self.always.view(shape)
        return of * (1 + 1e-6)


@dataclass(frozen=True)
class Contenders:
    """Pairs (P,) of people and artworks (rows of the vectors as given), and who of the people (n,) is settled."""

    rows: Tensor
    ids: Tensor
    settled: Tensor


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 in float32, and sums of sixteen-bit products too, whatever the program has allowed torch to do."""
    precision, matmul = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul
    reduced = matmul.allow_bf16_reduced_precision_reduction, matmul.allow_fp16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_bf16_reduced_precision_reduction = matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        matmul.allow_bf16_reduced_precision_reduction, matmul.allow_fp16_reduced_precision_reduction = reduced


def floors_of(best: Tensor, need: Tensor) -> Tensor:
    """The need-th highest of each row of sorted lower bounds (n, K), minus infinity where there are fewer."""
    place = (need - 1).clamp_max(best.shape[1] - 1)
    return torch.where(need <= best.shape[1], best.gather(1, place[:, None])[:, 0], -torch.inf)


def merged(best: Tensor, lows: Tensor, most: int) -> Tensor:
    """The `most` highest of both (n, ...), sorted."""
    both = torch.cat([best, lows], dim=1)
    return torch.topk(both, min(most, both.shape[1]), dim=1).values


def by_torch(users: Tensor, bounds: Bounds, works: DeviceItems, need: Tensor, most: int) -> Contenders:
    """Contenders through blocks of scores: any device, any dtype the sides were rounded to; products are float32."""
    count, wanted = len(works.order), int(need.max())
    best = users.new_empty((len(users), 0), dtype=torch.float32)
    rows_held, places_held, reach_held = [], [], []
    held = torch.zeros(len(users), dtype=torch.int64, device=users.device)
    settled = torch.ones_like(held, dtype=torch.bool)
    for tile, first in enumerate(range(0, count, works.in_tile)):
        part = works.values[first : min(first + works.in_tile, count)].float()
        with full_precision():
            scores = users.float() @ part.T
        error = bounds.at(works.lengths[tile : tile + 1], works.lost[tile : tile + 1])[:, None]
        lows = torch.topk(scores, min(wanted, scores.shape[1]), dim=1).values - error
        best = merged(best, lows - lows.abs() * 1e-6, wanted)
        reach = scores + error
        hit = (reach + reach.abs() * 1e-6 >= floors_of(best, need)[:, None]) & settled[:, None]
        held += hit.sum(1)
        settled &= held <= most
        rows, places = torch.nonzero(hit & settled[:, None], as_tuple=True)
        rows_held.append(rows)
        places_held.append(places + first)
        reach_held.append(reach[rows, places])
    rows, places, reach = torch.cat(rows_held), torch.cat(places_held), torch.cat(reach_held)
    left = (reach + reach.abs() * 1e-6 >= floors_of(best, need)[rows]) & settled[rows]
    return Contenders(rows[left], works.order[places[left]], settled)


def by_kernel(users: Tensor, bounds: Bounds, works: DeviceItems, need: Tensor, most: int) -> Contenders:
    """Contenders through the fused kernel, in passes that grow; floors rise between them."""
    from artrec_core.recs.topk.gpu_kernel import reaching

    assert works.tile is not None
    people, wanted = len(users), int(need.max())
    padding = -people % works.tile.people
    padded = torch.cat([users, users.new_zeros((padding, users.shape[1]))])
    by_length, by_lost, always = (
        _padded(bound, padding, 0.0) for bound in (bounds.by_length, bounds.by_lost, bounds.always)
    )
    floors = floors_of(_sampled(users, bounds, works, wanted), need)
    # The passes start over: a work counts once towards a floor.
    best = floors.new_empty((people, 0))
    settled = torch.ones(people, dtype=torch.bool, device=users.device)
    passes = []
    for span in spans(len(works.lengths), works.in_tile, max(SAMPLE, 2 * GROUP * wanted)):
        found = reaching(
            padded, works.values, _padded(floors, padding, HIGHEST), (by_length, by_lost, always), (works.lengths, works.lost), span,
            works.pieces, works.tile, 2 * GROWTH * wanted, PROGRAMS,
            len(works.order) // works.in_tile,
        ).of(people)  # fmt: skip
        best = merged(best, found.lows, wanted)
        floors = torch.maximum(floors, floors_of(best, need))
        settled &= ~found.overflowed
        passes.append((found.groups, found.hits, found.reaches))
    return _pairs(passes, floors, works, settled, most)


def spans(tiles: int, in_tile: int, first_works: int) -> list[tuple[int, int]]:
    """Ranges of tiles that cover them all, each reaching `GROWTH` times as far as the one before."""
    ends = [min(tiles, -(-first_works * GROWTH // in_tile))]
    while ends[-1] < tiles:
        further = ends[-1] * GROWTH
        # A short last range is not worth a pass of its own.
        ends.append(tiles if further * 1.5 > tiles else further)
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _sampled(users: Tensor, bounds: Bounds, works: DeviceItems, wanted: int) -> Tensor:
    """Sorted lower bounds (n, at most `wanted`) of the canonical scores of as many works, from the first of them."""
    count = min(max(SAMPLE, 2 * GROUP * wanted), len(works.order)) // GROUP * GROUP
    sample = works.values[:count].T
    with full_precision():
        # Sixteen-bit products come out as float32, unless on a processor, which has none.
        scores = torch.mm(users, sample, out_dtype=torch.float32) if users.is_cuda else users.float() @ sample.float()
    tops = scores.view(len(users), -1, GROUP).amax(2)
    tiles = -(-count // works.in_tile)
    error = bounds.at(works.lengths[:tiles].max()[None], works.lost[:tiles].max()[None])[:, None]
    lows = tops - error - tops.abs() * 1e-6
    return torch.topk(lows, min(wanted, lows.shape[1]), dim=1).values


def _padded(of_people: Tensor, padding: int, value: float) -> Tensor:
    return torch.cat([of_people, of_people.new_full((padding,), value)])


def _pairs(
    passes: list[tuple[Tensor, Tensor, Tensor]], floors: Tensor, works: DeviceItems, settled: Tensor, most: int
) -> Contenders:
    """The works behind every entry that still reaches its person's floor."""
    rows_held, places_held = [], []
    for in_groups, hit, reach in passes:
        # What is not filled reaches nothing, not even minus infinity: it is no number.
        rows, entries = torch.nonzero((reach >= floors[:, None]) & settled[:, None], as_tuple=True)
        hits, groups = hit[rows, entries].long() & 0xFFFFFFFF, in_groups[rows, entries].long()
        while len(rows):
            lowest = hits & -hits
            bit = torch.log2(lowest.double()).long()
            inside = bit // 2 * 8 + groups % 4 * 2 + bit % 2
            rows_held.append(rows)
            places_held.append(groups // 4 * works.in_tile + inside)
            hits = hits ^ lowest
            more = hits != 0
            rows, groups, hits = rows[more], groups[more], hits[more]
    none = settled.new_empty(0, dtype=torch.int64)
    rows, places = torch.cat([none, *rows_held]), torch.cat([none, *places_held])
    settled = settled & (torch.bincount(rows, minlength=len(floors)) <= most)
    real = (places < len(works.order)) & settled[rows]
    return Contenders(rows[real], works.order[places[real]], settled)
