"""Seconds from a command to its first training step: `python -m tests.benchmarks.startup --help`.

Three ways to start take turns, each time in new processes: `artrec train` in one plain process (`process`), `artrec
train` under Ray Train with DeepSpeed (`ray`), and a minimal script of Ray Train with DeepSpeed (`minimal`). The minimal
script is the least that one writes by their documentation for two CPU workers and a tiny model. It has no language
model, no data and no MLflow.

The clock stops when the engine is ready and the first step begins; each says so in a file. Processor seconds of all
processes until then are also shown: they are steadier than the clock while other work runs on the machine.

A new machine has not compiled DeepSpeed's extensions yet; `--fresh-extensions` gives each run an empty folder for them.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.readme_tables import ROOT, BenchmarkParser, ReadmeTable, make_caption

TABLE, TABLE_FRESH = "startup.py", "startup.py --fresh-extensions"
DAY = "2026-03-30"
RECIPE = ROOT / "infra" / "recipes" / "demo.toml"
WAYS = {
    "process": "`artrec train`, one process",
    "ray": "`artrec train`, Ray Train with DeepSpeed",
    "minimal": "minimal script, Ray Train with DeepSpeed",
}
TIMEOUT_SECONDS = 900

MINIMAL_SCRIPT = """
import os, sys, time
os.environ |= {"DS_ACCELERATOR": "cpu", "RAY_USAGE_STATS_ENABLED": "0"}
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

def train(config):
    import deepspeed, torch
    model = torch.nn.Linear(8, 8)
    settings = {"train_micro_batch_size_per_gpu": 1, "zero_allow_untested_optimizer": True, "zero_optimization": {"stage": 2}}
    engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(model.parameters()), config=settings)
    with open(config["file"], "a") as file:
        file.write('{"phase": "text", "engine": "minimal", "at": %f}\\n' % time.time())
    engine.backward(engine(torch.ones(1, 8)).sum())
    engine.step()
    time.sleep(60)

