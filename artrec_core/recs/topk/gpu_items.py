"""What the GPU engine holds of the items, made once for the calls of a night."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from artrec_core.recs.topk.gpu_kernel import Tile


@dataclass(frozen=True)
class DeviceItems:
    """Items on a device: as given (I, d) float32, and rounded, longest first, in tiles.

    `values` (I padded to whole tiles, width); `order` (I,) the row of `exact` at each place; `lengths` and `lost` (tiles,)
    float32 upper bounds of a tile's longest row and of the most that rounding took from one (see `Rounded`).
    """

    exact: Tensor
    values: Tensor
    order: Tensor
    lengths: Tensor
    lost: Tensor
    scale: float
    in_tile: int
    pieces: tuple[int, int]
    tile: "Tile | None"
