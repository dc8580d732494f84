"""What the GPU engine keeps of the items on the device, computed once for the calls of a run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from artrec_core.recs.topk.gpu_kernel import Tile


@dataclass(frozen=True)
class DeviceItems:
    """Items on a device: as given, (I, d) float32, and rounded, the longest first, in tiles.

    `rounded` has shape (I padded to full tiles, width). `order` (I,) is the row of `vectors` at each position.
    `lengths` and `lost` (tiles,) float32 are upper bounds for a tile: its longest row, and the most that rounding took
    from a row (see `RoundedVectors`). `scale` is the power of two by which all items were multiplied. `items_in_tile`
    is the size of a tile, `pieces` are the widths of the kernel's two blocks, and `tile` is the kernel's tile, None
    without the kernel.
    """

    vectors: Tensor
    rounded: Tensor
    order: Tensor
    lengths: Tensor
    lost: Tensor
    scale: float
    items_in_tile: int
    pieces: tuple[int, int]
    tile: "Tile | None"
