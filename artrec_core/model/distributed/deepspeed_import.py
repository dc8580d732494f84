"""Imports DeepSpeed without parts that training does not use. On a CPU this saves each worker seconds.

Measured with DeepSpeed 0.19:

- Its autotuner imports MLflow, and with it pandas and a web server, where they are installed: 2 s.
- Its Muon optimizer and its collectives use `torch.compile` and `torch.compiler.disable` while they are imported. This
  imports torch's compiler and sympy: 1.6 s (`cpu/adamw.py` avoids the other imports of them).
- Its first collective compiles a shared-memory all-reduce with g++, which only inference uses: 40 s in each new environment.

DeepSpeed has a fallback for each of these parts. If the import fails without them, it is repeated with them.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import torch

log = logging.getLogger("artrec.model")


@lru_cache(maxsize=1)
def import_deepspeed() -> Any:
    """The `deepspeed` module, ready for `initialize` with an optimizer of torch."""
    try:
        with _hide_module("mlflow"), _skip_compiler():
            import deepspeed

            with suppress(ImportError):  # imported here, because it uses the compiler; other versions may not have it
                import deepspeed.runtime.zero.muon.muon_optimizer
    except Exception as error:
        log.info("this version of DeepSpeed needs MLflow or torch's compiler (%s); its import takes longer", error)
        for name in [name for name in sys.modules if name.partition(".")[0] == "deepspeed"]:
            del sys.modules[name]
        import deepspeed
    _skip_shared_memory(deepspeed)
    return deepspeed


def _skip_shared_memory(deepspeed: Any) -> None:
    # A private table of the operators that can be compiled. Without it, or without the entry, g++ may run.
    operators = getattr(deepspeed.ops, "__compatible_ops__", None)
    if deepspeed.get_accelerator().device_name() == "cpu" and isinstance(operators, dict):
        operators["deepspeed_shm_comm"] = False


@contextmanager
def _hide_module(name: str) -> Iterator[None]:
    """Make the import of a module fail inside, as if it was not installed. A module that is imported already stays."""
    is_hidden = name not in sys.modules
    if is_hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_hidden:
            del sys.modules[name]


@contextmanager
def _skip_compiler() -> Iterator[None]:
    """Make `torch.compile` and `torch.compiler.disable` return functions unchanged inside, without importing the compiler."""
    originals = torch.compile, torch.compiler.disable
    torch.compile = torch.compiler.disable = _return_unchanged  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compile, torch.compiler.disable = originals


def _return_unchanged(function: Any = None, *_: Any, **__: Any) -> Any:
    return (lambda decorated: decorated) if function is None else function