TorchTrainer(
    train,
    train_loop_config={"file": sys.argv[1] + "/metrics.jsonl"},
    scaling_config=ScalingConfig(num_workers=2),
    torch_config=TorchConfig(backend="gloo"),
    run_config=RunConfig(name="minimal", storage_path=sys.argv[1]),
).fit()
"""


@dataclass(frozen=True)
class Start:
    """Seconds until the first step began, and processor seconds of every process by its name."""

    seconds: float
    processor: Counter[str]

    @property
    def processor_seconds(self) -> float:
        return sum(self.processor.values())


def time_start(command: list[str], folder: Path, environment: dict[str, str]) -> Start:
    """Run a command until a metrics.jsonl under `folder` names an engine, then end all its processes."""
    start = time.time()
    with open(folder / "log.txt", "w") as log:
        process = psutil.Popen(command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log)
    try:
        while (first_step := _first_step_at(folder)) is None:
            if process.poll() is not None or time.time() - start > TIMEOUT_SECONDS:
                raise SystemExit(f"{' '.join(command[:4])} ended early:\n{(folder / 'log.txt').read_text()[-3000:]}")
            time.sleep(0.05)
        return Start(first_step - start, _processor_seconds(process))
    finally:
        _end(process)


def _first_step_at(folder: Path) -> float | None:
    """The time at which a metrics file says that the engine was ready, as a Unix timestamp."""
    for file in folder.rglob("metrics.jsonl"):
        for line in file.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # a line that is not complete yet
                record = json.loads(line)
                if "engine" in record:
                    return float(record["at"])
    return None


def _processor_seconds(parent: psutil.Process) -> Counter[str]:
    seconds: Counter[str] = Counter()
    for process in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            script = next((Path(word).name for word in words if word.endswith(".py")), words[0].split("/")[-1])
            name = "the command" if process == parent else script
            seconds[name] += sum(process.cpu_times()[:4])
    return seconds


def _end(parent: psutil.Process) -> None:
    processes = [parent, *parent.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes)


def prepare_store(folder: Path, models: Path, overrides: list[str]) -> list[str]:
    """Prepare the demo run up to training in a new store; returns the store's `--set` arguments."""
    paths = {name: folder / name for name in ("lake", "artifacts", "work")} | {"warehouse": folder / "w.duckdb"}
    settings = [f"store.{name}={json.dumps(str(path))}" for name, path in paths.items()]
    settings += [f'store.mlflow="sqlite:///{folder}/mlflow.db"', f"store.models={json.dumps(str(models))}", *overrides]
    arguments = [word for setting in settings for word in ("--set", setting)]
    for step in ("crawl", "validate", "prepare"):
        subprocess.run([*_step_command(step), *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return arguments


def _step_command(name: str) -> list[str]:
    return [sys.executable, "-m", f"jobs.{name}", "--config", str(RECIPE), "--date", DAY]


def run_once(way: str, scratch: Path, store: Path, store_arguments: list[str], *, fresh_extensions: bool) -> Start:
    """Start in one of `WAYS`, with a copy of the store's lake in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
        folder = Path(temporary)
        environment = {"PYTHONPATH": str(ROOT)}
        if fresh_extensions:
            environment["TORCH_EXTENSIONS_DIR"] = str(folder / "extensions")
        if way == "minimal":
            (folder / "minimal.py").write_text(MINIMAL_SCRIPT)
            return time_start([sys.executable, str(folder / "minimal.py"), str(folder)], folder, environment)
        shutil.copytree(store / "lake", folder / "lake")
        arguments = [word.replace(str(store), str(folder)) for word in store_arguments]
        return time_start(
            [*_step_command("train"), *arguments, "--set", f'train.launcher="{way}"'], folder, environment
        )


def measure(options: Namespace) -> dict[str, list[Start]]:
    """All starts, by way."""
    starts: dict[str, list[Start]] = {way: [] for way in options.only}
    with tempfile.TemporaryDirectory() as temporary:
        scratch, store = Path(temporary), Path(temporary) / "store"
        store.mkdir()
        arguments = prepare_store(store, options.models.resolve(), options.overrides)
        for _ in range(options.runs):
            for way in options.only:
                load = os.getloadavg()[0]
                start = run_once(way, scratch, store, arguments, fresh_extensions=options.fresh_extensions)
                starts[way].append(start)
                figures = f"{start.seconds:6.1f} s, {start.processor_seconds:6.1f} processor s"
                print(f"{way:8} {figures} (load before {load:.1f})", flush=True)
                if options.processes:
                    processes = start.processor.most_common(20)
                    print("   ", ", ".join(f"{name} {seconds:.1f}" for name, seconds in processes))
    return starts


def medians(starts: list[Start]) -> tuple[float, float]:
    """Median seconds and median processor seconds."""
    return (
        statistics.median(start.seconds for start in starts),
        statistics.median(start.processor_seconds for start in starts),
    )


def report(starts: dict[str, list[Start]], options: Namespace) -> None:
    """Print the table and, if asked, write it."""
    baseline = medians(starts["minimal"]) if "minimal" in starts else None
    name = TABLE_FRESH if options.fresh_extensions else TABLE
    table = ReadmeTable(name, "start", "seconds", "processor seconds", "x minimal", "x minimal, processor")
    for way, way_starts in starts.items():
        seconds = medians(way_starts)
        ratios = [f"{own / other:.2f}" for own, other in zip(seconds, baseline, strict=True)] if baseline else ["", ""]
        table.add_row(WAYS[way], *(f"{figure:.1f}" for figure in seconds), *ratios)
    caption = make_caption(
        sizes=f"until the first step begins, median of {options.runs} runs", libraries=["ray", "deepspeed", "torch"]
    )
    table.finish(caption, write=options.write)


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE, TABLE_FRESH)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--models", type=Path, default=ROOT / ".artrec" / "models", help="cache of base models")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--fresh-extensions", action="store_true", help="DeepSpeed's extensions are not compiled yet")
    parser.add_argument("--processes", action="store_true", help="show processor seconds by process")
    options = parser.parse_options()
    report(measure(options), options)


if __name__ == "__main__":
    main()
