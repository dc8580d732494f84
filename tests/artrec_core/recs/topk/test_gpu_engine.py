"""The GPU engine gives the results of the CPU engine: torch on CPU tensors, the kernels in Triton's interpreter."""

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from artrec_core.recs.topk import gpu_engine, search
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.search import top_k
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors

CPU = torch.device("cpu")


def assert_same(actual: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> None:
    np.testing.assert_array_equal(actual[0], expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])


# Without a GPU the kernels run in Triton's interpreter (see conftest.py).
KERNEL_DEVICE = torch.device("cuda") if torch.cuda.is_available() else CPU


@pytest.fixture
def kernels() -> Any:
    pytest.importorskip("triton")
    return importlib.import_module("artrec_core.recs.topk.gpu_kernel")


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(KINDS), user_count=st.integers(1, 7), item_count=st.integers(1, 400), dim=st.integers(1, 40), k=st.integers(1, 30),
    block=st.sampled_from([(1, 7), (3, 64), (1024, 4096)]), seen_share=st.sampled_from([0.0, 0.1, 0.95]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_torch_equals_brute_force(
    kind: str, user_count: int, item_count: int, dim: int, k: int, block: tuple[int, int], seen_share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, user_count, dim, rng), vectors(kind, item_count, dim, rng)
    exclude = csr_matrix(random_array((user_count, item_count), density=seen_share, rng=rng)) if seen_share else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_engine, "USERS_WITHOUT_KERNEL", block[0])
        patch.setattr(gpu_engine, "ITEMS_WITHOUT_KERNEL", block[1])
        results = top_k(users, items, k, exclude=exclude, device="cpu:0")
    assert_same(results, brute(users, items, k, exclude))


@pytest.mark.parametrize("kind", ["random", "duplicated", "grid", "tiny", "one loud"])
def test_vectors_rounded_to_bf16_give_the_same_results(kind: str) -> None:
    rng = np.random.default_rng(5)
    users, items = vectors(kind, 20, 24, rng), vectors(kind, 3000, 24, rng)
    users = users[np.linalg.norm(users.astype(np.float64), axis=1) > 0]
    device_items = gpu_engine.prepare_items(items, CPU, dtype=torch.bfloat16)
    *results, open_rows = gpu_engine.top_k_on_device(users, device_items, 10)
    complete_rows = np.setdiff1d(np.arange(len(users)), open_rows)
    assert len(complete_rows)
    expected = top_k(users[complete_rows], items, 10, device="cpu")
    assert_same((results[0][complete_rows], results[1][complete_rows]), expected)


@pytest.mark.parametrize(
    ("kind", "item_count", "dim"),
    [("random", 530, 13), ("duplicated", 300, 40), ("all equal", 130, 16), ("one loud", 300, 24), ("huge", 257, 9)],
)
def test_kernels_equal_brute_force(kernels: Any, kind: str, item_count: int, dim: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("artrec_core.recs.topk.gpu_pruning.SAMPLE", 32)
    monkeypatch.setattr("artrec_core.recs.topk.gpu_pruning.PROGRAMS", 2)
    rng = np.random.default_rng(item_count)
    users, items = vectors("random", 18, dim, rng), vectors(kind, item_count, dim, rng)
    exclude = csr_matrix(random_array((18, item_count), density=0.02, rng=rng))
    exclude.sort_indices()
    device_items = gpu_engine.prepare_items(items, KERNEL_DEVICE, fused=True, tile=kernels.Tile(16, 64, 4, 2))
    seen = exclude.indptr.astype(np.int64), exclude.indices.astype(np.int32)
    *results, open_rows = gpu_engine.top_k_on_device(users, device_items, 4, seen)
    assert len(open_rows) == 0
    assert_same((results[0], results[1]), brute(users, items, 4, exclude))


def test_a_tile_of_128_fills_all_32_bits(kernels: Any) -> None:
    items, users = np.ones((300, 16), np.float32), np.ones((2, 16), np.float32)
    device_items = gpu_engine.prepare_items(items, KERNEL_DEVICE, fused=True, tile=kernels.Tile(16, 128, 4, 2))
    ids, _, open_rows = gpu_engine.top_k_on_device(users, device_items, 300)
    assert len(open_rows) == 0
    assert ids.tolist() == [list(range(300))] * 2


def test_a_tie_of_thousands_is_left_to_the_cpu(monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_engine, "MAX_PAIRS", 100)
    items = np.ones((3000, 16), np.float32)
    items[2999] = 2
    _, _, open_rows = gpu_engine.top_k_on_device(np.ones((2, 16), np.float32), gpu_engine.prepare_items(items, CPU), 3)
    assert open_rows.tolist() == [0, 1]
    assert top_k(np.ones((2, 16)), items, 3, device="cpu:0")[0].tolist() == [[2999, 0, 1]] * 2


def test_a_user_with_too_many_seen_items_is_left_to_the_cpu(monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_engine, "MAX_SEEN", 2)
    seen = csr_matrix(([1, 1, 1, 1], ([0, 0, 0, 1], [0, 1, 2, 3])), shape=(2, 5))
    results = top_k([[1.0], [1.0]], [[1.0], [2.0], [3.0], [4.0], [5.0]], 2, exclude=seen, device="cpu:0")
    assert results[0].tolist() == [[4, 3], [4, 2]]


def test_canonical_scores_are_those_of_the_cpu() -> None:
    rng = np.random.default_rng(1)
    users, items = (vectors("cancelling", 50, 29, rng) for _ in range(2))
    scores = gpu_engine.canonical_scores_by_torch(torch.from_numpy(users), torch.from_numpy(items))
    assert scores.tolist() == [float(canonical_score(u, v)) for u, v in zip(users, items, strict=True)]


@pytest.mark.parametrize(
    ("dim", "pieces"), [(1, (16, 0)), (64, (64, 0)), (128, (128, 0)), (300, (256, 64)), (384, (256, 128))]
)
def test_dimensions_are_split_into_two_powers_of_two(dim: int, pieces: tuple[int, int]) -> None:
    assert gpu_engine.split_dimensions(dim) == pieces


def test_a_missing_gpu_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="needs a CUDA build of torch and a GPU"):
        top_k([[1.0]], [[1.0]], 1, device="cuda")
    assert gpu_engine.select_device("auto") is None


def test_auto_uses_the_cpu_engine_for_a_small_product(monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_engine, "prepare_items", None)
    assert search.top_k([[1.0]], [[1.0], [2.0]], 1)[0].tolist() == [[1]]
