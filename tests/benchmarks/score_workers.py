"""The score step by one worker and by two, and the rates of one core: `python -m tests.benchmarks.score_workers --help`.

The tables are random (see tests/jobs/crowd.py) and lie in a temporary lake. Runs take turns. Each is a process of its
own that starts from nothing: the start of Ray and the sharing of artworks count. All runs must write the same tables.

`--rates` measures what the README's arithmetic is made from, on one thread and in processor seconds: pairs per second,
and rows of recommendations per second, with reasons and written.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import SUPPRESS, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artrec_core.lake import Lake
from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables
from artrec_core.recs.tables.audiences import log_totals
from artrec_core.recs.tables.scored_tables import ScoredTables
from artrec_core.recs.topk.search import top_k
from jobs.score import INPUTS, STEP, TABLES
from jobs.step import run_step
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption
from tests.jobs.crowd import DAY, write_crowd
from tests.jobs.scored_world import recipe_in

MODULE = "tests.benchmarks.score_workers"
WORKERS_TABLE, RATES_TABLE, COST_TABLE = "score_workers.py", "score_workers.py --rates", "score_workers.py cost"
# (workers, threads of each)
SETTINGS = ((1, 1), (1, 2), (2, 1))
DIMS, K = (64, 128), 100
# What the cost table is computed for.
LARGE_USERS, LARGE_ARTWORKS, CORES = 10_000_000, 1_000_000, (16, 64, 256)


@dataclass(frozen=True)
class CoreRates:
    """What one core does per second: `pairs` of lists by dimension, `rows` of lists, `audience_pairs` at d = 64."""

    pairs: dict[int, float]
    rows: float
    audience_pairs: float


def score_once(folder: Path, workers: int, threads: int, k: int, shard_users: int) -> dict[str, Any]:
    """Score the run in `folder` anew; returns the seconds and the tables' digests."""
    lake = Lake(str(folder / "lake"))
    for table in TABLES:
        for file in (folder / "lake" / table).rglob("*.*"):
            file.unlink()
    score = {"k": k, "workers": workers, "threads": threads, "shard_users": shard_users}
    manifest = run_step(STEP, recipe_in(folder, score=score), DAY)
    return {"seconds": manifest.seconds, "digests": {table: lake.manifest(table, DAY).digest for table in TABLES}}


def compare_workers(folder: Path, options: Namespace) -> None:
    write_crowd(Lake(str(folder / "lake")), options.users, options.artworks, options.dim)
    seconds: dict[tuple[int, int], list[float]] = {setting: [] for setting in SETTINGS}
    digests = []
    for turn in range(options.turns):
        for workers, threads in SETTINGS:
            numbers = [str(number) for number in (workers, threads, options.k, options.shard)]
            command = [sys.executable, "-m", MODULE, "--run", str(folder), *numbers]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            result = json.loads(output.splitlines()[-1])
            digests.append(result["digests"])
            seconds[workers, threads].append(result["seconds"])
            load = os.getloadavg()[0]
            print(f"turn {turn + 1}: {workers} x {threads} threads: {result['seconds']:.1f} s (load {load:.1f})", flush=True)  # fmt: skip
    if any(digest != digests[0] for digest in digests):
        raise SystemExit("the runs wrote different tables")
    table = ReadmeTable(WORKERS_TABLE, "workers", "threads of each", "seconds, median")
    for (workers, threads), values in seconds.items():
        table.add_row(str(workers), str(threads), f"{statistics.median(values):.1f}")
    sizes = f"{options.users:,} users, {options.artworks:,} artworks, d = {options.dim}, k = {options.k}"
    notes = [f"{options.turns} runs each", "all runs wrote the same tables"]
    table.finish(make_caption(sizes=sizes, libraries=["ray"], notes=notes), write=options.write)


def measure_rates(folder: Path, options: Namespace) -> CoreRates:
    """The rates of one thread, in processor seconds."""
    rng = np.random.default_rng(0)
    pairs = {dim: list_pairs_per_second(rng, options, dim) for dim in DIMS}
    users, items = (rng.standard_normal((rows, 64)).astype(np.float32) for rows in (512, min(options.artworks, 20_000)))
    start = time.process_time()
    log_totals(users, items, threads=1)
    audience_pairs = len(users) * len(items) / (time.process_time() - start)
    return CoreRates(pairs, list_rows_per_second(folder, options.users), audience_pairs)


