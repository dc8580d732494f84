"""Exact top-K on a GPU, compared with the rate of its 16-bit matrix product: `python -m tests.benchmarks.gpu_topk --help`.

One call checks the results against float64 and then times every size. The limit is the measured rate of a large bf16
matrix product; a row's share is its own multiplications per second divided by that rate. Artworks are on the device
before the clock starts, for the baselines too. Users are new in every timed call and are on the device too; results
stay there. Only the row "from and to the host" includes both copies.

Needs torch and numpy, and Triton for the kernel. faiss-gpu and cuVS are timed if they can be imported. `--small` runs
tiny sizes, also on a CPU (`TRITON_INTERPRET=1` for the kernel); `--tiles` also tries other tile sizes of the kernel.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from artrec_core.processor import describe_machine
from artrec_core.recs.topk.gpu_engine import DeviceItems, prepare_items, top_k_of_block, top_k_on_device
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption

TABLE = "gpu_topk.py"
USERS_TO_CHECK, SEEN_PER_USER = 64, 100
USERS_PER_BLOCK = 2048
# (users, artworks, warps, stages) of a kernel's program. --tiles tries those that fit in the device's fast memory.
TILES = [
    (128, 128, 4, 2), (128, 128, 8, 2), (128, 128, 8, 3), (128, 64, 4, 2), (128, 64, 4, 3), (128, 64, 8, 2), (128, 64, 8, 3),
    (64, 128, 4, 2), (64, 64, 4, 2), (256, 64, 8, 2), (256, 128, 8, 2),
]  # fmt: skip

# Takes users (U, d) on the device; the result stays unread.
Engine = Callable[[torch.Tensor], Any]


@dataclass(frozen=True)
class Sizes:
    """What is measured: numbers of users, artworks and dimensions, k, and timed calls per row."""

    users: tuple[int, ...]
    artworks: int
    dims: tuple[int, ...]
    k: int
    repeats: int


LARGE, SMALL = Sizes((4096, 16_384), 1_000_000, (128, 256, 384), 100, 5), Sizes((64,), 4_000, (32, 48), 10, 2)


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE)
    parser.add_argument("--small", action="store_true", help="tiny sizes; runs on a CPU if there is no GPU")
    parser.add_argument("--tiles", action="store_true", help="also time other tile sizes of the kernel")
    parser.add_argument("--k", type=int, help=f"default {LARGE.k}; with --small {SMALL.k}")
    options = parser.parse_options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.small:
        parser.error("there is no GPU here; --small runs on a CPU")
    sizes = SMALL if options.small else LARGE
    k = options.k or sizes.k
    sizes = Sizes(sizes.users, sizes.artworks, sizes.dims, k, sizes.repeats)
    limit = product_rate(device, 8192 if device.type == "cuda" else 512)
    table = ReadmeTable(TABLE, "d", "users", "engine", "ms, median", "ms, best", "TFLOP/s", "share of the product")
    notes = [measure_dimension(table, device, dim, sizes, limit, tiles=options.tiles) for dim in sizes.dims]
    caption = make_caption(
        sizes=f"{sizes.artworks:,} artworks, k = {k}, random vectors",
        machine=machine_name(device),
        libraries=["torch", "triton"],
        notes=[f"bf16 matrix product: {limit / 1e12:.1f} TFLOP/s", *notes],
    )
    table.finish(caption, write=options.write)


def machine_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name())
    return describe_machine(torch.get_num_threads())


def measure_dimension(
    table: ReadmeTable, device: torch.device, dim: int, sizes: Sizes, limit: float, *, tiles: bool
) -> str:
    """Check and time all engines; returns how long the artworks took to get to the device."""
    rng = np.random.default_rng(dim)
    vectors = rng.standard_normal((sizes.artworks, dim)).astype(np.float32)
    start = time.perf_counter()
    items = prepare_items(vectors, device, fused=find_spec("triton") is not None)
    wait(device)
    seconds = time.perf_counter() - start
    check_results(items, vectors, sizes.k, rng)
    for user_count in sizes.users:
        with_tiles = tiles and user_count == min(sizes.users)
        for name, engine in make_engines(device, vectors, items, sizes.k, tiles=with_tiles):
            draws = rng.standard_normal((sizes.repeats + 1, user_count, dim), dtype=np.float32)
            cells = time_engine(engine, torch.from_numpy(draws).to(device), sizes.artworks, limit)
            table.add_row(str(dim), f"{user_count:,}", name, *cells)
    return f"d = {dim}: artworks on the device in {seconds:.2f} s"


def make_engines(
    device: torch.device, vectors: np.ndarray, items: DeviceItems, k: int, *, tiles: bool
) -> Iterator[tuple[str, Engine]]:
    yield ("artrec" if items.tile else "artrec, no kernel"), lambda users: search_in_blocks(users, items, k)
    yield "artrec, from and to the host", lambda users: top_k_on_device(users.cpu().numpy(), items, k)
    if tiles and items.tile:
        # Only where Triton is: the import needs it.
        from artrec_core.recs.topk.gpu_kernel import Tile

        for tile in TILES:
            tiled = prepare_items(vectors, device, fused=True, tile=Tile(*tile))
            yield f"artrec, tile {tile}", lambda users, tiled=tiled: search_in_blocks(users, tiled, k)
            del tiled
    plain = prepare_items(vectors, device, fused=False)
    yield "artrec, torch alone (float32)", lambda users: search_in_blocks(users, plain, k, USERS_PER_BLOCK)
    halves = items.vectors.to(torch.bfloat16)
    yield "torch, bf16 product and topk (not exact)", lambda users: search_torch(users, halves, k)
    yield "bf16 product alone", lambda users: multiply(users, halves)
    yield from baselines(vectors, items, k)


def baselines(vectors: np.ndarray, items: DeviceItems, k: int) -> Iterator[tuple[str, Engine]]:
    """The libraries that are installed and can use this GPU."""
    if find_spec("faiss"):
        import faiss

        if hasattr(faiss, "StandardGpuResources") and items.vectors.is_cuda:
            index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), vectors.shape[1])
            index.add(vectors)
            yield f"faiss-gpu {faiss.__version__} (float32)", lambda users: index.search(users.cpu().numpy(), k)
    if find_spec("cuvs") and items.vectors.is_cuda:
        from cuvs.neighbors import brute_force

        cuvs_index = brute_force.build(items.vectors, metric="inner_product")
        yield "cuVS brute force (float32)", lambda users: brute_force.search(cuvs_index, users, k)


def search_in_blocks(users: torch.Tensor, items: DeviceItems, k: int, users_per_block: int = 16_384) -> list[Any]:
    return [top_k_of_block(block, items, k) for block in users.split(users_per_block)]


def search_torch(users: torch.Tensor, items: torch.Tensor, k: int) -> list[torch.Tensor]:
    blocks = users.to(items.dtype).split(USERS_PER_BLOCK)
    return [torch.topk(block @ items.T, k, dim=1).indices for block in blocks]


def multiply(users: torch.Tensor, items: torch.Tensor) -> None:
    halves = users.to(items.dtype)
    out = torch.empty((min(len(halves), USERS_PER_BLOCK), len(items)), dtype=items.dtype, device=items.device)
    for block in halves.split(USERS_PER_BLOCK):
        torch.mm(block, items.T, out=out[: len(block)])


def check_results(items: DeviceItems, vectors: np.ndarray, k: int, rng: np.random.Generator) -> None:
    """Compare ids and scores of some users, each with seen artworks, with a float64 product; ties by id."""
    count = USERS_TO_CHECK
    users = rng.standard_normal((count, vectors.shape[1])).astype(np.float32)
    numbers = np.tile(np.arange(min(len(vectors), 1000)), (count, 1))
    seen = np.sort(rng.permuted(numbers, axis=1)[:, :SEEN_PER_USER], axis=1)
    seen_rows = np.arange(count + 1, dtype=np.int64) * seen.shape[1], seen.ravel().astype(np.int32)
    ids, scores, open_users = top_k_on_device(users, items, k, seen_rows)
    device = items.vectors.device
    exact = torch.from_numpy(users).to(device).double() @ items.vectors.double().T
    exact[torch.arange(count, device=device)[:, None], torch.from_numpy(seen).to(device)] = -torch.inf
    # float64 sums in another order can differ in a float32's last digit. Ids may then change places within it.
    best = torch.topk(exact, k, dim=1)
    expected = best.values.float().cpu().numpy()
    wrong_scores = np.abs(scores - expected) > 1.2e-7 * np.abs(expected)
    wrong_ids = (ids != best.indices.cpu().numpy()) & (np.abs(scores - expected) > 0)
    if wrong_scores.any() or wrong_ids.any() or len(open_users):
        raise SystemExit(
            f"the results are not those of float64, of {count} users: {int(wrong_scores.sum())} wrong scores, "
            f"{int(wrong_ids.sum())} wrong ids, {len(open_users)} users left open"
        )


def time_engine(engine: Engine, batches: torch.Tensor, artworks: int, limit: float) -> list[str]:
    """Median and best ms, TFLOP/s and the share of the limit; the first batch does not count."""
    device = batches.device
    seconds = []
    try:
        engine(batches[0])
        for users in batches[1:]:
            wait(device)
            start = time.perf_counter()
            engine(users)
            wait(device)
            seconds.append(time.perf_counter() - start)
    except Exception as error:  # A tile does not fit, or a baseline cannot do it: the other rows still count.
        return [f"failed: {type(error).__name__}: {str(error)[:90]}", "", "", ""]
    median = float(np.median(seconds))
    _, user_count, dim = batches.shape
    rate = 2.0 * user_count * artworks * dim / median
    return [f"{median * 1e3:.2f}", f"{min(seconds) * 1e3:.2f}", f"{rate / 1e12:.1f}", f"{rate / limit:.1%}"]


def product_rate(device: torch.device, size: int) -> float:
    """Multiplications and additions per second of a square bf16 product, the median of twenty."""
    left, right = (torch.randn((size, size), device=device).to(torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(23):
        wait(device)
        start = time.perf_counter()
        left @ right
        wait(device)
        seconds.append(time.perf_counter() - start)
    return float(2.0 * size**3 / np.median(seconds[3:]))


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
