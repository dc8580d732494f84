"""Triton kernels behind `gpu_topk.py`: multiply and select in one pass, and canonical scores of chosen pairs.

A program holds one block of people and walks along a range of artwork tiles. Scores stay in registers: each is compared with
its person's bar, and for every group of them that holds a hit one entry is appended: which group, which of its works hit
(a bit each) and the highest score. Groups are the scores that one thread holds after a product (columns of equal
`column // 2 % 4`), so finding a hit takes no exchange between threads; and a program alone writes its entries, so there
are no atomics and the entries' order is always the same.
"""

# What Triton compiles has no types of Python's.
# mypy: disable-error-code="no-untyped-def"

from dataclasses import dataclass, fields

import torch
import triton  # type: ignore[import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,unused-ignore]
from torch import Tensor

PAIRS_IN_PROGRAM = 64


@dataclass(frozen=True)
class Tile:
    """How the work is cut: people and artworks in a product, warps a program, and artwork tiles in flight."""

    people: int
    works: int
    warps: int
    stages: int


def tile_for(width: int) -> Tile:
    """The cut for vectors of this width: people and the tiles in flight share 227 KB of an H100's fast memory."""
    if width <= 128:
        # Half of that, so that one program's selection runs beside another's product.
        return Tile(128, 128, 4, 2)
    if width <= 256:
        return Tile(128, 128, 8, 2)
    return Tile(128, 64, 8, 2) if width <= 384 else Tile(64, 64, 4, 2)


