"""Linear maps packed once for oneDNN's matrix products: the same results, faster, for encoding on a CPU.

torch multiplies float32 matrices with MKL, which does not use an AMD processor's wide units. With the shapes of a small
language model, a core of an AMD EPYC (Zen 4) makes 65 to 73 GFLOP/s with MKL and 92 to 101 with oneDNN. In bfloat16 torch
uses oneDNN already, but packs the weights in each call. oneDNN also applies a GELU while its block is in the cache.
"""

import copy
import logging
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

log = logging.getLogger("artrec.model")

# Packed weights are a second copy. For a larger model that is too much memory for the time it saves.
MAX_WEIGHTS = 500_000_000
# The layout is chosen for this number of rows, but works for any number.
ROWS = 2048


class PackedLinear(nn.Module):
    """A linear map in float32 or bfloat16, optionally followed by a GELU. For inference only.

    If oneDNN cannot pack the weight, the map is computed by torch's public functions.

    Parameters
    ----------
    linear
        The map to copy.
    dtype
        Type of the products and of the result.
    gelu
        Apply a GELU to the result.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, *, gelu: bool = False) -> None:
        super().__init__()
        weight = linear.weight.detach().to(dtype)
        self.dtype = dtype
        self.gelu = gelu
        packed_weight = _pack(weight)
        self.is_packed = packed_weight is not None
        self.weight: Tensor = weight if packed_weight is None else packed_weight
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in) -> (..., out) in the map's type."""
        rows = inputs.to(self.dtype)
        if self.is_packed:
            return _multiply(rows, self.weight, self.bias, gelu=self.gelu)
        product = F.linear(rows, self.weight, self.bias)
        return F.gelu(product) if self.gelu else product


def _pack(weight: Tensor) -> Tensor | None:
    """The weight in oneDNN's layout; None if torch's hooks do not work here or refuse this weight."""
    if not _hooks_work(weight.dtype):
        return None
    try:
        return _reorder(weight)
    except RuntimeError:
        return None


# Two private operators of torch, which torch.compile uses; torch 2.13 has them. `_hooks_work` tests them before the first use.
def _reorder(weight: Tensor) -> Tensor:
    packed_weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
    return packed_weight


def _multiply(rows: Tensor, packed_weight: Tensor, bias: Tensor | None, *, gelu: bool) -> Tensor:
    name, algorithm = ("gelu", "none") if gelu else ("none", "")
    out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed_weight, bias, name, [], algorithm)
    return out


@lru_cache
def _hooks_work(dtype: torch.dtype) -> bool:
    """Whether the two operators exist, accept this type on this processor and give the results of the public functions."""
    # No random numbers: they would change the random state of a training.
    weight = torch.linspace(-1, 1, 40 * 24).view(40, 24).to(dtype)
    rows, bias = torch.linspace(-2, 2, 3 * 24).view(3, 24).to(dtype), torch.linspace(-1, 1, 40).to(dtype)
    expected = F.linear(rows.float(), weight.float(), bias.float())
    rtol, atol = (0.02, 0.05) if dtype == torch.bfloat16 else (1e-4, 1e-4)
    try:
        with torch.inference_mode():
            packed_weight = _reorder(weight)
            plain, with_gelu = (_multiply(rows, packed_weight, bias, gelu=gelu).float() for gelu in (False, True))
        works = torch.allclose(plain, expected, rtol, atol) and torch.allclose(with_gelu, F.gelu(expected), rtol, atol)
    except (AttributeError, RuntimeError, TypeError):
        works = False
    if not works:
        log.info("oneDNN's packed products in %s do not work here; texts are encoded without them", dtype)
    return works


def can_pack(backbone: nn.Module) -> bool:
    """Whether the model is float32, on the CPU and not too large to pack."""
    weights = list(backbone.parameters())
    is_plain = all(weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in weights)
    return is_plain and sum(map(torch.numel, weights)) <= MAX_WEIGHTS


def pack_backbone(backbone: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of the language model with packed linear maps of this type; other weights are shared, not copied."""
    shared_tensors = {id(tensor): tensor for tensor in (*backbone.parameters(), *backbone.buffers())}
    packed_backbone = copy.deepcopy(backbone, shared_tensors).eval()
    replace_linear(packed_backbone, lambda linear, gelu: PackedLinear(linear, dtype, gelu=gelu))
    return packed_backbone


def replace_linear(backbone: nn.Module, build: Callable[[nn.Linear, bool], nn.Module]) -> None:
    """Replace every linear map of a model in place.

    Parameters
    ----------
    backbone
        The model.
    build
        Called as `build(linear, gelu)`. With `gelu`, the new map also applies the GELU that follows.
    """
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                gelu = name == "dense" and _is_gelu(getattr(parent, "intermediate_act_fn", None))
                setattr(parent, name, build(child, gelu))
                if gelu:
                    parent.intermediate_act_fn = nn.Identity()


def _is_gelu(module: object) -> bool:
    # Models like BERT store it in `act`. The tanh approximation is another function, which does not count.
    return getattr(module, "act", None) is nn.functional.gelu
