"""Exact top-K compared with faiss, implicit and torch on the same inputs: `python -m tests.benchmarks.topk --help`.

Every timed call gets new users, and the engines take turns in random order. A baseline may build what it keeps (the
faiss index) before the clock starts. artrec prepares its artworks inside every call. faiss cannot exclude artworks per
user: as its users must, it fetches k plus the number of excluded artworks and drops those afterwards.

Real vectors come from a lake (`--lake --date --recipe`: the folded vectors of the recipe's default strategy) or from a
.npy file of document vectors (`--documents`). With documents, a user is the mean of eight artworks plus a little noise.
Fewer dimensions are a seeded orthonormal projection.
"""

import os
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from implicit.cpu.topk import topk as implicit_topk
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from artrec_core.config import load
from artrec_core.lake import Lake
from artrec_core.processor import SETTING
from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables
from artrec_core.recs.tables.scored_tables import ScoredTables
from artrec_core.recs.topk.int8_engine import int8_products_are_fast
from artrec_core.recs.topk.search import top_k
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption

USERS_PER_BLOCK = 1024
BASELINES = ("faiss", "implicit", "torch")
TABLE, TABLE_WITHOUT_INT8 = "topk.py", "topk.py --no-int8"


@dataclass(frozen=True)
class Inputs:
    """Vectors of one row of the table: artworks (I, d), and a function that draws new users (U, d) each time."""

    name: str
    artworks: np.ndarray
    draw_users: Callable[[int, np.random.Generator], np.ndarray]


def random_inputs(artwork_count: int, dim: int, rng: np.random.Generator) -> Inputs:
    artworks = rng.standard_normal((artwork_count, dim)).astype(np.float32)
    return Inputs(f"random d={dim}", artworks, lambda count, rng: rng.standard_normal((count, dim)).astype(np.float32))


def document_inputs(documents: np.ndarray, artwork_count: int, dim: int, rng: np.random.Generator) -> Inputs:
    sample = documents[rng.permutation(len(documents))[:artwork_count]]
    if dim < sample.shape[1]:
        sample = sample @ np.linalg.qr(rng.standard_normal((sample.shape[1], dim)))[0]
    artworks = np.ascontiguousarray(sample, np.float32)

    def draw_users(count: int, rng: np.random.Generator) -> np.ndarray:
        means = artworks[rng.integers(0, len(artworks), (count, 8))].mean(axis=1)
        noise = rng.standard_normal(means.shape) * np.linalg.norm(means, axis=1, keepdims=True) / np.sqrt(dim) / 4
        return (means + noise).astype(np.float32)

    return Inputs(f"documents d={dim}", artworks, draw_users)


def folded_inputs(lake: str, day: str, recipe: Path, artwork_count: int, rng: np.random.Generator) -> Inputs:
    """The default strategy's folded vectors: at most `artwork_count` artworks; users are drawn with repetition."""
    settings, read = load(recipe), Lake(lake).read
    tables = ("catalogue", "people", "histories", "item_vectors", "user_vectors", "text_vectors")
    scored = ScoredTables(
        ScoringData(ScoringTables(day, **{table: read(table, day) for table in tables})),
        settings.strategies,
        settings.publish.strategy,
        settings.score,
    )
    folding = scored.foldings[scored.default]
    user_count = scored.data.shape[0]
    users = folding.users(0, user_count)[np.flatnonzero(folding.have_vectors(np.arange(user_count)))]
    artworks = folding.items[rng.permutation(len(folding.items))[:artwork_count]]

    def draw_users(count: int, rng: np.random.Generator) -> np.ndarray:
        return users[rng.integers(0, len(users), count)]

    return Inputs(f"folded {scored.default} d={artworks.shape[1]}", np.ascontiguousarray(artworks), draw_users)


def make_engines(artworks: np.ndarray, k: int, threads: int) -> dict[str, Callable[[np.ndarray, Any], Any]]:
    """Each engine takes users (U, d) and a CSR (U, I) of artworks to exclude, or None; it returns ids (U, k)."""
    index = faiss.IndexFlatIP(artworks.shape[1])
    index.add(artworks)
    tensor = torch.from_numpy(artworks)
    out = torch.empty((USERS_PER_BLOCK, len(artworks)))

    def products(users: np.ndarray) -> Iterator[tuple[int, torch.Tensor]]:
        for start in range(0, len(users), USERS_PER_BLOCK):
            block = torch.from_numpy(users[start : start + USERS_PER_BLOCK])
            yield start, torch.mm(block, tensor.T, out=out[: len(block)])

    def search_torch(users: np.ndarray, exclude: Any) -> np.ndarray:
        ids = []
        for start, scores in products(users):
            if exclude is not None:
                pairs = exclude[start : start + len(scores)].tocoo()
                rows, columns = (torch.from_numpy(axis.astype(np.int64)) for axis in (pairs.row, pairs.col))
                scores[rows, columns] = -np.inf
            ids.append(torch.topk(scores, k).indices.numpy())
        return np.concatenate(ids)

    def search_faiss(users: np.ndarray, exclude: Any) -> np.ndarray:
        if exclude is None:
            return index.search(users, k)[1]
        candidates = index.search(users, k + int(np.diff(exclude.indptr).max()))[1]
        ids = np.empty((len(users), k), np.int64)
        for row, row_candidates in enumerate(candidates):
            excluded = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
            ids[row] = row_candidates[~np.isin(row_candidates, excluded)][:k]
        return ids

    return {
        "artrec": lambda users, exclude: top_k(users, artworks, k, exclude=exclude, threads=threads)[0],
        "faiss": search_faiss,
        "implicit": lambda users, exclude: implicit_topk(artworks, users, k, filter_query_items=exclude, num_threads=threads)[0],
        "torch": search_torch,
        "product": lambda users, exclude: [None for _ in products(users)],
    }  # fmt: skip


