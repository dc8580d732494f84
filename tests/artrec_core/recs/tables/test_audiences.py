"""Audiences compare shares of users' softmaxes, not raw scores."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from artrec_core.recs.tables import audiences
from artrec_core.recs.tables.audiences import artwork_audiences, artwork_side, log_totals, user_side
from artrec_core.recs.topk.search import top_k


def test_a_user_with_a_long_vector_is_not_in_every_audience() -> None:
    rng = np.random.default_rng(0)
    artworks, users = (
        rng.standard_normal((40, 4)).astype(np.float32) + 2,
        rng.standard_normal((10, 4)).astype(np.float32),
    )
    users[0] = 30
    by_score = top_k(artworks, users, 1)[0]
    assert (by_score == 0).all()
    sides = (user_side(users, log_totals(users, artworks)), artwork_side(artworks))
    by_share = artwork_audiences(*sides, 1)[0]
    assert (by_share == 0).sum() <= 2
    assert len(np.unique(by_share)) > 2


def test_scores_are_logs_of_shares_that_sum_to_one_per_user() -> None:
    users, artworks = np.array([[1.0], [-2.0]], np.float32), np.array([[0.0], [1.0], [3.0]], np.float32)
    ids, scores = artwork_audiences(user_side(users, log_totals(users, artworks)), artwork_side(artworks), 2)
    shares = np.zeros((2, 3))
    for artwork in range(3):
        shares[ids[artwork], artwork] = np.exp(scores[artwork])
    expected = np.exp(users @ artworks.T)
    np.testing.assert_allclose(shares, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


def test_huge_scores_do_not_overflow_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    users, artworks = (rng.standard_normal((n, 3)).astype(np.float32) * 100 for n in (9, 50))
    totals = log_totals(users, artworks, threads=1)
    assert np.isfinite(totals).all()
    monkeypatch.setattr(audiences, "USERS_IN_BLOCK", 2)
    monkeypatch.setattr(audiences, "ARTWORKS_IN_BLOCK", 7)
    np.testing.assert_array_equal(log_totals(users, artworks, threads=2), totals)


def test_users_who_have_seen_an_artwork_are_left_out() -> None:
    users, artworks = np.array([[1.0], [2.0]], np.float32), np.array([[1.0], [0.0]], np.float32)
    sides = (user_side(users, log_totals(users, artworks)), artwork_side(artworks))
    seen_by = csr_array(np.array([[0, 1], [0, 0]]))
    assert artwork_audiences(*sides, 2, seen_by=seen_by)[0].tolist() == [[0, -1], [0, 1]]
