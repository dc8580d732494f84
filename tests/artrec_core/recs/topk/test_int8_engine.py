"""Products of int8 codes give the results of a brute force, for all kinds of vectors, blocks and threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from artrec_core.recs.topk import int8_engine, search
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.int8_engine import (
    block_shape,
    int8_is_faster,
    int8_products_are_fast,
    multiply_codes,
    safe_rank,
)
from artrec_core.recs.topk.search import top_k
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors


def true_scores(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    return np.array([[canonical_score(user, item) for item in items] for user in users], np.float32)


def multiply_exactly(users: np.ndarray, items: np.ndarray, out: np.ndarray) -> None:
    out[:] = users.astype(np.int32) @ items.astype(np.int32).T


@pytest.fixture
def int8_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call uses int8 codes. NumPy multiplies them, so these tests run on any processor."""
    monkeypatch.setattr(search, "int8_is_faster", lambda users, items, dim, k: True)
    monkeypatch.setattr(int8_engine, "multiply_codes", multiply_exactly)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS), user_count=st.integers(1, 7), item_count=st.integers(1, 1500), dim=st.integers(1, 40), k=st.integers(1, 30),
    block=st.sampled_from([(1, 128), (3, 256), (1024, 2048)]), threads=st.integers(1, 3), seen_share=st.sampled_from([0.0, 0.1, 0.95]),
    rank=st.sampled_from(["safe", "rash"]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_equals_brute_force(
    kind: str, user_count: int, item_count: int, dim: int, k: int, block: tuple[int, int], threads: int, seen_share: float, rank: str, seed: int
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, user_count, dim, rng), vectors(kind, item_count, dim, rng)
    exclude = csr_matrix(random_array((user_count, item_count), density=seen_share, rng=rng)) if seen_share else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "int8_is_faster", lambda users, items, dim, k: True)
        patch.setattr(int8_engine, "multiply_codes", multiply_exactly)
        patch.setattr(int8_engine, "USERS_IN_BLOCK", block[0])
        patch.setattr(int8_engine, "ITEMS_IN_BLOCK", block[1])
        if rank == "rash":
            # All thresholds are far too high, so every user is scored again.
            patch.setattr(int8_engine, "safe_rank", lambda k, scanned, items: 1)
        ids, scores = top_k(users, items, k, exclude=exclude, threads=threads)
    expected_ids, expected_scores = brute(users, items, k, exclude)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


def test_a_dense_tie_wider_than_the_buffer_is_settled_by_id(int8_only: None) -> None:
    items = np.ones((3000, 16), np.float32)
    items[2999] = 2
    assert top_k(np.ones((2, 16)), items, 3)[0].tolist() == [[2999, 0, 1]] * 2


def test_a_user_with_a_threshold_too_high_is_scored_again(int8_only: None) -> None:
    # All good items are in the first block, so the threshold for the rest is guessed too high.
    rng = np.random.default_rng(0)
    items = rng.standard_normal((2000, 4)).astype(np.float32)
    users = rng.standard_normal((3, 4)).astype(np.float32)
    seen = csr_matrix((true_scores(users, items) > 0.1).astype(np.int8))
    results, expected = top_k(users, items, 20, exclude=seen), brute(users, items, 20, seen)
    np.testing.assert_array_equal(results[0], expected[0])


@pytest.mark.parametrize(("k", "memory_mb", "threads"), [(10, 1, 1), (100, 16, 2), (1000, 64, 2), (20, 512, 16)])
def test_blocks_fit_the_budget(k: int, memory_mb: int, threads: int) -> None:
    height, width = block_shape(1_000_000, 1_000_000, k, threads, memory_mb)
    assert threads * height * (4 * width + 24 * int8_engine.pair_capacity(k)) <= memory_mb * 2**20


def test_the_safe_rank_is_above_the_expected_rank() -> None:
    assert safe_rank(100, 4096, 100_000) == 13
    assert safe_rank(100, 50_000, 100_000) == 74


def test_without_instructions_for_them_codes_are_not_the_way(small_processor: None) -> None:
    assert not int8_products_are_fast()
    assert not int8_is_faster(10**5, 10**5, 64, 10)


@pytest.mark.fast_products("int8")
def test_with_instructions_for_them_codes_are_the_way() -> None:
    assert int8_products_are_fast()
    assert int8_is_faster(10**5, 10**5, 64, 10)


@pytest.mark.parametrize("limit", [pytest.param("", marks=pytest.mark.fast_products("int8")), "avx2"])
def test_the_processor_s_own_products_give_the_same_table(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTREC_INSTRUCTIONS", limit)
    rng = np.random.default_rng(5)
    users, items = rng.standard_normal((100, 48)).astype(np.float32), rng.standard_normal((9000, 48)).astype(np.float32)
    expected = top_k(users, items, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "int8_is_faster", lambda users, items, dim, k: True)
        for threads in (1, 2):
            for array, expected_array in zip(top_k(users, items, 20, threads=threads), expected, strict=True):
                np.testing.assert_array_equal(array, expected_array)


@pytest.mark.parametrize("limit", [pytest.param("", marks=pytest.mark.fast_products("int8")), "avx2"])
def test_products_of_codes_are_exact(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTREC_INSTRUCTIONS", limit)
    rng = np.random.default_rng(7)
    for dim in (1, 33, 384):
        users, items = (np.where(rng.random((rows, dim)) < 0.5, -127, 127).astype(np.int8) for rows in (5, 70))
        products, expected = np.empty((5, 70), np.int32), np.empty((5, 70), np.int32)
        multiply_codes(users, items, products)
        multiply_exactly(users, items, expected)
        np.testing.assert_array_equal(products, expected)
