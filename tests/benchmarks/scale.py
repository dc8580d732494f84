"""One large `top_k`: wall time, and memory beyond inputs and outputs: `python -m tests.benchmarks.scale --help`.

faiss' flat index answers the same question in the same run (`--no-peer` leaves it out). Vectors are random, so nothing can be
pruned. Some lists are compared with a float64 brute force.
"""

import argparse
import threading
import time
from collections.abc import Callable
from functools import partial

import faiss
import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from artrec_core.processor import describe_machine
from artrec_core.recs.topk.search import PreparedItems, top_k
from tests.benchmarks.topk import is_exact

WARM_UP = 256


def resident_mb() -> float:
    """What the process holds of memory now."""
    return float(psutil.Process().memory_info().rss) / 2**20


def measured(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """What the call returns, its seconds, and the most MB that it held beyond what was held before."""
    before, most, done = resident_mb(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    try:
        found = call()
    finally:
        seconds = time.perf_counter() - begun
        done.set()
        watcher.join()
    return found, seconds, max(most, resident_mb()) - before


def in_shards(works: np.ndarray | PreparedItems, options: argparse.Namespace, people: np.ndarray) -> np.ndarray:
    """The lists of some people after the other, as the score step makes them."""
    tops = range(0, len(people), options.shard)
    shards = (people[top : top + options.shard] for top in tops)
    return np.concatenate([top_k(some, works, options.k, threads=options.threads)[0] for some in shards])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--works", type=int, default=112_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard", type=int, help="also so many people at a time")
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)
    rng = np.random.default_rng(options.seed)
    print(f"{options.people:,} people x {options.works:,} works, k = {options.k}, {describe_machine(options.threads)}")  # fmt: skip
    for dim in options.dims:
        works, people = (rng.standard_normal((rows, dim), np.float32) for rows in (options.works, options.people))
        index = faiss.IndexFlatIP(dim)
        index.add(works)
        engines: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "artrec": lambda some, works=works: top_k(some, works, options.k, threads=options.threads)[0]
        }
        if options.shard:
            engines["artrec, shards"] = partial(in_shards, works, options)
            engines["artrec, made ready once"] = partial(in_shards, PreparedItems(works), options)
        if not options.no_peer:
            engines[f"faiss {faiss.__version__}"] = lambda some, index=index: index.search(some, options.k)[1]
        with threadpool_limits(options.threads):
            for name, engine in engines.items():
                engine(people[:WARM_UP])
                found, seconds, more = measured(lambda engine=engine, people=people: engine(people))  # type: ignore[misc]
                if not is_exact(people[:64], works, None, found[:64]):
                    raise SystemExit(f"{name}, d = {dim}: the lists are not exact")
                pairs = options.people * options.works / seconds / 1e6
                print(
                    f"d = {dim}: {name:23} {seconds:7.1f} s, {pairs:6,.0f}M pairs a second, {more:6,.0f} MB held beyond the"
                    f" inputs, of it lists {2 * found.size * 4 / 2**20:,.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
