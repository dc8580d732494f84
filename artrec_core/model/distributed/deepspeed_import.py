"""DeepSpeed, imported without what training does not use.

On a CPU, seconds of every worker, measured with 0.19: its autotuner imports MLflow, and with it pandas and a web server,
wherever they are installed (2 s); its Muon optimizer and its collectives ask torch's compiler to do something, or to keep
out, as they are imported, which brings the compiler and sympy (1.6 s; see `adamw.py` for the rest of that); and its first
collective compiles a shared-memory all-reduce with g++ (40 s on a machine that has not done so, again in every environment),
which only its inference calls. DeepSpeed falls back to what it does where such a part is not installed or not supported.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def import_deepspeed() -> Any:
    """The `deepspeed` module, ready for `initialize` with an optimizer of torch's."""
    with _without_module("mlflow"), _without_compiler():
        import deepspeed
        import deepspeed.runtime.zero.muon.muon_optimizer
    if deepspeed.get_accelerator().device_name() == "cpu":
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


@contextmanager
def _without_module(name: str) -> Iterator[None]:
    """Importing it fails inside, as if it were not installed; where it is imported already, it stays."""
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[name]


@contextmanager
def _without_compiler() -> Iterator[None]:
    """`torch.compile` and `torch.compiler.disable` give back the function as it is; neither imports the compiler for that."""
    before = torch.compile, torch.compiler.disable
    torch.compile = torch.compiler.disable = _as_it_is  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compile, torch.compiler.disable = before


def _as_it_is(function: Any = None, *_: Any, **__: Any) -> Any:
    return (lambda one: one) if function is None else function
