"""Rules for every test: no network beyond this machine, a fixed seed, nothing left behind."""

import os
import random
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from artrec_core.processor import SETTING, instruction_sets, multiplies_bfloat16, multiplies_int8, processor_name

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
if not Path("/dev/nvidiactl").exists():
    # Triton reads this when it is imported: GPU kernels are then run step by step on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")

ROOT = Path(__file__).parent.parent
# Triton, where `make test` put it.
sys.path.append(str(ROOT / ".venv" / "kernels"))
FAST_PRODUCTS = {"bfloat16": multiplies_bfloat16, "int8": multiplies_int8}
SHARED_DATA = Path(os.environ.get("ARTREC_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def _network_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "local"
        own = {"127.0.0.1", "::1", "localhost", "local", "0.0.0.0", socket.gethostbyname(socket.gethostname())}
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in own:
            raise OSError(f"tests may not reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def _processor_has_products(request: pytest.FixtureRequest) -> None:
    marker = request.node.get_closest_marker("fast_products")
    for kind in marker.args if marker else ():
        if not FAST_PRODUCTS[kind]():
            pytest.skip(f"{processor_name()} ({instruction_sets()}) has no instructions for {kind} products")


@pytest.fixture
def small_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor has AVX2 alone, so that fallbacks run on any machine."""
    monkeypatch.setenv(SETTING, "avx2")


@pytest.fixture
def shared_data() -> Path:
    """The folder of real museum and people's data; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"there is no real data at {SHARED_DATA} (set ARTREC_DATA)")
    return SHARED_DATA
