"""One large `top_k`: wall time, and memory beyond inputs and outputs: `python -m tests.benchmarks.scale --help`.

faiss' flat index answers the same question in the same run (`--no-baseline` leaves it out). Vectors are random, so
nothing can be pruned. Some lists are compared with a float64 brute force.
"""

import threading
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial

import faiss
import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from artrec_core.recs.topk.search import PreparedItems, top_k
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption
from tests.benchmarks.topk import is_exact

TABLE = "scale.py"
USERS_TO_WARM_UP = 256
SECONDS_BETWEEN_LOOKS = 0.02


def resident_mb() -> float:
    """Memory of this process now, in MB."""
    return float(psutil.Process().memory_info().rss) / 2**20


def measure(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """What the call returns, its seconds, and the most MB that the process held beyond what it held before."""
    before, peak, done = resident_mb(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            peak = max(peak, resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        result = call()
    finally:
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    return result, seconds, max(peak, resident_mb()) - before


def search_in_shards(artworks: np.ndarray | PreparedItems, options: Namespace, users: np.ndarray) -> np.ndarray:
    """The lists of one shard of users after the other, as the score step computes them."""
    shards = (users[start : start + options.shard] for start in range(0, len(users), options.shard))
    return np.concatenate([top_k(shard, artworks, options.k, threads=options.threads)[0] for shard in shards])


def make_engines(artworks: np.ndarray, options: Namespace) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    engines: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "artrec": lambda users: top_k(users, artworks, options.k, threads=options.threads)[0]
    }
    if options.shard:
        engines["artrec, shards"] = partial(search_in_shards, artworks, options)
        engines["artrec, shards, artworks prepared once"] = partial(search_in_shards, PreparedItems(artworks), options)
    if not options.no_baseline:
        index = faiss.IndexFlatIP(artworks.shape[1])
        index.add(artworks)
        engines["faiss"] = lambda users: index.search(users, options.k)[1]
    return engines


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--artworks", type=int, default=112_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard", type=int, help="also run in shards of this many users")
    parser.add_argument("--no-baseline", action="store_true", help="without faiss")
    options = parser.parse_options()
    faiss.omp_set_num_threads(options.threads)
    rng = np.random.default_rng(options.seed)
    table = ReadmeTable(TABLE, "d", "engine", "seconds", "M pairs per second", "MB beyond the inputs", "of it lists")
    for dim in options.dims:
        artworks, users = (rng.standard_normal((rows, dim), np.float32) for rows in (options.artworks, options.users))
        with threadpool_limits(options.threads):
            for name, engine in make_engines(artworks, options).items():
                engine(users[:USERS_TO_WARM_UP])
                ids, seconds, extra_mb = measure(partial(engine, users))
                if not is_exact(users[:64], artworks, None, ids[:64]):
                    raise SystemExit(f"{name}, d = {dim}: the lists are not exact")
                pairs = options.users * options.artworks / seconds / 1e6
                # A list holds an id and a score of four bytes each per place.
                lists_mb = 2 * ids.size * 4 / 2**20
                table.add_row(str(dim), name, f"{seconds:.1f}", f"{pairs:,.0f}", f"{extra_mb:,.0f}", f"{lists_mb:,.0f}")
    sizes = f"{options.users:,} users, {options.artworks:,} artworks, k = {options.k}, random vectors"
    libraries = [] if options.no_baseline else ["faiss-cpu"]
    table.finish(make_caption(sizes=sizes, threads=options.threads, libraries=libraries), write=options.write)


if __name__ == "__main__":
    main()
