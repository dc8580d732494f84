"""The exact k best on a GPU: sixteen-bit products say which pairs can win, canonical scores say which do.

Artworks are put on the device once (`prepare`); people then pass in blocks. Every person has a floor that their k-th best
canonical score surely reaches: first from a sample, then raised after each of a few growing passes over the artworks.
A pair is kept while its rounded score, plus a bound on what rounding cost, reaches the floor; the pairs left at the
end are scored canonically (float64 sums in the order of `selection.canonical`) and ranked by (score, row). So the answer
is the CPU engine's. Where a person ends with more pairs than there is room for (thousands tie), they are handed back as
not settled. On a GPU with Triton the product and the selection are one kernel (`gpu_kernel.py`); elsewhere torch does the
same in two steps, with float32 products.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.recs.topk.arrays import CsrRows
from artrec_core.recs.topk.gpu_items import DeviceItems
from artrec_core.recs.topk.gpu_pruning import Bounds, Contenders, by_kernel, by_torch
from artrec_core.recs.topk.gpu_rounding import lengths_of, longest_first, on_device, rounded, scales_of

if TYPE_CHECKING:
    from artrec_core.recs.topk.gpu_kernel import Tile

# 16,384 people x about 3,000 entries x 12 bytes = 600 MB beside the artworks.
PEOPLE_IN_BLOCK = 16_384
# The torch path writes its scores: 2,048 x 8,192 x 4 bytes = 64 MB.
PEOPLE_WITHOUT_KERNEL = 2_048
WORKS_WITHOUT_KERNEL = 8_192
# A person's floor is that of k + as many as they have seen, for any of those may be among the best; beyond this the entries
# would not fit, and the CPU engine, which looks each one up, takes over.
MOST_SEEN = 1_024
WIDEST = 512
# Room for more pairs a person than this would let a tie of thousands hold up a whole block.
MOST_PAIRS = 4_096


def prepare(
    items: Float32Array,
    device: torch.device,
    *,
    fused: bool | None = None,
    tile: "Tile | None" = None,
    dtype: torch.dtype | None = None,
) -> DeviceItems:
    """Put item vectors (I, d), finite float32, at least one row, on a device.

    `fused` says whether the Triton kernel is used (None: on CUDA where Triton is installed and d <= 512), `tile` how it cuts the
    work, `dtype` what vectors are rounded to (None: float16 for the kernel, else float32).
    float16 is as fast as bf16 and, for scaled vectors, eight times closer: fewer pairs are left to score again.
    """
    pieces = pieces_of(items.shape[1])
    if fused is None:
        fused = device.type == "cuda" and find_spec("triton") is not None and sum(pieces) <= WIDEST
    if fused:
        from artrec_core.recs.topk.gpu_kernel import tile_for

        tile = tile or tile_for(sum(pieces))
    dtype = dtype or (torch.float16 if fused else torch.float32)
    in_tile = tile.works if tile else WORKS_WITHOUT_KERNEL
    exact = on_device(items, device)
    lengths = lengths_of(exact)
    scale = scales_of(lengths.max())
    order = longest_first(lengths * scale)
    padded = -(-len(order) // in_tile) * in_tile
    width = sum(pieces) if fused else max(items.shape[1], 1)
    side = rounded(exact[order], width, dtype, scales=scale.expand(len(order)))
    values = torch.zeros((padded, width), dtype=dtype, device=device)
    values[: len(order)] = side.values
    longest, most_lost = (_highest(of_rows, padded, in_tile) for of_rows in (side.lengths, side.lost))
    return DeviceItems(exact, values, order, longest, most_lost, float(scale), in_tile, pieces, tile if fused else None)


def pieces_of(dim: int) -> tuple[int, int]:
    """Two powers of two (the second may be none) whose sum holds `dim` dimensions most closely: a kernel's blocks."""
    powers = [2**power for power in range(4, 20)]
    pairs = [(head, tail) for head in powers for tail in (0, *powers) if tail <= head and head + tail >= dim]
    return min(pairs, key=lambda pair: (sum(pair), -pair[0]))


def top_k_on_device(
    user_vectors: Float32Array, works: DeviceItems, k: int, seen: CsrRows | None = None
) -> tuple[Int32Array, Float32Array, Int32Array]:
    """The k best of each person: ids (U, k), scores (U, k) as `top_k` returns them, and the rows (n,) not settled.

    user_vectors (U, d) are finite float32, none of length zero, none whose scores could overflow float32 (`top_k` sees to
    both); `seen` is a CSR's row starts and sorted columns, left out before anything is selected. Rows that are not
    settled stay padded with -1 and -inf.
    """
    people = len(user_vectors)
    ids, scores = np.full((people, k), -1, np.int32), np.full((people, k), -np.inf, np.float32)
    seen_from, seen_ids = seen or (np.zeros(people + 1, np.int64), np.empty(0, np.int32))
    left = [np.flatnonzero(np.diff(seen_from) > MOST_SEEN)]
    for rows in _blocks(np.diff(seen_from), PEOPLE_IN_BLOCK if works.tile else PEOPLE_WITHOUT_KERNEL):
        # Nobody has seen anything: 16,384 empty slices would take longer than the product.
        theirs = [seen_ids[seen_from[row] : seen_from[row + 1]] for row in rows] if len(seen_ids) else None
        block = best_of_block(on_device(user_vectors[rows], works.exact.device), works, k, theirs)
        found, best, settled = (part.cpu().numpy() for part in block)
        ids[rows[settled], : found.shape[1]], scores[rows[settled], : best.shape[1]] = found[settled], best[settled]
        left.append(rows[~settled])
    return ids, scores, np.sort(np.concatenate(left)).astype(np.int32)


