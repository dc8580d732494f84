"""Linear maps laid out once for oneDNN's products: the same numbers, faster, for encoding on a CPU.

torch multiplies float32 matrices by MKL, which leaves an AMD processor's wide units idle: with shapes of a small language
model a core of an AMD EPYC (Zen 4) does 65 to 73 GFLOP/s by MKL, 92 to 101 by oneDNN. bfloat16 goes through oneDNN already,
but lays the weights out anew in each call. And a GELU after the product is taken while its block is in the cache.
"""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The copy holds the linear maps once more: of a larger model that is too much memory for the time it saves.
MAX_WEIGHTS = 500_000_000
# Rows that the layout is chosen for; it serves any number of them.
ROWS = 2048


class PackedLinear(nn.Module):
    """A linear map in float32 or bfloat16 with an optional GELU behind it. For inference only.

    Where oneDNN does not take the weight, the map is torch's own: the same numbers, not packed.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, *, gelu: bool = False) -> None:
        super().__init__()
        weight = linear.weight.detach().to(dtype)
        self.dtype = dtype
        self.gelu = gelu
        laid_out = _lay_out(weight)
        self.is_packed = laid_out is not None
        self.weight: Tensor = weight if laid_out is None else laid_out
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in) -> (..., out) in the map's type."""
        rows = inputs.to(self.dtype)
        if not self.is_packed:
            plain = F.linear(rows, self.weight, self.bias)
            return F.gelu(plain) if self.gelu else plain
        name, algorithm = ("gelu", "none") if self.gelu else ("none", "")
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, name, [], algorithm)
        return out


def _lay_out(weight: Tensor) -> Tensor | None:
    """The weight as oneDNN's product reads it; None where torch has no such product, or refuses this type on this processor."""
    try:
        _ = torch.ops.mkldnn._linear_pointwise
        laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
    except (AttributeError, RuntimeError):
        return None
    return laid_out


def can_pack(backbone: nn.Module) -> bool:
    """Whether the model is float32 on the CPU and not too large."""
    weights = list(backbone.parameters())
    plain = all(weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in weights)
    return plain and sum(map(torch.numel, weights)) <= MAX_WEIGHTS


def pack_backbone(backbone: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of the language model with every linear map packed; whatever else it has is shared with it, not copied."""
    shared = {id(one): one for one in (*backbone.parameters(), *backbone.buffers())}
    found = copy.deepcopy(backbone, shared).eval()
    replace_linear(found, lambda linear, gelu: PackedLinear(linear, dtype, gelu=gelu))
    return found


def replace_linear(backbone: nn.Module, made: Callable[[nn.Linear, bool], nn.Module]) -> None:
    """Put `made(linear, gelu)` in place of every linear map; where `gelu`, it takes the GELU behind the map, too."""
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                gelu = name == "dense" and _is_gelu(getattr(parent, "intermediate_act_fn", None))
                setattr(parent, name, made(child, gelu))
                if gelu:
                    parent.intermediate_act_fn = nn.Identity()


def _is_gelu(module: object) -> bool:
    # BERT's relatives call it so; the one by tanh is another function.
    return getattr(module, "act", None) is nn.functional.gelu
