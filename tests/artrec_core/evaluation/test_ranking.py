"""Rankings and their metrics: fractions worked out by hand, scikit-learn's values, chance."""

from math import log2

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, precision_recall_fscore_support

from artrec_core.evaluation.metrics import accuracy
from artrec_core.evaluation.ranking import (
    LONGEST_LIST,
    VectorModel,
    accuracy_of_lists,
    best_artworks,
    held_out_accuracy,
    measure_ranking,
)
from artrec_core.recs.interaction_models import Ease
from artrec_core.recs.topk.search import top_k

USER_COUNT, ARTWORK_COUNT = 4000, 200


def nothing_seen(user_count: int, artwork_count: int) -> csr_array:
    return csr_array((user_count, artwork_count), dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hr@2", [1, 0, 0]),
        ("hr@4", [1, 1, 0]),
        ("recall@4", [1, 1, 0]),
        ("precision@4", [1 / 4, 1 / 4, 0]),
        ("f1@4", [2 / 5, 2 / 5, 0]),
        ("ndcg@4", [1 / log2(3), 1 / log2(4), 0]),
        ("mrr@4", [1 / 2, 1 / 3, 0]),
    ],
)
def test_accuracy_of_lists_with_one_target(name: str, expected: list[float]):
    lists = np.array([[5, 0, 3, 1], [2, 4, 1, 0], [0, 1, -1, -1]], np.int32)
    np.testing.assert_allclose(accuracy_of_lists(lists, np.array([0, 1, 9]), [2, 4])[name], expected)


def test_metrics_equal_scikit_learns():
    random = np.random.default_rng(0)
    scores, held_out = random.normal(size=(60, 30)), random.random((60, 30)) < 0.15
    held_out[~held_out.any(axis=1), 4] = True
    ids = np.argsort(-scores, axis=1).astype(np.int32)
    metrics = {name: values.mean() for name, values in accuracy(ids, csr_array(held_out), [5, 10]).items()}
    for k in (5, 10):
        is_listed = np.zeros_like(held_out)
        np.put_along_axis(is_listed, ids[:, :k].astype(np.int64), True, axis=1)
        precision, recall, f1, _ = precision_recall_fscore_support(
            held_out, is_listed, average="samples", zero_division=0
        )
        assert metrics[f"precision@{k}"] == pytest.approx(precision)
        assert metrics[f"recall@{k}"] == pytest.approx(recall)
        assert metrics[f"f1@{k}"] == pytest.approx(f1)
        assert metrics[f"ndcg@{k}"] == pytest.approx(ndcg_score(held_out, scores, k=k))


def test_the_reciprocal_rank_of_one_target_equals_scikit_learns():
    random = np.random.default_rng(0)
    scores, targets = random.normal(size=(60, 30)), random.integers(0, 30, 60)
    ids = np.argsort(-scores, axis=1).astype(np.int32)
    held_out = np.zeros((60, 30), bool)
    held_out[np.arange(60), targets] = True
    mrr = accuracy_of_lists(ids, targets, [30])["mrr@30"].mean()
    assert mrr == pytest.approx(label_ranking_average_precision_score(held_out, scores))


def test_a_model_with_equal_scores_performs_at_chance():
    # The test artworks are the first ten of the catalogue, so an order by row would list them all.
    targets = np.random.default_rng(0).integers(0, 10, USER_COUNT)
    model = VectorModel("constant", np.ones((USER_COUNT, 4), np.float32), np.ones((ARTWORK_COUNT, 4), np.float32))
    ids, scores = best_artworks(model, np.arange(USER_COUNT), 10, exclude=nothing_seen(USER_COUNT, ARTWORK_COUNT))
    metrics = accuracy_of_lists(ids, targets, [10])
    assert len(np.unique(scores)) == 1
    # 32 random orders, each with half a test artwork among its first ten on average: five standard errors.
    assert metrics["hr@10"].mean() == pytest.approx(10 / ARTWORK_COUNT, abs=5 * 0.22 / np.sqrt(32 * 10))
    assert (top_k(model.user_vectors, model.item_vectors, 10)[0][0] == np.arange(10)).all()


