"""What a GPU answers is what the CPU answers: torch's path on CPU tensors, the kernels in Triton's interpreter."""

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from artrec_core.recs.topk import gpu_engine as gpu_topk
from artrec_core.recs.topk import search as topk
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.gpu_pruning import Bounds, floors_of, spans
from artrec_core.recs.topk.gpu_rounding import longest_first, rounded, scales_of
from artrec_core.recs.topk.search import top_k
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors

CPU = torch.device("cpu")


def same(found: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> None:
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


# Without a GPU the kernels run in Triton's interpreter (see conftest.py).
KERNELS_ON = torch.device("cuda") if torch.cuda.is_available() else CPU


@pytest.fixture
def kernels() -> Any:
    pytest.importorskip("triton")
    return importlib.import_module("artrec_core.recs.topk.gpu_kernel")


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(KINDS), people=st.integers(1, 7), works=st.integers(1, 400), dim=st.integers(1, 40), k=st.integers(1, 30),
    block=st.sampled_from([(1, 7), (3, 64), (1024, 4096)]), seen=st.sampled_from([0.0, 0.1, 0.95]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_torch_equals_brute_force(
    kind: str, people: int, works: int, dim: int, k: int, block: tuple[int, int], seen: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, people, dim, rng), vectors(kind, works, dim, rng)
    exclude = csr_matrix(random_array((people, works), density=seen, rng=rng)) if seen else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_topk, "PEOPLE_WITHOUT_KERNEL", block[0])
        patch.setattr(gpu_topk, "WORKS_WITHOUT_KERNEL", block[1])
        found = top_k(users, items, k, exclude=exclude, device="cpu:0")
    same(found, brute(users, items, k, exclude))


@pytest.mark.parametrize("kind", ["random", "duplicated", "grid", "tiny", "one loud"])
def test_vectors_rounded_to_bf16_give_the_same_answer(kind: str) -> None:
    rng = np.random.default_rng(5)
    users, items = vectors(kind, 20, 24, rng), vectors(kind, 3000, 24, rng)
    users = users[np.linalg.norm(users.astype(np.float64), axis=1) > 0]
    works = gpu_topk.prepare(items, CPU, dtype=torch.bfloat16)
    *found, left = gpu_topk.top_k_on_device(users, works, 10)
    settled = np.setdiff1d(np.arange(len(users)), left)
    assert len(settled)
    expected = top_k(users[settled], items, 10, device="cpu")
    same((found[0][settled], found[1][settled]), expected)


@pytest.mark.parametrize(
    ("kind", "works", "dim"),
    [("random", 530, 13), ("duplicated", 300, 40), ("all equal", 130, 16), ("one loud", 300, 24), ("huge", 257, 9)],
)
def test_kernels_equal_brute_force(kernels: Any, kind: str, works: int, dim: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("artrec_core.recs.topk.gpu_pruning.SAMPLE", 32)
    monkeypatch.setattr("artrec_core.recs.topk.gpu_pruning.PROGRAMS", 2)
    rng = np.random.default_rng(works)
    users, items = vectors("random", 18, dim, rng), vectors(kind, works, dim, rng)
    exclude = csr_matrix(random_array((18, works), density=0.02, rng=rng))
    exclude.sort_indices()
    prepared = gpu_topk.prepare(items, KERNELS_ON, fused=True, tile=kernels.Tile(16, 64, 4, 2))
    seen = exclude.indptr.astype(np.int64), exclude.indices.astype(np.int32)
    *found, left = gpu_topk.top_k_on_device(users, prepared, 4, seen)
    assert len(left) == 0
    same((found[0], found[1]), brute(users, items, 4, exclude))


def test_a_tile_of_128_fills_all_32_bits(kernels: Any) -> None:
    items, users = np.ones((300, 16), np.float32), np.ones((2, 16), np.float32)
    works = gpu_topk.prepare(items, KERNELS_ON, fused=True, tile=kernels.Tile(16, 128, 4, 2))
    ids, _, left = gpu_topk.top_k_on_device(users, works, 300)
    assert len(left) == 0
    assert ids.tolist() == [list(range(300))] * 2


def test_a_tie_of_thousands_is_left_to_the_cpu(monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_topk, "MOST_PAIRS", 100)
    items = np.ones((3000, 16), np.float32)
    items[2999] = 2
    _, _, left = gpu_topk.top_k_on_device(np.ones((2, 16), np.float32), gpu_topk.prepare(items, CPU), 3)
    assert left.tolist() == [0, 1]
    assert top_k(np.ones((2, 16)), items, 3, device="cpu:0")[0].tolist() == [[2999, 0, 1]] * 2


def test_who_has_seen_too_many_is_left_to_the_cpu(monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_topk, "MOST_SEEN", 2)
    seen = csr_matrix(([1, 1, 1, 1], ([0, 0, 0, 1], [0, 1, 2, 3])), shape=(2, 5))
    found = top_k([[1.0], [1.0]], [[1.0], [2.0], [3.0], [4.0], [5.0]], 2, exclude=seen, device="cpu:0")
    assert found[0].tolist() == [[4, 3], [4, 2]]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS), dim=st.integers(1, 100), dtype=st.sampled_from([torch.bfloat16, torch.float16]), seed=st.integers(0, 2**20)
)  # fmt: skip
def test_rounded_products_stay_within_the_bound(kind: str, dim: int, dtype: torch.dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = torch.from_numpy(vectors(kind, 20, dim, rng)), torch.from_numpy(vectors(kind, 50, dim, rng))
    scale = scales_of(items.double().norm(dim=1).max())
    people, works = rounded(users, dim, dtype), rounded(items, dim, dtype, scales=scale.expand(50))
    true = (users.double() * people.scales[:, None]) @ (items.double() * scale).T
    bound = Bounds.of(people, float(scale), dim).at(works.lengths[None].float(), works.lost[None].float())
    assert ((people.values.float() @ works.values.float().T - true).abs() <= bound).all()


def test_canonical_scores_are_those_of_the_cpu() -> None:
    rng = np.random.default_rng(1)
    users, items = (vectors("cancelling", 50, 29, rng) for _ in range(2))
    found = gpu_topk.canonical_by_torch(torch.from_numpy(users), torch.from_numpy(items))
    assert found.tolist() == [float(canonical_score(u, v)) for u, v in zip(users, items, strict=True)]


def test_canonical_scores_of_the_kernel_are_those_of_the_cpu(kernels: Any) -> None:
    rng = np.random.default_rng(2)
    users, items = (torch.from_numpy(vectors("cancelling", 5, 29, rng)) for _ in range(2))
    rows, ids = torch.tensor([4, 0, 3]), torch.tensor([1, 2, 2])
    expected = gpu_topk.canonical_by_torch(users[rows], items[ids])
    found = kernels.canonical_scores(*(given.to(KERNELS_ON) for given in (users, items, rows, ids)))
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("dim", "pieces"), [(1, (16, 0)), (64, (64, 0)), (128, (128, 0)), (300, (256, 64)), (384, (256, 128))]
)
def test_dimensions_are_cut_into_two_powers_of_two(dim: int, pieces: tuple[int, int]) -> None:
    assert gpu_topk.pieces_of(dim) == pieces


@pytest.mark.parametrize("tiles", [1, 5, 7, 64, 1000, 7813])
def test_spans_cover_every_tile_once(tiles: int) -> None:
    found = spans(tiles, 128, 16_384)
    assert [begin for begin, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == tiles
    assert all(begin < end for begin, end in found)


def test_floors_are_the_lower_bounds_that_enough_works_reach() -> None:
    best = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert floors_of(best, torch.tensor([2, 4])).tolist() == [2.0, -np.inf]


def test_long_works_come_first_and_those_alike_in_random_order() -> None:
    order = longest_first(torch.tensor([1.0] * 50 + [3.0] * 50, dtype=torch.float64)).tolist()
    assert sorted(order[:50]) == list(range(50, 100))
    assert order[:50] != list(range(50, 100))


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="needs a CUDA build of torch and a GPU"):
        top_k([[1.0]], [[1.0]], 1, device="cuda")
    assert gpu_topk.gpu("auto") is None


def test_auto_is_the_cpu_engine_where_the_work_is_small(monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_topk, "prepare", None)
    assert topk.top_k([[1.0]], [[1.0], [2.0]], 1)[0].tolist() == [[1]]
