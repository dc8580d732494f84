"""Exact top-K on a GPU against the rate of its 16-bit matrix product: `python tests/benchmarks/gpu_topk.py --help`.

One call checks the answers against float64, then times every size. The line nothing can cross is the measured rate of a
large bf16 matrix product; a row's share is its own multiplications per second over that. Artworks are on the device before
the clock runs, as for the peers; people are fresh in every timed call, on the device too, and answers stay there, but in the
row "from and to the host". Needs torch
and numpy, Triton for the kernel, and this repository on PYTHONPATH; faiss-gpu and cuVS are timed where they can be imported.
`--small` runs tiny sizes, on a CPU too (`TRITON_INTERPRET=1` for the kernel); `--tiles` also tries other cuts of the work.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from artrec_core.processor import describe_machine
from artrec_core.recs.topk import gpu_engine as gpu_topk

PEOPLE = (4096, 16_384)
WORKS = 1_000_000
DIMS = (128, 256, 384)
CHECKED = 64
# (people, works, warps, stages) of a kernel's program, tried by --tiles where they fit the device's fast memory.
TILES = [
    (128, 128, 4, 2), (128, 128, 8, 2), (128, 128, 8, 3), (128, 64, 4, 2), (128, 64, 4, 3), (128, 64, 8, 2), (128, 64, 8, 3),
    (64, 128, 4, 2), (64, 64, 4, 2), (256, 64, 8, 2), (256, 128, 8, 2),
]  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    people: tuple[int, ...]
    works: int
    dims: tuple[int, ...]
    k: int
    repeats: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny sizes, on a CPU where there is no GPU")
    parser.add_argument("--tiles", action="store_true", help="time other cuts of the work too")
    parser.add_argument("--k", type=int, default=100)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not args.small:
        parser.error("there is no GPU here; --small runs on a CPU")
    sizes = Sizes(PEOPLE, WORKS, DIMS, args.k, 5)
    if args.small:
        sizes = Sizes((64,), 4_000, (32, 48), min(args.k, 10), 2)
    describe(device)
    line = product_rate(device, 8192 if device.type == "cuda" else 512)
    print(f"bf16 matrix product: {line / 1e12:.1f} TFLOP/s; this is 100 %\n")
    for dim in sizes.dims:
        run_dimension(device, dim, sizes, line, args.tiles)


def describe(device: torch.device) -> None:
    name = torch.cuda.get_device_name() if device.type == "cuda" else describe_machine(torch.get_num_threads())
    triton = __import__("triton").__version__ if find_spec("triton") else "absent"
    print(f"{name}, torch {torch.__version__}, triton {triton}")


def run_dimension(device: torch.device, dim: int, sizes: Sizes, line: float, tiles: bool) -> None:
    rng = np.random.default_rng(dim)
    items = rng.standard_normal((sizes.works, dim)).astype(np.float32)
    fused = find_spec("triton") is not None
    begin = time.perf_counter()
    works = gpu_topk.prepare_items(items, device, fused=fused)
    wait(device)
    print(f"d={dim}, {sizes.works:,} works: on the device in {time.perf_counter() - begin:.2f} s (once a night)")
    check(works, items, dim, sizes.k, rng)
    for people in sizes.people:
        for name, answer in engines(device, items, works, sizes.k, tiles and people == min(sizes.people)):
            report(name, answer, people, dim, sizes, line, device, rng)
    print()


def engines(
    device: torch.device, items: np.ndarray, works: gpu_topk.DeviceItems, k: int, tiles: bool
) -> Iterator[tuple[str, Callable[[torch.Tensor], Any]]]:
    yield ("ours" if works.tile else "ours, no kernel"), lambda users: blocks(users, works, k)
    yield "ours, from and to the host", lambda users: gpu_topk.top_k_on_device(users.cpu().numpy(), works, k)
    if tiles and works.tile:
        from artrec_core.recs.topk.gpu_kernel import Tile

        for cut in TILES:
            other = gpu_topk.prepare_items(items, device, fused=True, tile=Tile(*cut))
            yield f"ours {cut}", lambda users, other=other: blocks(users, other, k)
            del other
    plain = gpu_topk.prepare_items(items, device, fused=False)
    yield "ours by torch alone (float32)", lambda users: blocks(users, plain, k, 2048)
    halves = works.vectors.to(torch.bfloat16)
    yield "torch bf16 matmul + topk (not exact)", lambda users: by_torch(users, halves, k)
    yield "bare bf16 product", lambda users: bare(users, halves)
    yield from peers(items, works, k)


def peers(
    items: np.ndarray, works: gpu_topk.DeviceItems, k: int
) -> Iterator[tuple[str, Callable[[torch.Tensor], Any]]]:
    if find_spec("faiss"):
        import faiss

        if hasattr(faiss, "StandardGpuResources") and works.vectors.is_cuda:
            index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), items.shape[1])
            index.add(items)
            yield f"faiss-gpu {faiss.__version__} (float32)", lambda users: index.search(users.cpu().numpy(), k)
    if find_spec("cuvs") and works.vectors.is_cuda:
        from cuvs.neighbors import brute_force

        built = brute_force.build(works.vectors, metric="inner_product")
        yield "cuVS brute force (float32)", lambda users: brute_force.search(built, users, k)


def blocks(users: torch.Tensor, works: gpu_topk.DeviceItems, k: int, people: int = 16_384) -> list[Any]:
    return [gpu_topk.top_k_of_block(some, works, k) for some in users.split(people)]


def by_torch(users: torch.Tensor, works: torch.Tensor, k: int) -> list[torch.Tensor]:
    given = users.to(works.dtype)
    return [torch.topk(some @ works.T, k, dim=1).indices for some in given.split(2048)]


def bare(users: torch.Tensor, works: torch.Tensor) -> None:
    given = users.to(works.dtype)
    out = torch.empty((min(len(given), 2048), len(works)), dtype=works.dtype, device=works.device)
    for some in given.split(2048):
        torch.mm(some, works.T, out=out[: len(some)])


def check(works: gpu_topk.DeviceItems, items: np.ndarray, dim: int, k: int, rng: np.random.Generator) -> None:
    """Ids and scores of some people, 100 seen works each, against a float64 product; ties by id."""
    users = rng.standard_normal((CHECKED, dim)).astype(np.float32)
    seen = np.sort(rng.permuted(np.tile(np.arange(min(len(items), 1000)), (CHECKED, 1)), axis=1)[:, :100], axis=1)
    rows = np.arange(CHECKED + 1, dtype=np.int64) * seen.shape[1], seen.ravel().astype(np.int32)
    ids, scores, left = gpu_topk.top_k_on_device(users, works, k, rows)
    device = works.vectors.device
    true = torch.from_numpy(users).to(device).double() @ works.vectors.double().T
    true[torch.arange(CHECKED, device=device)[:, None], torch.from_numpy(seen).to(device)] = -torch.inf
    # float64 sums in another order can differ in a float32's last place; ids may then change places within that.
    best = torch.topk(true, k, dim=1)
    expected = best.values.float().cpu().numpy()
    far = np.abs(scores - expected) > 1.2e-7 * np.abs(expected)
    swapped = (ids != best.indices.cpu().numpy()) & (np.abs(scores - expected) > 0)
    print(
        f"  check, {CHECKED} people: {int(far.sum())} scores off, {int(swapped.sum())} ids off, {len(left)} not settled"
    )
    if far.any() or swapped.any() or len(left):
        raise SystemExit("the answers are not those of float64")


def report(
    name: str, answer: Callable[[torch.Tensor], Any], people: int, dim: int, sizes: Sizes, line: float, device: torch.device,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    drawn = rng.standard_normal((sizes.repeats + 1, people, dim), dtype=np.float32)
    batches = torch.from_numpy(drawn).to(device)
    seconds = []
    try:
        answer(batches[0])
        for users in batches[1:]:
            wait(device)
            begin = time.perf_counter()
            answer(users)
            wait(device)
            seconds.append(time.perf_counter() - begin)
    except Exception as error:  # A cut that does not fit, a peer that cannot: the other rows still count.
        print(f"  {people:6,} people  {name:40s} failed: {type(error).__name__}: {str(error)[:90]}", flush=True)
        return
    middle = float(np.median(seconds))
    rate = 2.0 * people * sizes.works * dim / middle
    print(
        f"  {people:6,} people  {name:40s} {middle * 1e3:9.2f} ms (best {min(seconds) * 1e3:.2f})"
        f" {rate / 1e12:8.1f} TFLOP/s {rate / line:7.1%}",
        flush=True,
    )


def product_rate(device: torch.device, size: int) -> float:
    """Multiplications and additions per second of a square bf16 product, the median of twenty."""
    left, right = (torch.randn((size, size), device=device).to(torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(23):
        wait(device)
        begin = time.perf_counter()
        left @ right
        wait(device)
        seconds.append(time.perf_counter() - begin)
    return float(2.0 * size**3 / np.median(seconds[3:]))


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
