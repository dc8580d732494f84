"""The k best are those of a brute force over canonical scores, for all kinds of vectors, blocks and threads."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix, random_array

from artrec_core.recs.topk import search
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.search import PreparedItems, error_bound, top_k, top_k_of_scores
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors

Rng = np.random.Generator


def test_best_first() -> None:
    ids, scores = top_k([[1.0, 0.0]], [[0.1, 5.0], [0.9, 0.0], [0.5, -3.0]], 2)
    assert ids.tolist() == [[1, 2]]
    assert scores.tolist() == [[np.float32(0.9), 0.5]]
    assert (ids.dtype, scores.dtype) == (np.int32, np.float32)


def test_ties_keep_item_order() -> None:
    assert top_k([[1.0]], [[0.5], [0.9], [0.5]], 3)[0].tolist() == [[1, 0, 2]]


def test_minus_zero_ties_with_zero() -> None:
    ids, scores = top_k([[-1.0]], [[0.0], [0.0], [-0.0]], 3)
    assert ids.tolist() == [[0, 1, 2]]
    assert not np.signbit(scores).any()


def test_seen_items_are_excluded_before_the_best_are_selected() -> None:
    seen = csr_matrix(([1, 1], ([0, 0], [2, 1])), shape=(2, 3))
    assert top_k([[1.0], [1.0]], [[1.0], [2.0], [3.0]], 2, exclude=seen)[0].tolist() == [[0, -1], [2, 1]]


def test_a_stored_zero_is_seen_too() -> None:
    seen = csr_matrix((np.array([0.0]), np.array([1]), np.array([0, 1])), shape=(1, 2))
    assert top_k([[1.0]], [[1.0], [2.0]], 2, exclude=seen)[0].tolist() == [[0, -1]]


def test_k_larger_than_the_catalogue_is_padded() -> None:
    ids, scores = top_k([[1.0]], [[1.0], [2.0]], 4)
    assert ids.tolist() == [[1, 0, -1, -1]]
    assert scores.tolist() == [[2.0, 1.0, -np.inf, -np.inf]]


def test_candidates_for_all_users_and_for_each_user() -> None:
    users, items = [[1.0], [-1.0]], [[1.0], [2.0], [3.0], [4.0]]
    assert top_k(users, items, 2, candidates=[2, 0, 2])[0].tolist() == [[2, 0], [0, 2]]
    user_candidates = csr_array(np.array([[0, 1, 1, 0], [0, 0, 0, 1]]))
    seen = csr_array(np.array([[0, 0, 1, 0], [0, 0, 0, 0]]))
    assert top_k(users, items, 2, candidates=user_candidates, exclude=seen)[0].tolist() == [[1, -1], [3, -1]]
    assert top_k(users, items, 2, candidates=[2, 0], exclude=seen)[0].tolist() == [[0, -1], [0, 2]]
    assert top_k(users, items, 2, candidates=[])[0].tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize(("user_count", "item_count"), [(0, 3), (3, 0), (0, 0)])
def test_empty_sides(user_count: int, item_count: int) -> None:
    ids, scores = top_k(np.ones((user_count, 2)), np.ones((item_count, 2)), 2)
    assert ids.shape == scores.shape == (user_count, 2)
    assert (ids == -1).all()


def test_vectors_of_no_dimensions_all_tie() -> None:
    assert top_k(np.ones((1, 0)), np.ones((3, 0)), 2)[0].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: top_k([[1.0]], [[1.0]], 0), "k must be a whole number of at least 1"),
        (lambda: top_k([[np.nan]], [[1.0]], 1), "user_vectors hold NaN or infinity in 1 rows, the first is row 0"),
        (
            lambda: top_k([[1.0]], [[1.0], [np.inf]], 1),
            "item_vectors hold NaN or infinity in 1 rows, the first is row 1",
        ),
        (lambda: top_k([1.0], [[1.0]], 1), "user_vectors must have two dimensions"),
        (lambda: top_k([["a"]], [[1.0]], 1), "must be numbers"),
        (lambda: top_k([[1.0, 2.0]], [[1.0]], 1), "2 dimensions and item_vectors 1"),
        (lambda: top_k([[1.0]], [[1.0]], 1, exclude=csr_array((2, 1))), "exclude must be a SciPy CSR of shape"),
        (lambda: top_k([[1.0]], [[1.0]], 1, candidates=[1]), "candidates name row 1; there are 1 items"),
        (lambda: top_k([[1.0]], [[1.0]], 1, candidates=[0.5]), "candidates must be whole numbers"),
        (lambda: top_k([[1.0]], [[1.0]], 1, threads=0), "threads must be"),
        (lambda: top_k([[1.0]], [[1.0]], 1, memory_mb=0), "memory_mb must be"),
        (lambda: top_k_of_scores(np.array([[np.nan]], np.float32), 1), "scores hold NaN"),
    ],
)
def test_invalid_input_is_an_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=120, deadline=None)
@given(
    kind=st.sampled_from(KINDS), user_count=st.integers(1, 7), item_count=st.integers(1, 400), dim=st.integers(1, 40), k=st.integers(1, 30),
    block=st.sampled_from([(1, 7), (3, 64), (1024, 4096)]), threads=st.integers(1, 3), seen_share=st.sampled_from([0.0, 0.1, 0.95]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_equals_brute_force(
    kind: str,
    user_count: int,
    item_count: int,
    dim: int,
    k: int,
    block: tuple[int, int],
    threads: int,
    seen_share: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, user_count, dim, rng), vectors(kind, item_count, dim, rng)
    exclude = csr_matrix(random_array((user_count, item_count), density=seen_share, rng=rng)) if seen_share else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "USERS_IN_BLOCK", block[0])
        patch.setattr(search, "ITEMS_IN_BLOCK", block[1])
        ids, scores = top_k(users, items, k, exclude=exclude, threads=threads)
    expected_ids, expected_scores = brute(users, items, k, exclude)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@settings(max_examples=30, deadline=None)
@given(item_count=st.integers(1, 60), density=st.sampled_from([0.1, 0.7]), seed=st.integers(0, 2**20))
def test_candidates_equal_brute_force(item_count: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors("grid", 4, 5, rng), vectors("grid", item_count, 5, rng)
    exclude = csr_matrix(random_array((4, item_count), density=0.2, rng=rng))
    user_candidates = csr_matrix(random_array((4, item_count), density=density, rng=rng))
    common_candidates = np.flatnonzero(rng.random(item_count) < density)
    for candidates, allowed in (
        (user_candidates, lambda row: user_candidates[[row]].indices),
        (common_candidates, lambda row: common_candidates),
    ):
        results = top_k(users, items, 6, exclude=exclude, candidates=candidates)
        expected = brute(users, items, 6, exclude, allowed)
        np.testing.assert_array_equal(results[0], expected[0])
        np.testing.assert_array_equal(results[1], expected[1])


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["random", "duplicated", "cancelling", "huge", "tiny"]),
    dim=st.integers(1, 300),
    seed=st.integers(0, 2**20),
)
def test_products_stay_within_the_error_bound(kind: str, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, 20, dim, rng) / 1e10, vectors(kind, 50, dim, rng) / 1e10
    users, items = users.astype(np.float32), items.astype(np.float32)
    canonical_scores = np.array([[canonical_score(u, v) for v in items] for u in users], np.float64)
    slack, tiny = error_bound(dim)
    lengths = [np.linalg.norm(side.astype(np.float64), axis=1) for side in (users, items)]
    assert (np.abs(users @ items.T - canonical_scores) <= slack * np.outer(*lengths) * (1 + 1e-9) + tiny).all()


def test_a_dense_tie_wider_than_the_buffer_is_settled_by_id() -> None:
    items = np.ones((3000, 16), np.float32)
    items[2999] = 2
    assert top_k(np.ones((2, 16)), items, 3)[0].tolist() == [[2999, 0, 1]] * 2


def test_memory_maps_and_a_small_budget(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    users, items = rng.standard_normal((300, 8)).astype(np.float32), rng.standard_normal((5000, 8)).astype(np.float32)
    np.save(tmp_path / "items.npy", items)
    mapped = np.load(tmp_path / "items.npy", mmap_mode="r")
    for array, expected_array in zip(top_k(users, mapped, 7, memory_mb=1), top_k(users, items, 7), strict=True):
        np.testing.assert_array_equal(array, expected_array)


@pytest.mark.parametrize(("k", "memory_mb"), [(10, 1), (100, 16), (1000, 64), (20, 512)])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_blocks_of_all_threads_fit_the_budget(k: int, memory_mb: int, threads: int) -> None:
    bytes_per_user = (k + max(k, 64)) * 8 + 64
    height, width = search.block_shape(1_000_000, 1_000_000, bytes_per_user, memory_mb, threads)
    assert threads * height * (4 * width + bytes_per_user) <= memory_mb * 2**20


def test_given_scores_are_ranked_unchanged() -> None:
    scores = np.array([[0.5, 0.9, 0.5, -np.inf, -0.0, 0.0]], np.float32)
    seen = csr_matrix(([1], ([0], [1])), shape=(1, 6))
    assert top_k_of_scores(scores, 6)[0].tolist() == [[1, 0, 2, 4, 5, -1]]
    assert top_k_of_scores(scores, 2, exclude=seen)[0].tolist() == [[0, 2]]


@pytest.mark.parametrize("use_int8", [False, True])
def test_prepared_items_serve_many_calls(use_int8: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "int8_is_faster", lambda *_: use_int8)
    rng = np.random.default_rng(4)
    items = (rng.standard_normal((900, 12)) * rng.gamma(1.0, size=(900, 1))).astype(np.float32)
    prepared = PreparedItems(items)
    even_rows, sparse_rows = np.arange(0, 900, 2), np.arange(0, 900, 7)
    # The second users are spread in other dimensions than the users for whom the items were quantized.
    halves = np.where(np.arange(12) < 6, 1, 1e-3).astype(np.float32)
    for spread in (halves, halves[::-1]):
        users = (rng.standard_normal((70, 12)) * spread).astype(np.float32)
        for candidates in (None, even_rows, sparse_rows, even_rows):
            results = top_k(users, prepared, 9, candidates=candidates, device="cpu")
            for array, expected_array in zip(
                results, top_k(users, items, 9, candidates=candidates, device="cpu"), strict=True
            ):
                np.testing.assert_array_equal(array, expected_array)
    ids, _ = top_k(users, pickle.loads(pickle.dumps(prepared)), 9, device="cpu")
    np.testing.assert_array_equal(ids, top_k(users, items, 9, device="cpu")[0])


def test_bad_prepared_items_are_an_error_in_every_call() -> None:
    prepared = PreparedItems(np.array([[1.0], [np.nan]]))
    for _ in range(2):
        with pytest.raises(ValueError, match="item_vectors hold NaN"):
            top_k(np.ones((1, 1)), prepared, 1)
