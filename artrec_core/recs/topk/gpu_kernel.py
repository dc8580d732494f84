"""Triton kernels of the GPU engine: multiply and select in one step, and canonical scores of selected pairs.

A program holds one block of users and walks along a range of item tiles. Scores stay in registers. Each score is
compared with its user's threshold. A score that reaches it is a hit. For every group of scores with a hit, one entry is
appended: the number of the group, which of its items are hits (one bit each), and the highest score. A group is the
scores that one thread holds after a product (columns with equal `column // 2 % 4`), so threads exchange nothing to find
a hit. Only one program writes the entries of its users, so there are no atomics, and the order of the entries is always
the same.
"""

# Triton compiles these functions, and their arguments have no Python types.
# mypy: disable-error-code="no-untyped-def"

from dataclasses import dataclass, fields

import torch
import triton  # type: ignore[import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,unused-ignore]
from torch import Tensor

PAIRS_IN_PROGRAM = 64


@dataclass(frozen=True)
class Tile:
    """How a product is divided: users and items in a tile, warps in a program, item tiles loaded ahead (stages)."""

    users: int
    items: int
    warps: int
    stages: int


def tile_for(width: int) -> Tile:
    """The tile sizes for vectors of this width: users and loaded item tiles share 227 KB of an H100's shared memory."""
    if width <= 128:
        # Half of the memory, so that the selection of one program runs beside the product of another.
        return Tile(128, 128, 4, 2)
    if width <= 256:
        return Tile(128, 128, 8, 2)
    return Tile(128, 64, 8, 2) if width <= 384 else Tile(64, 64, 4, 2)


