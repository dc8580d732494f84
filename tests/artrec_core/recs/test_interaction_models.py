"""One behaviour for every baseline: a pattern is found, seen works can be left out, nobody is left without a list."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from artrec_core.recs.interaction_models import Als, Baseline, Ease, Popularity

BASELINES: list[Callable[[], Baseline]] = [Popularity, lambda: Als(factors=8), lambda: Ease(regularization=1.0)]
PERSONAL = BASELINES[1:]
EVERYONE = np.arange(13)


def two_circles() -> csr_matrix:
    """Six people like works 0-3, six like works 4-7, each all but one; work 8 pleases all; person 12 is new."""
    taken = np.zeros((13, 10))
    taken[:12, 8] = 1
    for person in range(12):
        circle = 0 if person < 6 else 4
        taken[person, circle : circle + 4] = 1
        taken[person, circle + person % 4] = 0
    return csr_matrix(taken)


@pytest.mark.parametrize("make", BASELINES)
def test_same_interactions_same_lists(make: Callable[[], Baseline]) -> None:
    first, again = (make().fit(two_circles()).top_k(EVERYONE, 5) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("make", PERSONAL)
def test_a_known_pattern_is_found(make: Callable[[], Baseline]) -> None:
    ids, _ = make().fit(two_circles()).top_k(EVERYONE, 1, exclude=two_circles())
    missing = [(0 if person < 6 else 4) + person % 4 for person in range(12)]
    assert ids[:12, 0].tolist() == missing


def test_popularity_ranks_by_people() -> None:
    ids, scores = Popularity().fit(two_circles()).top_k(EVERYONE[:1], 3)
    assert ids.tolist() == [[8, 2, 3]]
    assert scores.tolist() == [[12, 5, 5]]


@pytest.mark.parametrize("make", BASELINES)
def test_seen_works_are_left_out(make: Callable[[], Baseline]) -> None:
    ids, _ = make().fit(two_circles()).top_k(EVERYONE, 10, exclude=two_circles())
    for person, row in enumerate(ids):
        assert not set(row) & set(two_circles()[[person]].indices)


@pytest.mark.parametrize("make", BASELINES)
def test_k_larger_than_the_catalogue(make: Callable[[], Baseline]) -> None:
    ids, scores = make().fit(two_circles()).top_k(EVERYONE, 12)
    assert ids.shape == (13, 12)
    assert (np.sort(ids[:, :10], axis=1) == np.arange(10)).all()
    assert (ids[:, 10:] == -1).all()
    assert np.isneginf(scores[:, 10:]).all()


@pytest.mark.parametrize("make", BASELINES)
def test_a_person_with_no_history_gets_what_is_popular(make: Callable[[], Baseline]) -> None:
    assert make().fit(two_circles()).top_k(EVERYONE[12:], 3)[0].tolist() == [[8, 2, 3]]


@pytest.mark.parametrize("make", BASELINES)
def test_scores_are_those_the_lists_come_from(make: Callable[[], Baseline]) -> None:
    model = make().fit(two_circles())
    ids, scores = model.top_k(EVERYONE, 4)
    np.testing.assert_allclose(np.take_along_axis(model.scores(EVERYONE), ids, axis=1), scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", BASELINES)
def test_no_interactions_at_all(make: Callable[[], Baseline]) -> None:
    ids, _ = make().fit(csr_matrix((2, 3))).top_k(np.arange(2), 2)
    assert ids.tolist() == [[0, 1], [0, 1]]


def test_ease_of_a_big_catalogue_models_the_popular_works_only() -> None:
    model = Ease(regularization=1.0, max_works=3).fit(two_circles())
    assert model.modelled.tolist() == [2, 3, 8]
    assert (model.scores(EVERYONE[:12])[:, [0, 1, 4, 5, 6, 7, 9]] == 0).all()


def test_ease_refuses_no_regularization() -> None:
    with pytest.raises(ValueError, match="positive regularization"):
        Ease(regularization=0).fit(two_circles())
