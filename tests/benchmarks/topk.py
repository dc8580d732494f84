"""Exact top-K side by side with its peers, on the same inputs: `python tests/benchmarks/topk.py --help`.

Every timed call gets people nobody has seen before, and the engines take turns. Peers may build what they keep (the faiss
index) before the clock runs; ours prepares its artworks inside every call. A peer without exclusions (faiss) fetches
k + the excluded ones and drops them afterwards, as its users have to.

Real vectors come from a lake (`--lake --date --recipe`: the folded vectors of the recipe's default strategy) or from a .npy
of document vectors (`--documents`), where a person is the mean of eight works and a little noise, and fewer dimensions are
a seeded orthonormal projection.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from implicit.cpu.topk import topk as implicit_topk
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from artrec_core.processor import SETTING, describe_machine
from artrec_core.recs.topk.int8_engine import int8_products_are_fast
from artrec_core.recs.topk.search import top_k

PEOPLE_IN_BATCH = 1024
PEERS = ("faiss", "implicit", "torch")


@dataclass(frozen=True)
class Inputs:
    """Works (I, d), and as many people (U, d) as asked for, others each time."""

    name: str
    works: np.ndarray
    people: Callable[[int, np.random.Generator], np.ndarray]


def random_inputs(works: int, dim: int, rng: np.random.Generator) -> Inputs:
    items = rng.standard_normal((works, dim)).astype(np.float32)
    return Inputs(f"random d={dim}", items, lambda many, rng: rng.standard_normal((many, dim)).astype(np.float32))


def document_inputs(documents: np.ndarray, works: int, dim: int, rng: np.random.Generator) -> Inputs:
    picked = documents[rng.permutation(len(documents))[:works]]
    if dim < picked.shape[1]:
        picked = picked @ np.linalg.qr(rng.standard_normal((picked.shape[1], dim)))[0]
    items = np.ascontiguousarray(picked, np.float32)

    def people(many: int, rng: np.random.Generator) -> np.ndarray:
        means = items[rng.integers(0, len(items), (many, 8))].mean(axis=1)
        noise = rng.standard_normal(means.shape) * np.linalg.norm(means, axis=1, keepdims=True) / np.sqrt(dim) / 4
        return (means + noise).astype(np.float32)

    return Inputs(f"documents d={dim}", items, people)


def folded_inputs(lake: str, day: str, recipe: Path, works: int, rng: np.random.Generator) -> Inputs:
    """The default strategy's folded vectors. People are drawn anew each time; works are repeated to reach `works`."""
    from artrec_core.config import load
    from artrec_core.lake import Lake
    from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables
    from artrec_core.recs.tables.scored_tables import ScoredTables

    settings, read = load(recipe), Lake(lake).read
    tables = ("catalogue", "people", "histories", "item_vectors", "user_vectors", "text_vectors")
    scored = ScoredTables(
        ScoringData(ScoringTables(day, **{table: read(table, day) for table in tables})),
        settings.strategies,
        settings.publish.strategy,
        settings.score,
    )
    folding = scored.foldings[scored.default]
    known = np.flatnonzero(folding.has_vector(0, scored.data.shape[0]))
    vectors = folding.users(0, scored.data.shape[0])[known]
    items = folding.items[rng.permutation(len(folding.items))[:works]]

    def people(many: int, rng: np.random.Generator) -> np.ndarray:
        return vectors[rng.integers(0, len(vectors), many)]

    return Inputs(f"folded {scored.default} d={items.shape[1]}", np.ascontiguousarray(items), people)


def engines(works: np.ndarray, k: int, threads: int) -> dict[str, Callable[[np.ndarray, Any], Any]]:
    """Each takes people (U, d) and a CSR of works to leave out (or None)."""
    index = faiss.IndexFlatIP(works.shape[1])
    index.add(works)
    tensor = torch.from_numpy(works)
    out = torch.empty((PEOPLE_IN_BATCH, len(works)))

    def products(people: np.ndarray) -> Iterator[tuple[int, torch.Tensor]]:
        for top in range(0, len(people), PEOPLE_IN_BATCH):
            some = torch.from_numpy(people[top : top + PEOPLE_IN_BATCH])
            yield top, torch.mm(some, tensor.T, out=out[: len(some)])

    def by_torch(people: np.ndarray, seen: Any) -> np.ndarray:
        found = []
        for top, scores in products(people):
            if seen is not None:
                rows = seen[top : top + len(scores)].tocoo()
                scores[
                    torch.from_numpy(rows.row.astype(np.int64)), torch.from_numpy(rows.col.astype(np.int64))
                ] = -np.inf
            found.append(torch.topk(scores, k).indices.numpy())
        return np.concatenate(found)

    def by_faiss(people: np.ndarray, seen: Any) -> np.ndarray:
        if seen is None:
            return index.search(people, k)[1]
        found = index.search(people, k + int(np.diff(seen.indptr).max()))[1]
        kept = np.empty((len(people), k), np.int64)
        for row, ids in enumerate(found):
            mine = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
            kept[row] = ids[~np.isin(ids, mine)][:k]
        return kept

    return {
        "ours": lambda people, seen: top_k(people, works, k, exclude=seen, threads=threads)[0],
        "faiss": by_faiss,
        "implicit": lambda people, seen: implicit_topk(works, people, k, filter_query_items=seen, num_threads=threads)[0],
        "torch": by_torch,
        "product": lambda people, seen: [None for _ in products(people)],
    }  # fmt: skip


