"""torch's AdamW without the import of torch's compiler.

torch wraps the methods of an optimizer so that its compiler leaves them alone. The wrappers import the compiler and sympy:
1.6 s for every process, before the first step (torch 2.13). This class uses the methods without the wrappers.
"""

import inspect
from typing import Any

import torch


def _unwrap(method: Any) -> Any:
    # A method without wrapper, as another version may have it, is returned unchanged.
    return inspect.unwrap(method)


class AdamW(torch.optim.AdamW):
    """Gives the same weights as `torch.optim.AdamW`, to the last bit."""

    add_param_group = _unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = _unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = _unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = _unwrap(torch.optim.Optimizer.load_state_dict)
    step = torch.no_grad()(_unwrap(torch.optim.AdamW.step))
