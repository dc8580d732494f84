"""The score step by one worker and by two, and the rates of one core: `python -m tests.benchmarks.score_workers --help`.

The world is drawn (see tests/jobs/crowd.py) and lies in a temporary lake. Runs take turns, each in a process of its own and from
nothing, Ray's start and the sharing of the works included; their tables must be the same. `--rates` measures what the README's
arithmetic is made from, on one thread: pairs a second of `top_k`, and rows of recommendations a second, with reasons, written.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from artrec_core.lake import Lake
from artrec_core.processor import describe_machine
from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables
from artrec_core.recs.tables.audiences import log_totals
from artrec_core.recs.tables.scored_tables import ScoredTables
from artrec_core.recs.topk.search import top_k
from jobs.score import INPUTS, STEP, TABLES
from jobs.step import run_step
from tests.jobs.crowd import DAY, write_crowd
from tests.jobs.scored_world import recipe_in

SELF = "tests.benchmarks.score_workers"


def one_run(folder: Path, workers: int, threads: int, k: int) -> dict[str, Any]:
    """Score the night in `folder` anew; seconds, peak memory and the tables' digests."""
    lake = Lake(str(folder / "lake"))
    for table in TABLES:
        for file in (folder / "lake" / table).rglob("*.*"):
            file.unlink()
    score = {"k": k, "workers": workers, "threads": threads, "shard_users": 2048}
    manifest = run_step(STEP, recipe_in(folder, score=score), DAY)
    found = {table: lake.manifest(table, DAY) for table in TABLES}
    seconds = {table: one.seconds for table, one in found.items()}
    digests = {table: one.digest for table, one in found.items()}
    return {"seconds": manifest.seconds, "digests": digests, "committed": seconds}


def compare(folder: Path, args: argparse.Namespace) -> None:
    write_crowd(Lake(str(folder / "lake")), args.people, args.works, args.dim)
    print(f"{args.people:,} people x {args.works:,} works, d = {args.dim}, k = {args.k}; {describe_machine()}")  # fmt: skip
    digests = []
    for turn in range(args.turns):
        for workers, threads in ((1, 1), (1, 2), (2, 1)):
            command = [sys.executable, "-m", SELF, "--run", str(folder), str(workers), str(threads), str(args.k)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            told = json.loads(out)
            digests.append(told["digests"])
            load = os.getloadavg()[0]
            print(f"turn {turn + 1}: {workers} worker(s) of {threads} thread(s): {told['seconds']:7.1f} s (load {load:.1f})", flush=True)  # fmt: skip
    print("tables the same:", all(one == digests[0] for one in digests))


def rates(folder: Path) -> None:
    """Pairs a second and rows a second of one thread."""
    print(describe_machine(1))
    rng = np.random.default_rng(0)
    for dim in (64, 128):
        items = rng.standard_normal((100_000, dim)).astype(np.float32)
        top_k(items[:1024], items, 100, threads=1)
        best = float("inf")
        for _ in range(3):
            people = rng.standard_normal((2048, dim)).astype(np.float32)
            begun, processor = time.perf_counter(), time.process_time()
            top_k(people, items, 100, threads=1)
            taken = (time.perf_counter() - begun, time.process_time() - processor)
            best = min(best, taken[1])
            print(f"top_k, d = {dim}, k = 100: {taken[0]:.2f} s, {taken[1]:.2f} s of the processor")
        print(f"top_k, d = {dim}, k = 100: {2048 * 100_000 / best / 1e6:,.0f}M pairs a second of a core")
    users, items = (rng.standard_normal((many, 64)).astype(np.float32) for many in (512, 20_000))
    processor = time.process_time()
    log_totals(users, items, threads=1)
    taken_by = time.process_time() - processor
    print(f"log_totals, d = 64: {users.shape[0] * items.shape[0] / taken_by / 1e6:,.0f}M pairs a second of a core")
    lake = Lake(str(folder / "lake"))
    write_crowd(lake, 4096, 500, 64)
    recipe = recipe_in(folder, score={"k": 100, "threads": 1})
    world = ScoringData(ScoringTables(DAY, **{table: lake.read(table, DAY) for table in INPUTS}))
    scored = ScoredTables(world, recipe.strategies, recipe.publish.strategy, recipe.score)
    scored.recommendations(0, 64)
    begun, processor = time.perf_counter(), time.process_time()
    part = lake.write_part("recommendations", DAY, scored.recommendations(64, 4096).rows)
    taken = (time.perf_counter() - begun, time.process_time() - processor)
    print(f"rows of recommendations: {part.rows / taken[1]:,.0f} a second of a core ({taken[0]:.2f} s, {taken[1]:.2f} s of the processor)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--works", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--rates", action="store_true", help="measure the rates of one core instead")
    parser.add_argument("--run", nargs=4, metavar=("FOLDER", "WORKERS", "THREADS", "K"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        folder, *numbers = args.run
        print(json.dumps(one_run(Path(folder), *(int(one) for one in numbers))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.rates:
            rates(Path(folder))
        else:
            compare(Path(folder), args)


if __name__ == "__main__":
    main()
