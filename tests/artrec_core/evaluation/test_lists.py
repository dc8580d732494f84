"""From lists to figures: worked fractions, scikit-learn's figures, chance."""

from math import log2
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, precision_recall_fscore_support

from artrec_core.evaluation.lists import Vectors, accuracy_of_lists, best_works, dump, dumped
from artrec_core.evaluation.metrics import accuracy
from artrec_core.recs.interaction_models import Ease
from artrec_core.recs.topk.search import top_k

PEOPLE, WORKS = 4000, 200


def nothing_seen(people: int, works: int) -> csr_array:
    return csr_array((people, works), dtype=np.float32)


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


def test_figures_are_scikit_learns():
    random = np.random.default_rng(0)
    scores, held_out = random.normal(size=(60, 30)), random.random((60, 30)) < 0.15
    held_out[~held_out.any(axis=1), 4] = True
    ids = np.argsort(-scores, axis=1).astype(np.int32)
    found = {name: values.mean() for name, values in accuracy(ids, csr_array(held_out), [5, 10]).items()}
    for k in (5, 10):
        listed = np.zeros_like(held_out)
        np.put_along_axis(listed, ids[:, :k].astype(np.int64), True, axis=1)
        precision, recall, f1, _ = precision_recall_fscore_support(held_out, listed, average="samples", zero_division=0)
        assert found[f"precision@{k}"] == pytest.approx(precision)
        assert found[f"recall@{k}"] == pytest.approx(recall)
        assert found[f"f1@{k}"] == pytest.approx(f1)
        assert found[f"ndcg@{k}"] == pytest.approx(ndcg_score(held_out, scores, k=k))


def test_the_reciprocal_rank_of_one_target_is_scikit_learns():
    random = np.random.default_rng(0)
    scores, targets = random.normal(size=(60, 30)), random.integers(0, 30, 60)
    ids = np.argsort(-scores, axis=1).astype(np.int32)
    one = np.zeros((60, 30), bool)
    one[np.arange(60), targets] = True
    found = accuracy_of_lists(ids, targets, [30])["mrr@30"].mean()
    assert found == pytest.approx(label_ranking_average_precision_score(one, scores))


def test_a_model_of_constant_scores_comes_out_at_chance():
    # The test works are the catalogue's first ten: an order by row would find them all.
    targets = np.random.default_rng(0).integers(0, 10, PEOPLE)
    model = Vectors("constant", np.ones((PEOPLE, 4), np.float32), np.ones((WORKS, 4), np.float32))
    ids, scores = best_works(model, np.arange(PEOPLE), 10, exclude=nothing_seen(PEOPLE, WORKS))
    found = accuracy_of_lists(ids, targets, [10])
    assert len(np.unique(scores)) == 1
    # 32 orders drawn, each of which puts half a test work into its first ten: five standard errors.
    assert found["hr@10"].mean() == pytest.approx(10 / WORKS, abs=5 * 0.22 / np.sqrt(32 * 10))
    assert (top_k(model.user_vectors, model.item_vectors, 10)[0][0] == np.arange(10)).all()


def test_where_nothing_ties_lists_are_those_of_top_k():
    random = np.random.default_rng(0)
    users, items = random.normal(size=(300, 8)).astype(np.float32), random.normal(size=(70, 8)).astype(np.float32)
    seen = csr_array((random.random((300, 70)) < 0.2).astype(np.float32))
    people = np.array([7, 250, 3, *range(100, 240)])
    expected = top_k(users[people], items, 12, exclude=seen[people])
    for found, known in zip(
        best_works(Vectors("v", users, items), people, 12, exclude=seen[people]), expected, strict=True
    ):
        np.testing.assert_array_equal(found, known)


def test_lists_may_be_chosen_from_some_works_alone():
    random = np.random.default_rng(0)
    users, items = random.normal(size=(200, 8)).astype(np.float32), random.normal(size=(50, 8)).astype(np.float32)
    seen = csr_array((random.random((200, 50)) < 0.2).astype(np.float32))
    among = np.array([40, 3, 17, 8, 21])
    ids, scores = best_works(Vectors("v", users, items), np.arange(200), 4, exclude=seen, among=among)
    barred = seen.toarray() > 0
    barred[:, np.setdiff1d(np.arange(50), among)] = True
    known = np.where(barred, -np.inf, users @ items.T)
    expected = np.argsort(-known, axis=1)[:, :4]
    expected[np.isneginf(np.take_along_axis(known, expected, axis=1))] = -1
    np.testing.assert_array_equal(ids, expected)
    assert (ids >= 0).any(axis=1).all()
    assert ((ids == -1) == np.isneginf(scores)).all()


def test_a_model_that_only_gives_scores_is_ranked_too():
    taken = csr_array(np.kron(np.eye(2), np.ones((5, 4))).astype(np.float32))
    taken[0, 2] = 0
    taken.eliminate_zeros()
    ids, _ = best_works(Ease(regularization=1.0).fit(taken), np.array([0, 9]), 4, exclude=taken[[0, 9]])
    assert ids[0, 0] == 2
    assert not set(ids[1]) & {4, 5, 6, 7}


def test_lists_come_back_as_dumped(tmp_path: Path):
    people, works = ["ann", "ben", "cat"], ["a", "b", "c"]
    ids = np.array([[2, 0, 1], [1, -1, -1], [-1, -1, -1]], np.int32)
    scores = np.where(ids >= 0, np.float32([3, 2, 1]), np.float32("-inf")).astype(np.float32)
    dump(tmp_path / "lists.parquet", people, works, ids, scores)
    np.testing.assert_array_equal(dumped(tmp_path / "lists.parquet", people, works, 3), ids)
    np.testing.assert_array_equal(dumped(tmp_path / "lists.parquet", people[1:], works, 2), ids[1:, :2])
