import json
import os
import subprocess
import sys

import pytest

CHECK = """
import json, logging, os, sys
import torch
from artrec_core.model.distributed import deepspeed_import
log = []
logging.getLogger("artrec.model").addFilter(lambda record: bool(log.append(record.getMessage())))
logging.getLogger("artrec.model").setLevel(logging.INFO)
if sys.argv[1] == "refused":
    def refuse(*_, **__):
        raise TypeError("compile() is another function now")
    deepspeed_import._return_unchanged = refuse
compile_functions = torch.compile, torch.compiler.disable
deepspeed = deepspeed_import.import_deepspeed()
deepspeed_import.import_deepspeed()
imported = [name for name in ("mlflow", "pandas", "torch._inductor.compile_fx") if name in sys.modules]
compiles = deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"]
restored = compile_functions == (torch.compile, torch.compiler.disable)
import mlflow
ready = hasattr(deepspeed, "initialize") and hasattr(mlflow, "set_tracking_uri")
print(json.dumps([imported, compiles, "TORCHDYNAMO_DISABLE" in os.environ, restored, ready, len(log)]))
"""


def imported(case: str) -> list[object]:
    environment = {name: value for name, value in os.environ.items() if name != "TORCHDYNAMO_DISABLE"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECK, case],
        env=environment | {"DS_ACCELERATOR": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    result: list[object] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_deepspeed_imports_nothing_that_training_does_not_use_and_everything_is_restored():
    assert imported("as it is") == [[], False, False, True, True, 0]


@pytest.mark.timeout(300)
def test_a_deepspeed_that_needs_the_compiler_is_imported_with_it_and_that_is_logged_once():
    modules, *rest = imported("refused")
    assert modules == ["mlflow", "pandas"]
    assert rest == [False, False, True, True, 1]
