"""Metrics against fractions worked out by hand."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from artrec_core.evaluation import metrics
from artrec_core.recs.topk.search import top_k

# Four people, six works: two of three found, one of one found late, none found, nothing held out.
LISTS = np.array([[5, 0, 3, 1], [2, 4, 1, 0], [0, 1, -1, -1], [0, 1, 2, 3]], np.int32)
HELD_OUT = csr_matrix(np.array([[1, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0] * 6]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hr@2", [1, 0, 0]),
        ("hr@3", [1, 1, 0]),
        ("recall@2", [2 / 3, 0, 0]),
        ("precision@2", [1, 0, 0]),
        ("f1@2", [4 / 5, 0, 0]),
        ("ndcg@2", [1, 0, 0]),
        ("mrr@2", [1, 0, 0]),
        ("recall@3", [2 / 3, 1, 0]),
        ("precision@3", [2 / 3, 1 / 3, 0]),
        ("f1@3", [2 / 3, 1 / 2, 0]),
        ("ndcg@3", [(1 + 1 / log2(3)) / (1 + 1 / log2(3) + 1 / 2), 1 / 2, 0]),
        ("mrr@3", [1, 1 / 3, 0]),
    ],
)
def test_accuracy_of_lists(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(metrics.accuracy(LISTS, HELD_OUT, [2, 3])[name], expected)


def test_lists_shorter_than_k_are_refused() -> None:
    with pytest.raises(ValueError, match="lists of 4 works say nothing at k = 5"):
        metrics.accuracy(LISTS, HELD_OUT, [5])


def test_rank_of_a_held_out_work_leaves_seen_works_out() -> None:
    users, items = np.ones((2, 1), np.float32), np.array([[4], [3], [2], [2], [1]], np.float32)
    seen = csr_matrix(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]))
    better, tied = metrics.ranks(users, items, np.array([2, 4], np.int32), exclude=seen)
    assert (better.tolist(), tied.tolist()) == ([1, 4], [1, 0])
    scores = metrics.ranks_of_scores(users @ items.T, np.array([2, 4], np.int32), exclude=seen)
    assert [one.tolist() for one in scores] == [[1, 4], [1, 0]]


def test_ties_count_with_every_order_equally_likely() -> None:
    found = metrics.rank_accuracy(np.array([1, 0], np.int32), np.array([2, 0], np.int32), [2])
    np.testing.assert_allclose(found["hr@2"], [1 / 3, 1])
    np.testing.assert_allclose(found["ndcg@2"], [1 / log2(3) / 3, 1])
    np.testing.assert_allclose(found["mrr@2"], [1 / 2 / 3, 1])


def test_a_model_of_constant_scores_comes_out_at_chance() -> None:
    # Every held-out work is the catalogue's first: an order by row would find them all.
    better, tied = metrics.ranks(np.ones((5, 3), np.float32), np.ones((50, 3), np.float32), np.zeros(5, np.int32))
    found = metrics.rank_accuracy(better, tied, [10])
    np.testing.assert_allclose(found["hr@10"], 10 / 50)
    np.testing.assert_allclose(found["ndcg@10"], sum(1 / log2(place + 1) for place in range(1, 11)) / 50)


@settings(max_examples=40, deadline=None)
@given(works=st.integers(2, 40), dim=st.integers(1, 6), scale=st.sampled_from([1.0, 1e20]), seed=st.integers(0, 2**20))
def test_ranks_agree_with_top_k(works: int, dim: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = (rng.integers(-2, 3, (6, dim)) * scale).astype(np.float32)
    items = (rng.integers(-2, 3, (works, dim)) * scale).astype(np.float32)
    targets = rng.integers(0, works, 6).astype(np.int32)
    seen = csr_matrix(random_array((6, works), density=0.3, rng=rng)).tolil()
    seen[np.arange(6), targets] = 0
    better, tied = metrics.ranks(users, items, targets, exclude=seen.tocsr())
    ids, scores = top_k(users, items, works, exclude=seen.tocsr())
    for row, target in enumerate(targets):
        score = scores[row][ids[row] == target]
        assert better[row] == ((scores[row] > score) & (ids[row] >= 0)).sum()
        assert tied[row] == ((scores[row] == score) & (ids[row] >= 0)).sum() - 1


def test_coverage_counts_each_work_once() -> None:
    assert metrics.coverage(np.array([[0, 1], [1, -1]], np.int32), 8) == 2 / 8


def test_novelty_of_a_work_everyone_knows_is_zero() -> None:
    assert metrics.novelty(np.array([[0, -1]], np.int32), [3, 0], 3) == 0
    assert metrics.novelty(np.array([[0, 1]], np.int32), [3, 0], 3) == (0 + 2) / 2


def test_diversity_is_one_minus_the_mean_cosine() -> None:
    items = np.array([[2, 0], [0, 1], [3, 0], [0, 0]], np.float32)
    found = metrics.diversity(np.array([[0, 1, 2], [0, 2, -1], [1, -1, -1], [0, 1, 3]], np.int32), items)
    np.testing.assert_allclose(found, [1 - 1 / 3, 0, 1])


def test_bootstrap_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    values = np.array([0.0, 1.0] * 200)
    interval = metrics.bootstrap(values)
    assert interval == metrics.bootstrap(values)
    assert interval.mean == 0.5
    # Standard error of the mean of 400 halves: 0.5 / 20 = 0.025; 1.96 of it either way.
    assert interval.low == pytest.approx(0.451, abs=0.006)
    assert interval.high == pytest.approx(0.549, abs=0.006)
    with pytest.raises(ValueError, match="nobody to average over"):
        metrics.bootstrap([])