def seen_by(people: np.ndarray, works: np.ndarray, many: int, rng: np.random.Generator) -> Any:
    """Half of them works the person would get, as people have seen what they like; half any works."""
    if not many:
        return None
    liked = top_k(people, works, many)[0][:, ::2]
    rows = [np.union1d(row, rng.choice(len(works), many, replace=False)[: many - len(row)]) for row in liked]
    starts = np.cumsum([0, *(len(row) for row in rows)])
    return csr_matrix((np.ones(starts[-1], np.float32), np.concatenate(rows), starts), shape=(len(people), len(works)))


def is_exact(people: np.ndarray, works: np.ndarray, seen: Any, ids: np.ndarray) -> bool:
    """Whether the first people's lists are those of float64: scores alike to the last float32 digit, ties by id."""
    true = (people.astype(np.float64) @ works.astype(np.float64).T).astype(np.float32)
    if seen is not None:
        rows = seen[: len(people)].tocoo()
        true[rows.row, rows.col] = -np.inf
    best = np.argsort(-true, axis=1, kind="stable")[:, : ids.shape[1]]
    return np.allclose(np.take_along_axis(true, best, 1), np.take_along_axis(true, ids, 1), rtol=2e-7, atol=1e-30)


def measure(inputs: Inputs, k: int, excluded: int, options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each engine over the repetitions, which start with one that is not counted."""
    rng = np.random.default_rng(options.seed + k)
    able = engines(inputs.works, k, options.threads)
    seconds: dict[str, list[float]] = {name: [] for name in able}
    for turn in range(options.repeats + 1):
        people = inputs.people(options.people if turn else min(options.people, 256), rng)
        seen = seen_by(people, inputs.works, excluded, rng)
        for name in sorted(able, key=lambda _: rng.random()):
            began = time.perf_counter()
            found = able[name](people, seen)
            if turn:
                seconds[name].append(time.perf_counter() - began)
            if name == "ours" and not is_exact(people[:8], inputs.works, seen, found[:8]):
                raise SystemExit(f"{inputs.name}, k = {k}: the lists are not exact")
    return {name: float(np.median(taken)) for name, taken in seconds.items()}


def all_inputs(options: argparse.Namespace) -> Iterator[Inputs]:
    rng = np.random.default_rng(options.seed)
    if options.lake:
        yield folded_inputs(options.lake, options.date, options.recipe, options.works, rng)
    for dim in options.dims:
        if options.documents:
            documents = np.load(options.documents, mmap_mode="r")
            if dim <= documents.shape[1]:
                yield document_inputs(documents, options.works, dim, rng)
        if not options.no_random:
            yield random_inputs(options.works, dim, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4096)
    parser.add_argument("--works", type=int, default=100_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 384])
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--exclude", type=int, nargs="+", default=[0, 100], help="works left out a person")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=Path, help="a .npy of document vectors (n, d) float32")
    parser.add_argument("--lake", help="a lake that embed has filled, with --date and --recipe")
    parser.add_argument("--date", type=lambda text: date.fromisoformat(text).isoformat())
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--no-random", action="store_true", help="real vectors only")
    parser.add_argument("--no-codes", action="store_true", help="as on a processor without fast eight-bit products")
    options = parser.parse_args()
    if options.no_codes:
        os.environ[SETTING] = "avx2"

    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    versions = ", ".join(f"{name} {version(name)}" for name in ("faiss-cpu", "implicit", "torch", "numpy", "numba"))
    print(f"{describe_machine(options.threads)}; codes: {int8_products_are_fast()}; {versions}")
    print(
        f"| {'vectors':28} | works | k | exclude | ours s | " + " | ".join(PEERS) + " | product | fastest peer / ours |"
    )
    print("|" + "---|" * 10)
    with threadpool_limits(options.threads):
        for inputs in all_inputs(options):
            for k in options.k:
                for excluded in options.exclude:
                    taken = measure(inputs, k, excluded, options)
                    ratio = min(taken[peer] for peer in PEERS) / taken["ours"]
                    figures = " | ".join(f"{taken[name]:.2f}" for name in ("ours", *PEERS, "product"))
                    print(
                        f"| {inputs.name:28} | {len(inputs.works)} | {k} | {excluded} | {figures} | {ratio:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
