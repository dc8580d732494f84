"""All pairs have the canonical scores that lists have."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.tables.all_pairs import PAIRS_IN_PIECE, score_all_pairs, users_per_piece
from artrec_core.recs.topk.search import top_k
from tests.artrec_core.recs.hard_vectors import KINDS, vectors


def test_scores_are_inner_products() -> None:
    scores = score_all_pairs(np.array([[1, 2], [0, -1]], np.float32), np.array([[3, 4], [1, 0], [0, 0]], np.float32))
    assert scores.tolist() == [[11, 1, 0], [-4, 0, 0]]
    assert scores.dtype == np.float32


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), user_count=st.integers(1, 6), dim=st.integers(1, 30), threads=st.integers(1, 4), seed=st.integers(0, 2**20))  # fmt: skip
def test_scores_are_those_of_top_k(kind: str, user_count: int, dim: int, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = vectors(kind, user_count, dim, rng), vectors(kind, 20, dim, rng)
    scores = score_all_pairs(users, items, threads=threads)
    ids, best_scores = top_k(users, items, 20, device="cpu")
    np.testing.assert_array_equal(np.take_along_axis(scores, ids.astype(np.int64), axis=1), best_scores)


def test_no_users_and_no_items() -> None:
    assert score_all_pairs(np.ones((0, 2), np.float32), np.ones((3, 2), np.float32)).shape == (0, 3)
    assert score_all_pairs(np.ones((2, 2), np.float32), np.ones((0, 2), np.float32)).shape == (2, 0)


def test_a_piece_has_at_most_so_many_pairs_and_at_least_one_user() -> None:
    assert users_per_piece(1000, 2) * 1000 * 2 <= PAIRS_IN_PIECE < (users_per_piece(1000, 2) + 1) * 1000 * 2
    assert users_per_piece(PAIRS_IN_PIECE * 3, 1) == 1
    assert users_per_piece(0, 0) == PAIRS_IN_PIECE