# Every pass has other numbers here; they must not each compile a kernel.
@triton.jit(do_not_specialize=["first", "last", "step", "splits", "whole"])  # type: ignore[untyped-decorator,unused-ignore]
def _reaching(
    users, works, floors, by_length, by_lost, always, lengths, lost, groups, hits, lows, reaches, counts,
    first, last, step, splits, whole, WIDTH: tl.constexpr, HEAD: tl.constexpr, TAIL: tl.constexpr,
    PEOPLE: tl.constexpr, WORKS: tl.constexpr, CAPACITY: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(1)
    rows = tl.program_id(0) * PEOPLE + tl.arange(0, PEOPLE)
    columns = tl.arange(0, WORKS)
    in_head = tl.arange(0, HEAD)
    vectors = users + rows.to(tl.int64) * WIDTH
    head = tl.load(vectors[:, None] + in_head[None, :])
    if TAIL > 0:
        in_tail = HEAD + tl.arange(0, TAIL)
        tail = tl.load(vectors[:, None] + in_tail[None, :])
    floor = tl.load(floors + rows)
    of_length = tl.load(by_length + rows)
    of_lost = tl.load(by_lost + rows)
    of_all = tl.load(always + rows)
    bit = tl.full([WORKS], 1, tl.int32) << ((columns // 8) * 2 + columns % 2)
    group = tl.arange(0, 4)
    entries = (rows.to(tl.int64) * splits + split) * CAPACITY
    count = tl.zeros([PEOPLE], tl.int32)
    begin = first + split * step
    for tile in tl.range(begin, tl.minimum(begin + step, last), num_stages=STAGES):
        base = works + tl.cast(tile, tl.int64) * (WORKS * WIDTH)
        theirs = tl.load(base + columns[None, :] * WIDTH + in_head[:, None])
        scores = tl.dot(head, theirs)
        if TAIL > 0:
            rest = tl.load(base + columns[None, :] * WIDTH + in_tail[:, None])
            scores = tl.dot(tail, rest, scores)
        error = (of_length * tl.load(lengths + tile) + of_lost * tl.load(lost + tile) + of_all) * (1 + 1e-6)
        # Rounding in this line and the one above must not raise the bar.
        bar = floor - error - (tl.abs(floor) + error) * 1e-6
        bits = tl.where(scores >= bar[:, None], bit[None, :], 0)
        bits = tl.sum(tl.reshape(bits, (PEOPLE, WORKS // 8, 4, 2)), 3)
        hit = tl.sum(bits, 1)
        top = tl.max(tl.max(tl.reshape(scores, (PEOPLE, WORKS // 8, 4, 2)), 3), 1)
        found = (hit != 0).to(tl.int32)
        place = count[:, None] + tl.cumsum(found, 1) - found
        kept = (hit != 0) & (place < CAPACITY)
        at = entries[:, None] + place
        tl.store(groups + at, tile * 4 + group[None, :] + tl.zeros_like(place), mask=kept)
        tl.store(hits + at, hit, mask=kept)
        off = error[:, None] + tl.abs(top) * 1e-6
        # In a last tile that is not full, the highest may be that of a row of padding.
        tl.store(lows + at, tl.where(tile < whole, top - off, -float("inf")), mask=kept)
        tl.store(reaches + at, top + off, mask=kept)
        count += tl.sum(found, 1)
    tl.store(counts + rows * splits + split, count)


@triton.jit(do_not_specialize=["pairs"])  # type: ignore[untyped-decorator,unused-ignore]
def _canonical(users, works, rows, ids, scores, pairs, WHOLE, DIM, PAIRS: tl.constexpr):
    place = tl.program_id(0) * PAIRS + tl.arange(0, PAIRS)
    inside = place < pairs
    user = users + tl.load(rows + place, mask=inside, other=0).to(tl.int64) * DIM
    work = works + tl.load(ids + place, mask=inside, other=0).to(tl.int64) * DIM
    lane = tl.arange(0, 8)
    sums = tl.zeros([PAIRS, 8], tl.float64)
    for p in range(0, WHOLE, 8):
        u = tl.load(user[:, None] + (p + lane)[None, :]).to(tl.float64)
        sums += u * tl.load(work[:, None] + (p + lane)[None, :]).to(tl.float64)
    rest = tl.zeros([PAIRS], tl.float64)
    for p in range(WHOLE, DIM):
        rest += tl.load(user + p).to(tl.float64) * tl.load(work + p).to(tl.float64)
    # Two at a time: ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)), the order `selection.canonical` fixes.
    twos = tl.sum(tl.reshape(sums, (PAIRS, 4, 2)), 2)
    total = tl.sum(tl.sum(tl.reshape(twos, (PAIRS, 2, 2)), 2), 1) + rest
    tl.store(scores + place, total.to(tl.float32) + 0.0, mask=inside)


@dataclass(frozen=True)
class Entries:
    """What was found for each person, (people, entries) each, and who had too little room (people,).

    `lows` and `reaches` are the highest score of a group less and plus what it may be off by; where nothing was found they
    are minus infinity and no number.
    """

    groups: Tensor
    hits: Tensor
    lows: Tensor
    reaches: Tensor
    overflowed: Tensor

    def of(self, people: int) -> "Entries":
        """Those of the first people."""
        return Entries(*(getattr(self, field.name)[:people] for field in fields(self)))


def reaching(
    users: Tensor,
    works: Tensor,
    floors: Tensor,
    bounds: tuple[Tensor, Tensor, Tensor],
    of_tiles: tuple[Tensor, Tensor],
    span: tuple[int, int],
    pieces: tuple[int, int],
    tile: Tile,
    capacity: int,
    programs: int,
    whole: int,
) -> Entries:
    """The groups of works in tiles `span` with a score that may reach a person's floor.

    users (U, w) and works (I, w) of sixteen bits, padded to whole tiles; floors and each of `bounds` (U,), `of_tiles` (tiles,) float32: a
    score of tile t is off by at most bounds[0] * of_tiles[0][t] + bounds[1] * of_tiles[1][t] + bounds[2]. `capacity` is
    the entries a person has room for, `programs` how many programs should run at once, `whole` how many
    tiles hold no padding.
    """
    blocks, tiles = len(users) // tile.people, span[1] - span[0]
    splits = max(1, min(programs // blocks, tiles))
    # Chance shares entries unevenly among programs.
    room = -(-(capacity // splits + 64) // 16) * 16
    shape = (len(users), splits, room)
    groups, hits = (torch.empty(shape, dtype=torch.int32, device=users.device) for _ in range(2))
    lows, reaches = (torch.full(shape, empty, device=users.device) for empty in (-torch.inf, torch.nan))
    counts = torch.empty(shape[:2], dtype=torch.int32, device=users.device)
    _reaching[(blocks, splits)](
        users, works, floors, *bounds, *of_tiles, groups, hits, lows, reaches, counts,
        *span, -(-tiles // splits), splits, whole,
        WIDTH=sum(pieces), HEAD=pieces[0], TAIL=pieces[1], PEOPLE=tile.people, WORKS=tile.works, CAPACITY=room,
        STAGES=tile.stages, num_warps=tile.warps,
    )  # fmt: skip
    flat = (len(users), splits * room)
    overflowed = (counts > room).any(dim=1)
    return Entries(groups.view(flat), hits.view(flat), lows.view(flat), reaches.view(flat), overflowed)


def canonical_scores(users: Tensor, works: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
    """Canonical scores (P,) float32 of the pairs (users[rows], works[ids]); users and works are float32, unrounded."""
    scores = torch.empty(len(rows), dtype=torch.float32, device=rows.device)
    dim = users.shape[1]
    if len(rows):
        grid = (triton.cdiv(len(rows), PAIRS_IN_PROGRAM),)
        _canonical[grid](users, works, rows, ids, scores, len(rows), dim - dim % 8, dim, PAIRS=PAIRS_IN_PROGRAM)
    return scores
