"""The k best are those of a brute force over canonical scores, whatever the vectors, blocks and threads."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix, random_array

from artrec_core.recs.topk import search as topk
from artrec_core.recs.topk.float32_loops import canonical_score
from artrec_core.recs.topk.search import PreparedItems, error_bound, top_k, top_k_of_scores
from tests.artrec_core.recs.hard_vectors import KINDS, brute, vectors

Rng = np.random.Generator


def test_best_first() -> None:
    ids, scores = top_k([[1.0, 0.0]], [[0.1, 5.0], [0.9, 0.0], [0.5, -3.0]], 2)
    assert ids.tolist() == [[1, 2]]
    assert scores.tolist() == [[np.float32(0.9), 0.5]]
    assert (ids.dtype, scores.dtype) == (np.int32, np.float32)


def test_ties_keep_artwork_order() -> None:
    assert top_k([[1.0]], [[0.5], [0.9], [0.5]], 3)[0].tolist() == [[1, 0, 2]]


def test_minus_zero_ties_with_zero() -> None:
    ids, scores = top_k([[-1.0]], [[0.0], [0.0], [-0.0]], 3)
    assert ids.tolist() == [[0, 1, 2]]
    assert not np.signbit(scores).any()


def test_seen_works_leave_before_the_best_are_taken() -> None:
    seen = csr_matrix(([1, 1], ([0, 0], [2, 1])), shape=(2, 3))
    assert top_k([[1.0], [1.0]], [[1.0], [2.0], [3.0]], 2, exclude=seen)[0].tolist() == [[0, -1], [2, 1]]


def test_a_stored_zero_is_seen_too() -> None:
    seen = csr_matrix((np.array([0.0]), np.array([1]), np.array([0, 1])), shape=(1, 2))
    assert top_k([[1.0]], [[1.0], [2.0]], 2, exclude=seen)[0].tolist() == [[0, -1]]


def test_k_larger_than_the_catalogue_is_padded() -> None:
    ids, scores = top_k([[1.0]], [[1.0], [2.0]], 4)
    assert ids.tolist() == [[1, 0, -1, -1]]
    assert scores.tolist() == [[2.0, 1.0, -np.inf, -np.inf]]


def test_candidates_for_everyone_and_for_a_person() -> None:
    users, items = [[1.0], [-1.0]], [[1.0], [2.0], [3.0], [4.0]]
    assert top_k(users, items, 2, candidates=[2, 0, 2])[0].tolist() == [[2, 0], [0, 2]]
    mine = csr_array(np.array([[0, 1, 1, 0], [0, 0, 0, 1]]))
    seen = csr_array(np.array([[0, 0, 1, 0], [0, 0, 0, 0]]))
    assert top_k(users, items, 2, candidates=mine, exclude=seen)[0].tolist() == [[1, -1], [3, -1]]
    assert top_k(users, items, 2, candidates=[2, 0], exclude=seen)[0].tolist() == [[0, -1], [0, 2]]
    assert top_k(users, items, 2, candidates=[])[0].tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize(("people", "works"), [(0, 3), (3, 0), (0, 0)])
def test_empty_sides(people: int, works: int) -> None:
    ids, scores = top_k(np.ones((people, 2)), np.ones((works, 2)), 2)
    assert ids.shape == scores.shape == (people, 2)
    assert (ids == -1).all()


def test_vectors_of_no_dimensions_all_tie() -> None:
    assert top_k(np.ones((1, 0)), np.ones((3, 0)), 2)[0].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("call", "says"),
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
        (lambda: top_k([[1.0]], [[1.0]], 1, candidates=[1]), "candidates name row 1; there are 1 artworks"),
        (lambda: top_k([[1.0]], [[1.0]], 1, candidates=[0.5]), "candidates must be whole numbers"),
        (lambda: top_k([[1.0]], [[1.0]], 1, threads=0), "threads must be"),
        (lambda: top_k([[1.0]], [[1.0]], 1, memory_mb=0), "memory_mb must be"),
        (lambda: top_k_of_scores(np.array([[np.nan]], np.float32), 1), "scores hold NaN"),
    ],
)
def test_what_cannot_be_ranked_is_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


@settings(max_examples=120, deadline=None)
@given(
    kind=st.sampled_from(KINDS), people=st.integers(1, 7), works=st.integers(1, 400), dim=st.integers(1, 40), k=st.integers(1, 30),
    block=st.sampled_from([(1, 7), (3, 64), (1024, 4096)]), threads=st.integers(1, 3), seen=st.sampled_from([0.0, 0.1, 0.95]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_equals_brute_force(
    kind: str, people: int, works: int, dim: int, k: int, block: tuple[int, int], threads: int, seen: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, people, dim, rng), vectors(kind, works, dim, rng)
    exclude = csr_matrix(random_array((people, works), density=seen, rng=rng)) if seen else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "USERS_IN_BLOCK", block[0])
        patch.setattr(topk, "ITEMS_IN_BLOCK", block[1])
        ids, scores = top_k(users, items, k, exclude=exclude, threads=threads)
    expected_ids, expected_scores = brute(users, items, k, exclude)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


@settings(max_examples=30, deadline=None)
@given(works=st.integers(1, 60), density=st.sampled_from([0.1, 0.7]), seed=st.integers(0, 2**20))
def test_candidates_equal_brute_force(works: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors("grid", 4, 5, rng), vectors("grid", works, 5, rng)
    exclude = csr_matrix(random_array((4, works), density=0.2, rng=rng))
    mine = csr_matrix(random_array((4, works), density=density, rng=rng))
    anyone = np.flatnonzero(rng.random(works) < density)
    for candidates, allowed in ((mine, lambda row: mine[[row]].indices), (anyone, lambda row: anyone)):
        found = top_k(users, items, 6, exclude=exclude, candidates=candidates)
        expected = brute(users, items, 6, exclude, allowed)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


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
    true = np.array([[canonical_score(u, v) for v in items] for u in users], np.float64)
    slack, tiny = error_bound(dim)
    lengths = [np.linalg.norm(side.astype(np.float64), axis=1) for side in (users, items)]
    assert (np.abs(users @ items.T - true) <= slack * np.outer(*lengths) * (1 + 1e-9) + tiny).all()


def test_a_dense_tie_wider_than_the_buffer_is_settled_by_id() -> None:
    items = np.ones((3000, 16), np.float32)
    items[2999] = 2
    assert top_k(np.ones((2, 16)), items, 3)[0].tolist() == [[2999, 0, 1]] * 2


def test_memory_maps_and_a_small_budget(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    users, items = rng.standard_normal((300, 8)).astype(np.float32), rng.standard_normal((5000, 8)).astype(np.float32)
    np.save(tmp_path / "items.npy", items)
    mapped = np.load(tmp_path / "items.npy", mmap_mode="r")
    for found, expected in zip(top_k(users, mapped, 7, memory_mb=1), top_k(users, items, 7), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("k", "memory_mb"), [(10, 1), (100, 16), (1000, 64), (20, 512)])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_blocks_of_all_threads_fit_the_budget(k: int, memory_mb: int, threads: int) -> None:
    a_person = (k + max(k, 64)) * 8 + 64
    people, width = topk.block_shape(1_000_000, 1_000_000, a_person, memory_mb, threads)
    assert threads * people * (4 * width + a_person) <= memory_mb * 2**20


def test_given_scores_are_ranked_as_they_are() -> None:
    scores = np.array([[0.5, 0.9, 0.5, -np.inf, -0.0, 0.0]], np.float32)
    seen = csr_matrix(([1], ([0], [1])), shape=(1, 6))
    assert top_k_of_scores(scores, 6)[0].tolist() == [[1, 0, 2, 4, 5, -1]]
    assert top_k_of_scores(scores, 2, exclude=seen)[0].tolist() == [[0, 2]]


@pytest.mark.parametrize("codes", [False, True])
def test_prepared_items_serve_call_after_call(codes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topk, "codes_pay", lambda *_: codes)
    rng = np.random.default_rng(4)
    items = (rng.standard_normal((900, 12)) * rng.gamma(1.0, size=(900, 1))).astype(np.float32)
    made = PreparedItems(items)
    some, others = np.arange(0, 900, 2), np.arange(0, 900, 7)
    # The second people live in other dimensions than those by whom the items were made ready.
    halves = np.where(np.arange(12) < 6, 1, 1e-3).astype(np.float32)
    for spread in (halves, halves[::-1]):
        users = (rng.standard_normal((70, 12)) * spread).astype(np.float32)
        for allowed in (None, some, others, some):
            found = top_k(users, made, 9, candidates=allowed, device="cpu")
            for one, expected in zip(found, top_k(users, items, 9, candidates=allowed, device="cpu"), strict=True):
                np.testing.assert_array_equal(one, expected)
    ids, _ = top_k(users, pickle.loads(pickle.dumps(made)), 9, device="cpu")
    np.testing.assert_array_equal(ids, top_k(users, items, 9, device="cpu")[0])


def test_bad_prepared_items_are_told_of_in_every_call() -> None:
    made = PreparedItems(np.array([[1.0], [np.nan]]))
    for _ in range(2):
        with pytest.raises(ValueError, match="item_vectors hold NaN"):
            top_k(np.ones((1, 1)), made, 1)