def gpu(device: str) -> torch.device | None:
    """The device to use for "auto" (the first CUDA device, if there is one) or a torch device by name; None: the CPU engine.

    Raises `ValueError` where the named device cannot be used.
    """
    if device == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else None
    named = torch.device(device)
    if named.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f'device "{device}" needs a CUDA build of torch and a GPU; device="auto" uses one where there is one'
        )
    return named


def fits(works: int, dim: int, device: torch.device) -> bool:
    """Whether artworks fit the device's free memory as given and rounded, with room for a block of people."""
    if device.type != "cuda":
        return True
    # Sorting them into their order holds them once more for a moment.
    return works * dim * 10 + 4 * 2**30 < torch.cuda.mem_get_info(device)[0]


def _blocks(seen: np.ndarray, people: int) -> Iterator[np.ndarray]:
    """Rows of people, in blocks; those who have seen about as many stand together, for the most in a block sets its size."""
    rows = np.flatnonzero(seen <= MOST_SEEN)
    rows = rows[np.argsort(seen[rows], kind="stable")]
    for top in range(0, len(rows), people):
        yield rows[top : top + people]


def best_of_block(
    users: Tensor, works: DeviceItems, k: int, seen: list[np.ndarray] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, scores, settled) of one block of people (n, d) float32, all on the works' device; see `top_k_on_device`."""
    side = rounded(users, works.values.shape[1], works.values.dtype)
    bounds = Bounds.of(side, works.scale, users.shape[1])
    device = users.device
    need = torch.full((len(users),), k, device=device)
    if seen is not None:
        need += torch.tensor([len(some) for some in seen], device=device)
    contend = by_kernel if works.tile else by_torch
    found = contend(side.values, bounds, works, need, MOST_PAIRS + 8 * k)
    pairs = found if seen is None else _unseen(found, seen, len(works.order))
    score = _canonical_scores(users, works, pairs.rows, pairs.ids)
    ids, best = ranked(pairs.rows, pairs.ids, score, len(users), k)
    return ids, best, pairs.settled


def _unseen(found: Contenders, seen: list[np.ndarray], works: int) -> Contenders:
    lengths = np.array([len(some) for some in seen], np.int64)
    if not lengths.sum():
        return found
    keys = np.repeat(np.arange(len(seen)), lengths) * works + np.concatenate(seen)
    barred = torch.from_numpy(keys).to(found.rows.device)
    mine = found.rows * works + found.ids
    place = torch.searchsorted(barred, mine).clamp_max(len(barred) - 1)
    left = barred[place] != mine
    return Contenders(found.rows[left], found.ids[left], found.settled)


def _canonical_scores(users: Tensor, works: DeviceItems, rows: Tensor, ids: Tensor) -> Tensor:
    if works.tile:
        from artrec_core.recs.topk.gpu_kernel import canonical_scores

        return canonical_scores(users, works.exact, rows, ids)
    step = max(1, 2**22 // max(users.shape[1], 1))
    parts = [
        canonical_by_torch(users[rows[top : top + step]], works.exact[ids[top : top + step]])
        for top in range(0, len(rows), step)
    ]
    return torch.cat(parts) if parts else users.new_empty(0)


def canonical_by_torch(users: Tensor, works: Tensor) -> Tensor:
    """Canonical scores (P,) float32 of pairs of float32 rows (P, d), summed in the order `selection.canonical` fixes."""
    products = users.double() * works.double()
    whole = users.shape[1] - users.shape[1] % 8
    lanes = products[:, :whole].reshape(len(products), whole // 8, 8)
    sums, rest = products.new_zeros((len(products), 8)), products.new_zeros(len(products))
    for step in range(whole // 8):
        sums += lanes[:, step]
    for place in range(whole, users.shape[1]):
        rest += products[:, place]
    fours = sums.view(-1, 4, 2).sum(2).view(-1, 2, 2).sum(2)
    return (fours[:, 0] + fours[:, 1] + rest).float() + 0.0


def ranked(rows: Tensor, ids: Tensor, scores: Tensor, people: int, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each person's scored pairs: ids and scores (people, at most k), padded with -1 and -inf."""
    bits = scores.view(torch.int32)
    rising = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    by_row = torch.sort(rows, stable=True)
    counts = torch.bincount(rows, minlength=people)
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[by_row.values]
    widest = int(counts.max()) if people else 0
    nothing = torch.iinfo(torch.int64).max
    keys = torch.full((people, widest), nothing, dtype=torch.int64, device=rows.device)
    keys[by_row.values, place] = ((-rising << 32) + ids)[by_row.indices]
    best = torch.topk(keys, min(k, widest), dim=1, largest=False, sorted=True).values
    rising = -(best >> 32)
    bits = torch.where(rising < 0, rising ^ 0x7FFFFFFF, rising).int()
    empty = best == nothing
    values = torch.where(empty, -torch.inf, bits.view(torch.float32))
    return torch.where(empty, -1, best & 0xFFFFFFFF).int(), values


def _highest(of_rows: Tensor, padded: int, in_tile: int) -> Tensor:
    """The highest of each tile (tiles,), as a float32 that is not lower."""
    filled = of_rows.new_zeros(padded)
    filled[: len(of_rows)] = of_rows
    return (filled.view(-1, in_tile).amax(1) * (1 + 2.0**-22)).float()
