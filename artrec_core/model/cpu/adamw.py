"""torch's AdamW in a process that compiles nothing.

torch tells its compiler to keep out of an optimizer's methods, and imports the compiler for that: with sympy 1.6 s of every
process, before the first step is done (torch 2.13). What it keeps out of is what stands here, as it is written.
"""

import inspect
from typing import Any

import torch


def _as_written(method: Any) -> Any:
    return inspect.unwrap(method)


class AdamW(torch.optim.AdamW):
    """The same weights, to the last bit, as `torch.optim.AdamW` gives."""

    add_param_group = _as_written(torch.optim.Optimizer.add_param_group)
    zero_grad = _as_written(torch.optim.Optimizer.zero_grad)
    state_dict = _as_written(torch.optim.Optimizer.state_dict)
    load_state_dict = _as_written(torch.optim.Optimizer.load_state_dict)
    step = torch.no_grad()(_as_written(torch.optim.AdamW.step))
