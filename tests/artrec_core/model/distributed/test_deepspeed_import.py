import json
import os
import subprocess
import sys

CHECK = """
import json, os, sys
from artrec_core.model.distributed.deepspeed_import import import_deepspeed
deepspeed = import_deepspeed()
brought = [name for name in ("mlflow", "pandas", "torch._inductor.compile_fx") if name in sys.modules]
compiles = deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"]
import mlflow
print(json.dumps([brought, compiles, "TORCHDYNAMO_DISABLE" in os.environ, hasattr(deepspeed, "initialize")]))
"""


def test_deepspeed_brings_nothing_that_training_does_not_use_and_leaves_nothing_shut_out():
    environment = {name: value for name, value in os.environ.items() if name != "TORCHDYNAMO_DISABLE"}
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECK],
        env=environment | {"DS_ACCELERATOR": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout.splitlines()[-1]) == [[], False, False, True]
