"""DeepSpeed, imported without what training does not use.

On a CPU, seconds of every worker, measured with 0.19: its autotuner imports MLflow, and with it pandas and a web server,
wherever they are installed (2 s); its Muon optimizer asks for compiled functions as it is imported, which brings all of
torch's Inductor (1-3 s); and its first collective compiles a shared-memory all-reduce with g++ (40 s on a machine that has
not done so, again in every environment), which only its inference calls. Each is shut out in the way that its own code
provides for, so DeepSpeed falls back to what it does where the part is not installed or not supported.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_deepspeed() -> Any:
    """The `deepspeed` module, ready for `initialize` with an optimizer of torch's."""
    with _without_module("mlflow"), _without_compilation():
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
def _without_compilation() -> Iterator[None]:
    """`torch.compile` gives back the function as it is."""
    name = "TORCHDYNAMO_DISABLE"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