def draw_excluded(users: np.ndarray, artworks: np.ndarray, count: int, rng: np.random.Generator) -> Any:
    """A CSR (U, I) of artworks to exclude, or None: half from the user's best, as users see what they like, half random."""
    if not count:
        return None
    best = top_k(users, artworks, count)[0][:, ::2]
    rows = [np.union1d(row, rng.choice(len(artworks), count, replace=False)[: count - len(row)]) for row in best]
    starts = np.cumsum([0, *(len(row) for row in rows)])
    shape = (len(users), len(artworks))
    return csr_matrix((np.ones(starts[-1], np.float32), np.concatenate(rows), starts), shape=shape)


def is_exact(users: np.ndarray, artworks: np.ndarray, exclude: Any, ids: np.ndarray) -> bool:
    """Whether the lists of these users hold the best scores of a float64 product, to the last float32 digit."""
    scores = (users.astype(np.float64) @ artworks.astype(np.float64).T).astype(np.float32)
    if exclude is not None:
        pairs = exclude[: len(users)].tocoo()
        scores[pairs.row, pairs.col] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, : ids.shape[1]]
    best_scores, list_scores = (np.take_along_axis(scores, rows, 1) for rows in (best, ids))
    return np.allclose(best_scores, list_scores, rtol=2e-7, atol=1e-30)


def measure(inputs: Inputs, k: int, excluded: int, options: Namespace) -> dict[str, float]:
    """Median seconds of each engine over the repeats, after one that does not count."""
    rng = np.random.default_rng(options.seed + k)
    engines = make_engines(inputs.artworks, k, options.threads)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for repeat in range(options.repeats + 1):
        users = inputs.draw_users(options.users if repeat else min(options.users, 256), rng)
        exclude = draw_excluded(users, inputs.artworks, excluded, rng)
        for name in sorted(engines, key=lambda _: rng.random()):
            start = time.perf_counter()
            ids = engines[name](users, exclude)
            if repeat:
                seconds[name].append(time.perf_counter() - start)
            if name == "artrec" and not is_exact(users[:8], inputs.artworks, exclude, ids[:8]):
                raise SystemExit(f"{inputs.name}, k = {k}: the lists are not exact")
    return {name: float(np.median(values)) for name, values in seconds.items()}


def all_inputs(options: Namespace) -> Iterator[Inputs]:
    rng = np.random.default_rng(options.seed)
    if options.lake:
        yield folded_inputs(options.lake, options.date, options.recipe, options.artworks, rng)
    for dim in options.dims:
        if options.documents:
            documents = np.load(options.documents, mmap_mode="r")
            if dim <= documents.shape[1]:
                yield document_inputs(documents, options.artworks, dim, rng)
        if not options.no_random:
            yield random_inputs(options.artworks, dim, rng)


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE, TABLE_WITHOUT_INT8)
    parser.add_argument("--users", type=int, default=4096)
    parser.add_argument("--artworks", type=int, default=100_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 384])
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--exclude", type=int, nargs="+", default=[0, 100], help="artworks to exclude per user")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=Path, help="a .npy file of document vectors (n, d), float32")
    parser.add_argument("--lake", help="a lake that embed has filled; needs --date and --recipe")
    parser.add_argument("--date", type=lambda text: date.fromisoformat(text).isoformat())
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--no-random", action="store_true", help="real vectors only")
    parser.add_argument("--no-int8", action="store_true", help="run as on a processor without fast int8 products")
    options = parser.parse_options()
    if options.no_int8:
        os.environ[SETTING] = "avx2"

    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    table = ReadmeTable(
        TABLE_WITHOUT_INT8 if options.no_int8 else TABLE,
        *("vectors", "k", "excluded per user", "artrec s", *BASELINES, "product alone", "fastest baseline / artrec"),
    )
    artwork_counts = set()
    with threadpool_limits(options.threads):
        for inputs in all_inputs(options):
            artwork_counts.add(len(inputs.artworks))
            for k in options.k:
                for excluded in options.exclude:
                    seconds = measure(inputs, k, excluded, options)
                    figures = [f"{seconds[name]:.2f}" for name in ("artrec", *BASELINES, "product")]
                    ratio = min(seconds[name] for name in BASELINES) / seconds["artrec"]
                    table.add_row(inputs.name, str(k), str(excluded), *figures, f"{ratio:.2f}")
    counts = " and ".join(f"{count:,}" for count in sorted(artwork_counts))
    caption = make_caption(
        sizes=f"{options.users:,} users, {counts} artworks, median of {options.repeats} calls",
        threads=options.threads,
        libraries=["faiss-cpu", "implicit", "torch", "numpy", "numba"],
        notes=[f"int8 engine {'on' if int8_products_are_fast() else 'off'}"],
    )
    table.finish(caption, write=options.write)


if __name__ == "__main__":
    main()