def list_pairs_per_second(rng: np.random.Generator, options: Namespace, dim: int) -> float:
    """Pairs per processor second of `top_k` for one shard of users, the best of three calls."""
    items = rng.standard_normal((options.artworks, dim)).astype(np.float32)
    top_k(items[:1024], items, K, threads=1)
    seconds = []
    for _ in range(3):
        users = rng.standard_normal((options.shard, dim)).astype(np.float32)
        start = time.process_time()
        top_k(users, items, K, threads=1)
        seconds.append(time.process_time() - start)
    return options.shard * options.artworks / min(seconds)


def list_rows_per_second(folder: Path, user_count: int) -> float:
    """Rows of recommendations per processor second, with reasons, written as Parquet."""
    lake = Lake(str(folder / "lake"))
    write_crowd(lake, user_count, 500, 64)
    recipe = recipe_in(folder, score={"k": K, "threads": 1})
    data = ScoringData(ScoringTables(DAY, **{table: lake.read(table, DAY) for table in INPUTS}))
    scored = ScoredTables(data, recipe.strategies, recipe.publish.strategy, recipe.score)
    scored.recommendations(0, 64)
    start = time.process_time()
    part = lake.write_part("recommendations", DAY, scored.recommendations(64, user_count).rows)
    return part.rows / (time.process_time() - start)


def cost_rows(rates: CoreRates) -> list[list[str]]:
    """Core hours, and the time on several cores, of the lists and audiences of `LARGE_USERS` x `LARGE_ARTWORKS`."""
    pairs = LARGE_USERS * LARGE_ARTWORKS
    row_hours = LARGE_USERS * K / rates.rows / 3600
    pair_hours = {dim: pairs / rate / 3600 for dim, rate in rates.pairs.items()}
    audience_hours = pairs / rates.audience_pairs / 3600
    costs = {
        f"lists, d = {dim}: pairs {hours:.1f} h + rows {row_hours:.1f} h": hours + row_hours
        for dim, hours in pair_hours.items()
    }
    # Audiences need the logarithm of each artwork's total, then the best users of each artwork.
    costs[f"audiences, d = 64: {audience_hours:.1f} h + {pair_hours[64]:.1f} h"] = audience_hours + pair_hours[64]
    return [[name, f"{hours:.1f}", *(minutes_on(hours, cores) for cores in CORES)] for name, hours in costs.items()]


def minutes_on(core_hours: float, cores: int) -> str:
    minutes = 60 * core_hours / cores
    return f"{minutes:.0f} min" if minutes >= 10 else f"{minutes:.1f} min"


def write_rates(rates: CoreRates, options: Namespace) -> None:
    table = ReadmeTable(RATES_TABLE, "rate of one core", "per second")
    for dim, rate in rates.pairs.items():
        table.add_row(f"P, pairs of lists, d = {dim}", f"{rate / 1e6:,.0f}M")
    table.add_row("R, rows of lists, with reasons, written", f"{rates.rows:,.0f}")
    table.add_row("E, pairs of audiences, d = 64", f"{rates.audience_pairs / 1e6:,.0f}M")
    sizes = (
        f"processor seconds, shards of {options.shard:,} users, {options.artworks:,} artworks, k = {K}, random vectors"
    )
    caption = make_caption(sizes=sizes, threads=1)
    table.finish(caption, write=options.write)
    header = ("", "core hours", *(f"on {cores} cores" for cores in CORES))
    costs = ReadmeTable(COST_TABLE, *header)
    for row in cost_rows(rates):
        costs.add_row(*row)
    costs.finish(f"Computed from these rates. {caption}", write=options.write)


def main() -> None:
    parser = BenchmarkParser(__doc__, WORKERS_TABLE, RATES_TABLE, COST_TABLE)
    parser.add_argument("--users", type=int, help="default 20,000; with --rates 4,096")
    parser.add_argument("--artworks", type=int, help="default 20,000; with --rates 100,000")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--shard", type=int, default=2048, help="users per shard")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--rates", action="store_true", help="measure the rates of one core instead")
    parser.add_argument("--run", nargs=5, metavar=("FOLDER", "WORKERS", "THREADS", "K", "SHARD"), help=SUPPRESS)
    options = parser.parse_options()
    if options.run:
        folder, *numbers = options.run
        print(json.dumps(score_once(Path(folder), *(int(number) for number in numbers))))
        return
    options.users = options.users or (4096 if options.rates else 20_000)
    options.artworks = options.artworks or (100_000 if options.rates else 20_000)
    with tempfile.TemporaryDirectory() as folder:
        if options.rates:
            write_rates(measure_rates(Path(folder), options), options)
        else:
            compare_workers(Path(folder), options)


if __name__ == "__main__":
    main()