def test_without_ties_the_lists_are_those_of_top_k():
    random = np.random.default_rng(0)
    users, items = random.normal(size=(300, 8)).astype(np.float32), random.normal(size=(70, 8)).astype(np.float32)
    seen = csr_array((random.random((300, 70)) < 0.2).astype(np.float32))
    rows = np.array([7, 250, 3, *range(100, 240)])
    expected = top_k(users[rows], items, 12, exclude=seen[rows])
    lists = best_artworks(VectorModel("v", users, items), rows, 12, exclude=seen[rows])
    for values, expected_values in zip(lists, expected, strict=True):
        np.testing.assert_array_equal(values, expected_values)


def test_lists_can_be_chosen_from_some_artworks_only():
    random = np.random.default_rng(0)
    users, items = random.normal(size=(200, 8)).astype(np.float32), random.normal(size=(50, 8)).astype(np.float32)
    seen = csr_array((random.random((200, 50)) < 0.2).astype(np.float32))
    among = np.array([40, 3, 17, 8, 21])
    ids, scores = best_artworks(VectorModel("v", users, items), np.arange(200), 4, exclude=seen, among=among)
    is_excluded = seen.toarray() > 0
    is_excluded[:, np.setdiff1d(np.arange(50), among)] = True
    scores_left = np.where(is_excluded, -np.inf, users @ items.T)
    expected = np.argsort(-scores_left, axis=1)[:, :4]
    expected[np.isneginf(np.take_along_axis(scores_left, expected, axis=1))] = -1
    np.testing.assert_array_equal(ids, expected)
    assert (ids >= 0).any(axis=1).all()
    assert ((ids == -1) == np.isneginf(scores)).all()


def test_a_model_without_vectors_is_ranked_by_its_scores():
    interactions = csr_array(np.kron(np.eye(2), np.ones((5, 4))).astype(np.float32))
    interactions[0, 2] = 0
    interactions.eliminate_zeros()
    ids, _ = best_artworks(
        Ease(regularization=1.0).fit(interactions), np.array([0, 9]), 4, exclude=interactions[[0, 9]]
    )
    assert ids[0, 0] == 2
    assert not set(ids[1]) & {4, 5, 6, 7}


def test_ranks_and_lists_give_the_same_metrics_without_ties():
    random = np.random.default_rng(1)
    users, items = random.normal(size=(300, 8)).astype(np.float32), random.normal(size=(70, 8)).astype(np.float32)
    targets, rows = random.integers(0, 70, 200), random.permutation(300)[:200]
    seen = (random.random((200, 70)) < 0.2).astype(np.float32)
    seen[np.arange(200), targets] = 0
    model, exclude = VectorModel("v", users, items), csr_array(seen)
    by_lists = measure_ranking(model, rows, targets, exclude=exclude)
    lists, _ = best_artworks(model, rows, LONGEST_LIST, exclude=exclude)
    by_ranks = held_out_accuracy(model, rows, targets, exclude=exclude)
    assert lists.shape == (200, 20)
    for name, values in by_ranks.items():
        np.testing.assert_allclose(by_lists[name], values, err_msg=name)


def test_a_model_without_vectors_has_the_same_ranks_as_its_scores_as_vectors():
    random = np.random.default_rng(2)
    interactions = csr_array((random.random((1500, 12)) < 0.3).astype(np.float32))
    ease = Ease(regularization=1.0).fit(interactions)
    rows, targets = np.arange(1500)[::-1], random.integers(0, 12, 1500)
    as_vectors = VectorModel("scores", ease.scores(np.arange(1500)), np.eye(12, dtype=np.float32))
    nothing = nothing_seen(1500, 12)
    expected = held_out_accuracy(as_vectors, rows, targets, exclude=nothing)
    for name, values in held_out_accuracy(ease, rows, targets, exclude=nothing).items():
        np.testing.assert_allclose(values, expected[name], err_msg=name)