# These numbers differ from pass to pass. Without this option, each new value would compile the kernel again.
@triton.jit(do_not_specialize=["first", "last", "step", "splits", "full_tiles"])  # type: ignore[untyped-decorator,unused-ignore]
def _entries_kernel(
    users, items, floors, by_length, by_lost, always, lengths, lost, groups, hits, lows, reaches, counts,
    first, last, step, splits, full_tiles, WIDTH: tl.constexpr, HEAD: tl.constexpr, TAIL: tl.constexpr,
    USERS: tl.constexpr, ITEMS: tl.constexpr, CAPACITY: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    split = tl.program_id(1)
    rows = tl.program_id(0) * USERS + tl.arange(0, USERS)
    columns = tl.arange(0, ITEMS)
    head_columns = tl.arange(0, HEAD)
    vectors = users + rows.to(tl.int64) * WIDTH
    head = tl.load(vectors[:, None] + head_columns[None, :])
    if TAIL > 0:
        tail_columns = HEAD + tl.arange(0, TAIL)
        tail = tl.load(vectors[:, None] + tail_columns[None, :])
    floor = tl.load(floors + rows)
    user_by_length = tl.load(by_length + rows)
    user_by_lost = tl.load(by_lost + rows)
    user_always = tl.load(always + rows)
    bit = tl.full([ITEMS], 1, tl.int32) << ((columns // 8) * 2 + columns % 2)
    group = tl.arange(0, 4)
    entries = (rows.to(tl.int64) * splits + split) * CAPACITY
    count = tl.zeros([USERS], tl.int32)
    begin = first + split * step
    for tile in tl.range(begin, tl.minimum(begin + step, last), num_stages=STAGES):
        base = items + tl.cast(tile, tl.int64) * (ITEMS * WIDTH)
        item_head = tl.load(base + columns[None, :] * WIDTH + head_columns[:, None])
        scores = tl.dot(head, item_head)
        if TAIL > 0:
            item_tail = tl.load(base + columns[None, :] * WIDTH + tail_columns[:, None])
            scores = tl.dot(tail, item_tail, scores)
        error = (user_by_length * tl.load(lengths + tile) + user_by_lost * tl.load(lost + tile) + user_always) * (
            1 + 1e-6
        )
        # Rounding in this line and the line above must not raise the threshold.
        threshold = floor - error - (tl.abs(floor) + error) * 1e-6
        bits = tl.where(scores >= threshold[:, None], bit[None, :], 0)
        bits = tl.sum(tl.reshape(bits, (USERS, ITEMS // 8, 4, 2)), 3)
        hit = tl.sum(bits, 1)
        top = tl.max(tl.max(tl.reshape(scores, (USERS, ITEMS // 8, 4, 2)), 3), 1)
        has_hit = (hit != 0).to(tl.int32)
        slot = count[:, None] + tl.cumsum(has_hit, 1) - has_hit
        fits = (hit != 0) & (slot < CAPACITY)
        address = entries[:, None] + slot
        tl.store(groups + address, tile * 4 + group[None, :] + tl.zeros_like(slot), mask=fits)
        tl.store(hits + address, hit, mask=fits)
        off = error[:, None] + tl.abs(top) * 1e-6
        # In a last tile that is not full, the highest score may be that of a padding row.
        tl.store(lows + address, tl.where(tile < full_tiles, top - off, -float("inf")), mask=fits)
        tl.store(reaches + address, top + off, mask=fits)
        count += tl.sum(has_hit, 1)
    tl.store(counts + rows * splits + split, count)


@triton.jit(do_not_specialize=["pairs"])  # type: ignore[untyped-decorator,unused-ignore]
def _canonical_kernel(users, items, rows, ids, scores, pairs, UNROLLED_DIM, DIM, PAIRS: tl.constexpr):
    index = tl.program_id(0) * PAIRS + tl.arange(0, PAIRS)
    is_pair = index < pairs
    user = users + tl.load(rows + index, mask=is_pair, other=0).to(tl.int64) * DIM
    item = items + tl.load(ids + index, mask=is_pair, other=0).to(tl.int64) * DIM
    lane = tl.arange(0, 8)
    sums = tl.zeros([PAIRS, 8], tl.float64)
    for j in range(0, UNROLLED_DIM, 8):
        u = tl.load(user[:, None] + (j + lane)[None, :]).to(tl.float64)
        sums += u * tl.load(item[:, None] + (j + lane)[None, :]).to(tl.float64)
    remainder = tl.zeros([PAIRS], tl.float64)
    for j in range(UNROLLED_DIM, DIM):
        remainder += tl.load(user + j).to(tl.float64) * tl.load(item + j).to(tl.float64)
    # ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)), the order of `float32_loops.canonical_score`.
    quarters = tl.sum(tl.reshape(sums, (PAIRS, 4, 2)), 2)
    total = tl.sum(tl.sum(tl.reshape(quarters, (PAIRS, 2, 2)), 2), 1) + remainder
    tl.store(scores + index, total.to(tl.float32) + 0.0, mask=is_pair)


@dataclass(frozen=True)
class Entries:
    """The entries of each user, (users, entries) each, and which users had too little room for theirs, (users,).

    `lows` and `reaches` are the highest score of a group minus and plus its error bound. In unused entries they are
    minus infinity and NaN.
    """

    groups: Tensor
    hits: Tensor
    lows: Tensor
    reaches: Tensor
    overflowed: Tensor

    def of(self, users: int) -> "Entries":
        """The entries of the first `users` users."""
        return Entries(*(getattr(self, field.name)[:users] for field in fields(self)))


def find_entries(
    users: Tensor,
    items: Tensor,
    floors: Tensor,
    bounds: tuple[Tensor, Tensor, Tensor],
    tile_bounds: tuple[Tensor, Tensor],
    span: tuple[int, int],
    pieces: tuple[int, int],
    tile: Tile,
    capacity: int,
    programs: int,
    full_tiles: int,
) -> Entries:
    """The groups of items with a score that may reach a user's floor.

    Parameters
    ----------
    users, items
        (U, w) and (I, w), 16-bit, padded to full tiles.
    floors
        (U,) float32.
    bounds, tile_bounds
        (U,) and (tiles,) float32. A score in tile t is off by at most
        bounds[0] * tile_bounds[0][t] + bounds[1] * tile_bounds[1][t] + bounds[2].
    span
        The first tile, and the tile after the last.
    pieces
        The widths of the kernel's two blocks, which add up to w.
    tile
        The tile sizes.
    capacity
        How many entries a user has room for.
    programs
        How many programs should run at once.
    full_tiles
        How many tiles hold no padding.
    """
    blocks, tiles = len(users) // tile.users, span[1] - span[0]
    splits = max(1, min(programs // blocks, tiles))
    # By chance, some programs find more entries than others.
    room = -(-(capacity // splits + 64) // 16) * 16
    shape = (len(users), splits, room)
    groups, hits = (torch.empty(shape, dtype=torch.int32, device=users.device) for _ in range(2))
    lows, reaches = (torch.full(shape, unused, device=users.device) for unused in (-torch.inf, torch.nan))
    counts = torch.empty(shape[:2], dtype=torch.int32, device=users.device)
    _entries_kernel[(blocks, splits)](
        users, items, floors, *bounds, *tile_bounds, groups, hits, lows, reaches, counts,
        *span, -(-tiles // splits), splits, full_tiles,
        WIDTH=sum(pieces), HEAD=pieces[0], TAIL=pieces[1], USERS=tile.users, ITEMS=tile.items, CAPACITY=room,
        STAGES=tile.stages, num_warps=tile.warps,
    )  # fmt: skip
    flat = (len(users), splits * room)
    overflowed = (counts > room).any(dim=1)
    return Entries(groups.view(flat), hits.view(flat), lows.view(flat), reaches.view(flat), overflowed)


def canonical_scores(users: Tensor, items: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
    """Canonical scores of pairs.

    Parameters
    ----------
    users, items
        (U, d) and (I, d) float32, not rounded.
    rows, ids
        The user and the item of each pair, (P,).

    Returns
    -------
    scores : (P,) float32
    """
    scores = torch.empty(len(rows), dtype=torch.float32, device=rows.device)
    dim = users.shape[1]
    if len(rows):
        grid = (triton.cdiv(len(rows), PAIRS_IN_PROGRAM),)
        _canonical_kernel[grid](users, items, rows, ids, scores, len(rows), dim - dim % 8, dim, PAIRS=PAIRS_IN_PROGRAM)
    return scores
