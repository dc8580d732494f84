"""AdamW without the compiler: torch's own figures, and no compiler in the process."""

import subprocess
import sys

import pytest
import torch

from artrec_core.model.cpu.adamw import AdamW

ONE_STEP = """
import os, sys
os.environ |= {"DS_ACCELERATOR": "cpu", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
import torch
import torch.distributed
torch.distributed.init_process_group("gloo")
from artrec_core.model.cpu.adamw import AdamW
from artrec_core.model.distributed.deepspeed_import import import_deepspeed
model = torch.nn.Linear(2, 2)
settings = {"train_micro_batch_size_per_gpu": 1, "zero_allow_untested_optimizer": True, "zero_optimization": {"stage": 2}}
engine, *_ = import_deepspeed().initialize(
    model=model, optimizer=AdamW(model.parameters()), config=settings, dist_init_required=False
)
engine.backward(engine(torch.ones(1, 2)).sum())
engine.step()
torch.distributed.destroy_process_group()
print({"torch._dynamo", "torch._inductor.compile_fx", "sympy", "mlflow"} & sys.modules.keys())
"""


def weights_after(optimizer: type[torch.optim.AdamW], steps: int, *, fused: bool) -> torch.Tensor:
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 3)
    found = optimizer(layer.parameters(), lr=0.1, weight_decay=0.5, fused=fused)
    for step in range(steps):
        found.zero_grad()
        layer(torch.full((2, 4), 1.0 + step)).square().sum().backward()
        found.step()
        if step == 1:  # as a run that goes on from a checkpoint
            state, found = found.state_dict(), optimizer(layer.parameters(), lr=1.0, fused=fused)
            found.load_state_dict(state)
    return layer.weight.detach()


@pytest.mark.parametrize("fused", [False, True])
def test_it_gives_torchs_weights_to_the_last_bit(fused: bool) -> None:
    assert torch.equal(weights_after(AdamW, 4, fused=fused), weights_after(torch.optim.AdamW, 4, fused=fused))


def test_a_step_under_deepspeed_imports_no_compiler() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ONE_STEP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
