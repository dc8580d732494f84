"""Candidates: the best by score or by popularity, merged so that each artwork stands once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from artrec_core.recs.strategies.candidates import Candidates, CandidateSearch, is_in_row
from artrec_core.recs.topk.search import PreparedItems

NONE = -np.inf


def candidates_of(ids: list[list[int]], scores: list[list[float]]) -> Candidates:
    return Candidates(np.array(ids, np.int32), np.array(scores, np.float32))


def search(**options: object) -> CandidateSearch:
    """Two users and five artworks; user 0 is ranked by score and has seen artwork 4, user 1 gets popular artworks."""
    return CandidateSearch(
        np.array([[1.0], [1.0]], np.float32),
        PreparedItems(np.array([[1], [2], [3], [4], [5]], np.float32)),
        csr_array(np.array([[0, 0, 0, 0, 1], [0, 1, 0, 0, 0]])),
        np.array([True, False]),
        np.array([1, 0, 4, 3, 2], np.int32),
        **options,
    )


BOTH = np.array([0, 1])


def test_unseen_artworks_by_score_or_by_popularity() -> None:
    ids, scores = search(threads=1).find_best(BOTH, 3, None)
    assert ids.tolist() == [[3, 2, 1], [0, 4, 3]]
    # The score of a popular artwork is minus its place; artwork 1, which has place 0, is seen.
    assert scores.tolist() == [[4, 3, 2], [-1, -2, -3]]


def test_only_the_artworks_to_choose_from_and_none_of_the_excluded() -> None:
    ids, scores = search().find_best(BOTH, 2, np.array([0, 1, 2]), [np.array([2], np.int32), np.array([], np.int32)])
    assert ids.tolist() == [[1, 0], [0, 2]]
    assert scores.tolist() == [[2, 1], [-1, -4]]
    ids, scores = search().find_best(BOTH[1:], 2, np.array([0, 1, 2]), [np.array([0, 2], np.int32)])
    assert ids.tolist() == [[-1, -1]]
    assert scores.tolist() == [[NONE, NONE]]


def test_excluded_artworks_may_repeat_seen_ones() -> None:
    ids, _ = search().find_best(BOTH, 5, None, [np.array([4, 3], np.int32), np.array([1], np.int32)])
    assert ids.tolist() == [[2, 1, 0, -1, -1], [0, 4, 3, 2, -1]]


def test_popular_artworks_for_a_user_with_scores() -> None:
    ids, scores = search().find_popular(BOTH, 2, None)
    assert ids.tolist() == [[1, 0], [0, 4]]
    assert scores.tolist() == [[0, -1], [-1, -2]]
    assert search().find_popular(np.array([], np.int64), 2, None)[0].shape == (0, 2)


def test_more_candidates_are_merged_by_score_and_then_by_row() -> None:
    merged = candidates_of([[2, 0], [1, -1]], [[5, 3], [4, NONE]]).merge(
        np.array([[1, 2], [-1, -1]], np.int32), np.array([[3, 5], [NONE, NONE]], np.float32)
    )
    assert merged.ids.tolist() == [[2, 0, 1], [1, -1, -1]]
    assert merged.scores.tolist() == [[5, 3, 3], [4, NONE, NONE]]


def test_nothing_more_changes_nothing() -> None:
    candidates = candidates_of([[2, 0]], [[5, 3]])
    assert candidates.merge(np.empty((1, 0), np.int32), np.empty((1, 0), np.float32)) is candidates
    merged = candidates.merge(np.full((1, 2), -1, np.int32), np.full((1, 2), NONE, np.float32))
    assert (merged.ids.tolist(), merged.scores.tolist()) == ([[2, 0]], [[5, 3]])


def test_more_candidates_for_some_users() -> None:
    merged = candidates_of([[0], [0], [-1]], [[1], [1], [NONE]]).merge_for(
        np.array([2, 0]), np.array([[3], [4]], np.int32), np.array([[9], [9]], np.float32)
    )
    assert merged.ids.tolist() == [[4, 0], [0, -1], [3, -1]]
    assert merged.scores.tolist() == [[9, 1], [1, NONE], [9, NONE]]


def test_lowest_scores() -> None:
    assert candidates_of([[2, 0], [1, -1], [-1, -1]], [[5, -3], [4, NONE], [NONE, NONE]]).lowest_scores().tolist() == [
        -3,
        4,
        0,
    ]
    assert Candidates(np.empty((2, 0), np.int32), np.empty((2, 0), np.float32)).lowest_scores().tolist() == [0, 0]


def test_membership_goes_by_user_and_padding_is_no_member() -> None:
    ids, members = np.array([[1, 2, -1], [1, 2, -1]], np.int32), np.array([[2, -1], [3, 1]], np.int32)
    assert is_in_row(ids, members).tolist() == [[False, True, False], [True, False, False]]
    assert not is_in_row(ids, members[:, :0]).any()


rows_of_scores = st.lists(st.integers(-2, 2), min_size=8, max_size=8)
subsets = st.sets(st.integers(0, 7))


@settings(max_examples=80, deadline=None)
@given(score_rows=st.lists(rows_of_scores, min_size=1, max_size=3), data=st.data())
def test_a_merge_is_the_union_sorted_by_score_and_row(score_rows: list[list[int]], data: st.DataObject) -> None:
    def draw_side() -> tuple[np.ndarray, np.ndarray, list[set[int]]]:
        artwork_sets = [data.draw(subsets) for _ in score_rows]
        ids, values = np.full((len(artwork_sets), 8), -1, np.int32), np.full((len(artwork_sets), 8), NONE, np.float32)
        for row, artworks in enumerate(artwork_sets):
            best = sorted(artworks, key=lambda artwork: (-score_rows[row][artwork], artwork))
            ids[row, : len(best)], values[row, : len(best)] = best, [score_rows[row][artwork] for artwork in best]
        return ids, values, artwork_sets

    (ids, values, first), (more_ids, more_values, second) = draw_side(), draw_side()
    merged = Candidates(ids, values).merge(more_ids, more_values)
    for row, scores in enumerate(score_rows):
        union = sorted(first[row] | second[row], key=lambda artwork: (-scores[artwork], artwork))
        assert merged.ids[row][merged.ids[row] >= 0].tolist() == union
        assert merged.scores[row, : len(union)].tolist() == [scores[artwork] for artwork in union]
        assert (merged.ids[row, len(union) :] == -1).all()


@pytest.mark.parametrize("k", [1, 3, 9])
def test_the_popular_are_those_of_a_brute_force(k: int) -> None:
    rng = np.random.default_rng(k)
    order = rng.permutation(12).astype(np.int32)
    seen = rng.random((5, 12)) < 0.4
    finder = CandidateSearch(
        np.zeros((5, 1), np.float32), PreparedItems(np.zeros((12, 1), np.float32)), csr_array(seen.astype(np.float32)), np.zeros(5, bool), order
    )  # fmt: skip
    artworks = np.array([0, 2, 3, 5, 8, 11])
    for allowed in (None, artworks):
        ids, _ = finder.find_best(np.arange(5), k, allowed)
        for user in range(5):
            expected = [row for row in order if not seen[user, row] and (allowed is None or row in allowed)][:k]
            assert ids[user, : len(expected)].tolist() == expected
            assert (ids[user, len(expected) :] == -1).all()
