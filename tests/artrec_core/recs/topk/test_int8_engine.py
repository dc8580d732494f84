"""Through products of codes the answer is the very same: that of a brute force, whatever the vectors, blocks and threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from artrec_core.recs.topk import int8_engine as coded_topk
from artrec_core.recs.topk import search as topk
from artrec_core.recs.topk.arrays import run_in_threads
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.int8_engine import coded_block, multiply, products_are_fast, safe_rank
from artrec_core.recs.topk.int8_quantization import coded_people, coded_works, shared_basis
from artrec_core.recs.topk.search import top_k
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors


def true_scores(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    return np.array([[canonical_score(user, item) for item in items] for user in users], np.float32)


def exactly(people: np.ndarray, works: np.ndarray, out: np.ndarray) -> None:
    out[:] = people.astype(np.int32) @ works.astype(np.int32).T


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every call takes the way of codes; the product is NumPy's, so that any processor runs these tests."""
    monkeypatch.setattr(topk, "codes_pay", lambda people, works, dim, k: True)
    monkeypatch.setattr(coded_topk, "multiply", exactly)
    return monkeypatch


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS), people=st.integers(1, 7), works=st.integers(1, 1500), dim=st.integers(1, 40), k=st.integers(1, 30),
    block=st.sampled_from([(1, 128), (3, 256), (1024, 2048)]), threads=st.integers(1, 3), seen=st.sampled_from([0.0, 0.1, 0.95]),
    rank=st.sampled_from(["safe", "rash"]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_equals_brute_force(
    kind: str, people: int, works: int, dim: int, k: int, block: tuple[int, int], threads: int, seen: float, rank: str, seed: int
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, people, dim, rng), vectors(kind, works, dim, rng)
    exclude = csr_matrix(random_array((people, works), density=seen, rng=rng)) if seen else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "codes_pay", lambda people, works, dim, k: True)
        patch.setattr(coded_topk, "multiply", exactly)
        patch.setattr(coded_topk, "PEOPLE_IN_BLOCK", block[0])
        patch.setattr(coded_topk, "WORKS_IN_BLOCK", block[1])
        if rank == "rash":
            # Guesses far too high: everyone is scored again.
            patch.setattr(coded_topk, "safe_rank", lambda k, looked_at, works: 1)
        ids, scores = top_k(users, items, k, exclude=exclude, threads=threads)
    expected_ids, expected_scores = brute(users, items, k, exclude)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind != "huge"]),
    dim=st.integers(1, 200),
    seed=st.integers(0, 2**20),
)
def test_scores_stay_within_the_bound(kind: str, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, 9, dim, rng), vectors(kind, 300, dim, rng)
    works = coded_works(items, shared_basis(users, items), 256, lambda loop, rows: run_in_threads(loop, rows, 1))
    norms = [np.linalg.norm(side.astype(np.float64), axis=1) for side in (users, items)]
    people = coded_people(users, norms[0], norms[1].max(), works)
    group = np.arange(300) // 128
    products = people.codes.astype(np.int64) @ works.codes.astype(np.int64).T
    approx = people.scales[:, None] * works.scales[group] * products + people.shares[:, None]
    reach = np.outer(people.lengths, works.residues[group]) + np.outer(people.residues, works.lengths[group])
    apart = np.abs(approx - true_scores(users, items)[:, works.order])
    assert (apart <= reach + people.tails[:, None]).all()
    assert sorted(works.order.tolist()) == list(range(300))


def test_a_dense_tie_wider_than_the_buffer_is_settled_by_id(coded: pytest.MonkeyPatch) -> None:
    items = np.ones((3000, 16), np.float32)
    items[2999] = 2
    assert top_k(np.ones((2, 16)), items, 3)[0].tolist() == [[2999, 0, 1]] * 2


def test_somebody_guessed_too_high_is_scored_again(coded: pytest.MonkeyPatch) -> None:
    # All good works stand in the first block, which makes the rest look as good.
    rng = np.random.default_rng(0)
    items = rng.standard_normal((2000, 4)).astype(np.float32)
    users = rng.standard_normal((3, 4)).astype(np.float32)
    seen = csr_matrix((true_scores(users, items) > 0.1).astype(np.int8))
    found, expected = top_k(users, items, 20, exclude=seen), brute(users, items, 20, seen)
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize(("k", "memory_mb", "threads"), [(10, 1, 1), (100, 16, 2), (1000, 64, 2), (20, 512, 16)])
def test_blocks_fit_the_budget(k: int, memory_mb: int, threads: int) -> None:
    people, width = coded_block(1_000_000, 1_000_000, k, threads, memory_mb)
    assert threads * people * (4 * width + 24 * coded_topk.capacity_of(k)) <= memory_mb * 2**20


def test_the_rank_to_guess_by_lies_above_the_expected_one() -> None:
    assert safe_rank(100, 4096, 100_000) == 13
    assert safe_rank(100, 50_000, 100_000) == 74


def test_the_processor_s_own_products_give_the_same_table() -> None:
    if not products_are_fast():
        pytest.skip("this processor has no instructions for products of codes")
    rng = np.random.default_rng(5)
    users, items = rng.standard_normal((100, 48)).astype(np.float32), rng.standard_normal((9000, 48)).astype(np.float32)
    expected = top_k(users, items, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "codes_pay", lambda people, works, dim, k: True)
        for threads in (1, 2):
            for found, known in zip(top_k(users, items, 20, threads=threads), expected, strict=True):
                np.testing.assert_array_equal(found, known)


def test_products_of_codes_are_exact() -> None:
    if not products_are_fast():
        pytest.skip("this processor has no instructions for products of codes")
    rng = np.random.default_rng(7)
    for dim in (1, 33, 384):
        people, works = (np.where(rng.random((rows, dim)) < 0.5, -127, 127).astype(np.int8) for rows in (5, 70))
        found, expected = np.empty((5, 70), np.int32), np.empty((5, 70), np.int32)
        multiply(people, works, found)
        exactly(people, works, expected)
        np.testing.assert_array_equal(found, expected)
