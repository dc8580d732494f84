"""Metrics against fractions worked out by hand."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array

from artrec_core.evaluation import metrics
from artrec_core.recs.topk.search import top_k

# Four users, six artworks: two of three listed, one of one listed late, none listed, nothing held out.
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


def test_lists_shorter_than_k_raise() -> None:
    with pytest.raises(ValueError, match="lists of 4 artworks cannot be measured at k = 5"):
        metrics.accuracy(LISTS, HELD_OUT, [5])


def test_ranks_leave_seen_artworks_out() -> None:
    users, items = np.ones((2, 1), np.float32), np.array([[4], [3], [2], [2], [1]], np.float32)
    seen = csr_matrix(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]))
    better, tied = metrics.ranks(users, items, np.array([2, 4], np.int32), exclude=seen)
    assert (better.tolist(), tied.tolist()) == ([1, 4], [1, 0])
    counts = metrics.ranks_of_scores(users @ items.T, np.array([2, 4], np.int32), exclude=seen)
    assert [values.tolist() for values in counts] == [[1, 4], [1, 0]]


def test_all_orders_of_tied_artworks_are_equally_likely() -> None:
    values = metrics.rank_accuracy(np.array([1, 0], np.int32), np.array([2, 0], np.int32), [2])
    np.testing.assert_allclose(values["hr@2"], [1 / 3, 1])
    np.testing.assert_allclose(values["ndcg@2"], [1 / log2(3) / 3, 1])
    np.testing.assert_allclose(values["mrr@2"], [1 / 2 / 3, 1])


def test_a_model_with_equal_scores_performs_at_chance() -> None:
    # All users have the catalogue's first artwork held out, so an order by row would list it for all.
    better, tied = metrics.ranks(np.ones((5, 3), np.float32), np.ones((50, 3), np.float32), np.zeros(5, np.int32))
    values = metrics.rank_accuracy(better, tied, [10])
    np.testing.assert_allclose(values["hr@10"], 10 / 50)
    np.testing.assert_allclose(values["ndcg@10"], sum(1 / log2(place + 1) for place in range(1, 11)) / 50)


@settings(max_examples=40, deadline=None)
@given(
    artwork_count=st.integers(2, 40),
    dim=st.integers(1, 6),
    scale=st.sampled_from([1.0, 1e20]),
    seed=st.integers(0, 2**20),
)
def test_ranks_agree_with_top_k(artwork_count: int, dim: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = (rng.integers(-2, 3, (6, dim)) * scale).astype(np.float32)
    items = (rng.integers(-2, 3, (artwork_count, dim)) * scale).astype(np.float32)
    targets = rng.integers(0, artwork_count, 6).astype(np.int32)
    seen = csr_matrix(random_array((6, artwork_count), density=0.3, rng=rng)).tolil()
    seen[np.arange(6), targets] = 0
    better, tied = metrics.ranks(users, items, targets, exclude=seen.tocsr())
    ids, scores = top_k(users, items, artwork_count, exclude=seen.tocsr())
    for row, target in enumerate(targets):
        score = scores[row][ids[row] == target]
        assert better[row] == ((scores[row] > score) & (ids[row] >= 0)).sum()
        assert tied[row] == ((scores[row] == score) & (ids[row] >= 0)).sum() - 1


def test_coverage_counts_each_artwork_once() -> None:
    assert metrics.coverage(np.array([[0, 1], [1, -1]], np.int32), 8) == 2 / 8


def test_novelty_of_an_artwork_that_all_users_know_is_zero() -> None:
    assert metrics.novelty(np.array([[0, -1]], np.int32), [3, 0], 3) == 0
    assert metrics.novelty(np.array([[0, 1]], np.int32), [3, 0], 3) == (0 + 2) / 2


def test_the_bootstrap_interval_is_around_the_mean_and_reproducible() -> None:
    values = np.array([0.0, 1.0] * 200)
    interval = metrics.bootstrap(values)
    assert interval == metrics.bootstrap(values)
    assert interval.mean == 0.5
    # Standard error of the mean of 400 halves: 0.5 / 20 = 0.025; 1.96 of it either way.
    assert interval.low == pytest.approx(0.451, abs=0.006)
    assert interval.high == pytest.approx(0.549, abs=0.006)
    with pytest.raises(ValueError, match="no users to average over"):
        metrics.bootstrap([])
