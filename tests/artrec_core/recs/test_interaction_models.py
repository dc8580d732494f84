"""Tests that every baseline passes: it finds a pattern, can leave out seen items, and gives every user a list."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from artrec_core.recs.interaction_models import Als, Baseline, Ease, Popularity

BASELINES: list[Callable[[], Baseline]] = [Popularity, lambda: Als(factors=8), lambda: Ease(regularization=1.0)]
PERSONAL = BASELINES[1:]
ALL_USERS = np.arange(13)


def two_groups() -> csr_matrix:
    """Six users like items 0-3, six like items 4-7, each all but one; all like item 8; user 12 is new."""
    pairs = np.zeros((13, 10))
    pairs[:12, 8] = 1
    for user in range(12):
        first_item = 0 if user < 6 else 4
        pairs[user, first_item : first_item + 4] = 1
        pairs[user, first_item + user % 4] = 0
    return csr_matrix(pairs)


@pytest.mark.parametrize("make", BASELINES)
def test_same_interactions_same_lists(make: Callable[[], Baseline]) -> None:
    first, second = (make().fit(two_groups()).top_k(ALL_USERS, 5) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("make", PERSONAL)
def test_a_known_pattern_is_found(make: Callable[[], Baseline]) -> None:
    ids, _ = make().fit(two_groups()).top_k(ALL_USERS, 1, exclude=two_groups())
    missing_items = [(0 if user < 6 else 4) + user % 4 for user in range(12)]
    assert ids[:12, 0].tolist() == missing_items


def test_popularity_ranks_by_users() -> None:
    ids, scores = Popularity().fit(two_groups()).top_k(ALL_USERS[:1], 3)
    assert ids.tolist() == [[8, 2, 3]]
    assert scores.tolist() == [[12, 5, 5]]


@pytest.mark.parametrize("make", BASELINES)
def test_seen_items_are_left_out(make: Callable[[], Baseline]) -> None:
    ids, _ = make().fit(two_groups()).top_k(ALL_USERS, 10, exclude=two_groups())
    for user, row in enumerate(ids):
        assert not set(row) & set(two_groups()[[user]].indices)


@pytest.mark.parametrize("make", BASELINES)
def test_k_larger_than_the_catalogue(make: Callable[[], Baseline]) -> None:
    ids, scores = make().fit(two_groups()).top_k(ALL_USERS, 12)
    assert ids.shape == (13, 12)
    assert (np.sort(ids[:, :10], axis=1) == np.arange(10)).all()
    assert (ids[:, 10:] == -1).all()
    assert np.isneginf(scores[:, 10:]).all()


@pytest.mark.parametrize("make", BASELINES)
def test_a_user_without_a_history_gets_popular_items(make: Callable[[], Baseline]) -> None:
    assert make().fit(two_groups()).top_k(ALL_USERS[12:], 3)[0].tolist() == [[8, 2, 3]]


@pytest.mark.parametrize("make", BASELINES)
def test_lists_come_from_the_scores(make: Callable[[], Baseline]) -> None:
    model = make().fit(two_groups())
    ids, scores = model.top_k(ALL_USERS, 4)
    np.testing.assert_allclose(np.take_along_axis(model.scores(ALL_USERS), ids, axis=1), scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", BASELINES)
def test_no_interactions_at_all(make: Callable[[], Baseline]) -> None:
    ids, _ = make().fit(csr_matrix((2, 3))).top_k(np.arange(2), 2)
    assert ids.tolist() == [[0, 1], [0, 1]]


def test_ease_models_only_the_popular_items_of_a_big_catalogue() -> None:
    model = Ease(regularization=1.0, max_items=3).fit(two_groups())
    assert model.modelled_items.tolist() == [2, 3, 8]
    assert (model.scores(ALL_USERS[:12])[:, [0, 1, 4, 5, 6, 7, 9]] == 0).all()


def test_ease_without_regularization_is_an_error() -> None:
    with pytest.raises(ValueError, match="positive regularization"):
        Ease(regularization=0).fit(two_groups())
