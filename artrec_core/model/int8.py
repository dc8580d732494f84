"""Products of eight-bit integers for encoding on a CPU: a float32 tower at a quarter of the memory, and faster.

Each output of a linear map has its own scale, and so has each token that enters it (Dettmers et al. 2022, "LLM.int8()",
vector-wise quantization): what else stands in a batch does not change a vector.
"""

import copy

import torch
from torch import Tensor, nn

LEVELS = 127


class Int8Linear(nn.Module):
    """A linear map with eight-bit weights; inputs are rounded token by token. For inference only."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1).clamp_min(1e-12) / LEVELS
        self.outputs = linear.out_features
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8).T.contiguous())
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().float())

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in) float32 -> (..., out) float32."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-12) / LEVELS
        products = torch._int_mm((rows / scale).round_().to(torch.int8), self.weight)
        out = products.float().mul_(scale).mul_(self.scale)
        if self.bias is not None:
            out += self.bias
        return out.reshape(*inputs.shape[:-1], self.outputs)


def in_int8(backbone: nn.Module) -> nn.Module:
    """A copy of the language model with every linear map in eight bits; embeddings, norms and attention stay float32."""
    found = copy.deepcopy(backbone).eval().requires_grad_(False)
    for parent in list(found.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, Int8Linear(child))
    return found
