"""Seconds from a command to its first training step: `python tests/benchmarks/startup.py --help`.

Fresh processes each time, taking turns: `artrec train` in one plain process, `artrec train` under Ray Train with DeepSpeed,
and beside them a hello-world of Ray Train with DeepSpeed (BARE, below: the least one writes by their documentation for two
CPU workers and a tiny model; no language model, no data, no MLflow). The clock stops when the engine stands and the first
step begins, which each says in a file. Beside the seconds stand the processor seconds of all processes until then: they
tell more than the clock while other work runs on the machine.

A fresh machine has not compiled DeepSpeed's extensions yet; `--fresh-extensions` gives each run an empty folder for them.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from artrec_core.processor import describe_machine

ROOT = Path(__file__).parent.parent.parent
DAY = "2026-03-30"
RECIPE = ROOT / "infra" / "recipes" / "demo.toml"

BARE = """
import os, sys, time
os.environ |= {"DS_ACCELERATOR": "cpu", "RAY_USAGE_STATS_ENABLED": "0"}
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

def work(config):
    import deepspeed, torch
    model = torch.nn.Linear(8, 8)
    settings = {"train_micro_batch_size_per_gpu": 1, "zero_allow_untested_optimizer": True, "zero_optimization": {"stage": 2}}
    engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(model.parameters()), config=settings)
    with open(config["file"], "a") as file:
        file.write('{"phase": "text", "engine": "bare", "at": %f}\\n' % time.time())
    engine.backward(engine(torch.ones(1, 8)).sum())
    engine.step()
    time.sleep(60)

TorchTrainer(
    work,
    train_loop_config={"file": sys.argv[1] + "/metrics.jsonl"},
    scaling_config=ScalingConfig(num_workers=2),
    torch_config=TorchConfig(backend="gloo"),
    run_config=RunConfig(name="bare", storage_path=sys.argv[1]),
).fit()
"""


@dataclass(frozen=True)
class Start:
    """Until the first step began: seconds, and processor seconds of every process, by the process's name."""

    seconds: float
    processor: Counter[str]

    @property
    def processor_seconds(self) -> float:
        return sum(self.processor.values())


def started(command: list[str], folder: Path, environment: dict[str, str], timeout: float = 900) -> Start:
    """Run a command until a metrics.jsonl under `folder` tells of an engine, then end all its processes."""
    begun = time.time()
    with open(folder / "log.txt", "w") as log:
        process = psutil.Popen(command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log)
    try:
        while (found := _engine_at(folder)) is None:
            if process.poll() is not None or time.time() - begun > timeout:
                raise SystemExit(f"{' '.join(command[:4])} ended early:\n{(folder / 'log.txt').read_text()[-3000:]}")
            time.sleep(0.05)
        return Start(found - begun, _processor_seconds(process))
    finally:
        _end(process)


def _engine_at(folder: Path) -> float | None:
    for file in folder.rglob("metrics.jsonl"):
        for line in file.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # half written
                told = json.loads(line)
                if "engine" in told:
                    return float(told["at"])
    return None


def _processor_seconds(process: psutil.Process) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            words = one.cmdline()
            called = next((Path(word).name for word in words if word.endswith(".py")), words[0].split("/")[-1])
            name = "the command" if one == process else called
            found[name] += sum(one.cpu_times()[:4])
    return found


def _end(process: psutil.Process) -> None:
    every = [process, *process.children(recursive=True)]
    for one in every:
        with contextlib.suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(every)


def prepared_store(folder: Path) -> list[str]:
    """A store in which the demo night stands ready to be trained on, as `--set` arguments."""
    names = {name: folder / name for name in ("lake", "artifacts", "work")} | {"warehouse": folder / "w.duckdb"}
    settings = {f"store.{name}": json.dumps(str(path)) for name, path in names.items()}
    settings["store.mlflow"] = json.dumps(f"sqlite:///{folder}/mlflow.db")
    settings["store.models"] = json.dumps(str(ROOT / ".artrec" / "models"))
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    for step in ("crawl", "validate", "prepare"):
        subprocess.run([*_step(step), *chosen], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return chosen


def _step(name: str) -> list[str]:
    return [sys.executable, "-m", f"jobs.{name}", "--config", str(RECIPE), "--date", DAY]


def _run(name: str, scratch: Path, lake: Path, arguments: argparse.Namespace) -> Start:
    with tempfile.TemporaryDirectory(dir=scratch) as made:
        folder = Path(made)
        environment = {"PYTHONPATH": str(ROOT)}
        if arguments.fresh_extensions:
            environment["TORCH_EXTENSIONS_DIR"] = str(folder / "extensions")
        if name == "bare":
            (folder / "bare.py").write_text(BARE)
            return started([sys.executable, str(folder / "bare.py"), str(folder)], folder, environment)
        shutil.copytree(lake, folder / "lake")
        store = [word.replace(str(lake.parent), str(folder)) for word in arguments.store]
        return started([*_step("train"), *store, "--set", f'train.launcher="{name}"'], folder, environment)


def main() -> None:
    """Print a line a way of starting, and the ratio of ours to the bare one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=["process", "ray", "bare"], default=["process", "ray", "bare"])
    parser.add_argument("--fresh-extensions", action="store_true", help="no extension of DeepSpeed is compiled yet")
    parser.add_argument("--processes", action="store_true", help="processor seconds by process")
    arguments = parser.parse_args()
    print(describe_machine())
    starts: dict[str, list[Start]] = {name: [] for name in arguments.only}
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        (scratch / "store").mkdir()
        arguments.store = prepared_store(scratch / "store")
        for _ in range(arguments.runs):
            for name in arguments.only:
                load = os.getloadavg()[0]
                start = _run(name, scratch, scratch / "store" / "lake", arguments)
                starts[name].append(start)
                told = f"{name:8} {start.seconds:6.1f} s, {start.processor_seconds:6.1f} processor s (load before {load:.1f})"
                print(told, flush=True)
                if arguments.processes:
                    print("   ", ", ".join(f"{who} {spent:.1f}" for who, spent in start.processor.most_common(20)))
    print("\nmedians until the first step begins:")
    for name, found in starts.items():
        seconds, processor = (statistics.median(values) for values in _columns(found))
        print(f"{name:8} {seconds:6.1f} s {processor:6.1f} processor s")
    if {"ray", "bare"} <= starts.keys():
        (ours, our_processor), (bare, bare_processor) = (
            [statistics.median(values) for values in _columns(starts[name])] for name in ("ray", "bare")
        )
        print(f"ray / bare: {ours / bare:.2f} by the clock, {our_processor / bare_processor:.2f} by processor seconds")


def _columns(starts: list[Start]) -> tuple[list[float], list[float]]:
    return [one.seconds for one in starts], [one.processor_seconds for one in starts]


if __name__ == "__main__":
    main()
