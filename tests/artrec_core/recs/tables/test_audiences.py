"""Audiences compare shares, not scores."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from artrec_core.recs.tables import audiences
from artrec_core.recs.tables.audiences import artwork_audiences, log_totals, people_side, works_side
from artrec_core.recs.topk.search import top_k


def test_one_person_with_long_vectors_does_not_win_every_work() -> None:
    rng = np.random.default_rng(0)
    works, people = rng.standard_normal((40, 4)).astype(np.float32) + 2, rng.standard_normal((10, 4)).astype(np.float32)
    people[0] = 30
    by_score = top_k(works, people, 1)[0]
    assert (by_score == 0).all()
    sides = (people_side(people, log_totals(people, works)), works_side(works))
    by_share = artwork_audiences(*sides, 1)[0]
    assert (by_share == 0).sum() <= 2
    assert len(np.unique(by_share)) > 2


def test_scores_are_logs_of_shares_that_sum_to_one_a_person() -> None:
    people, works = np.array([[1.0], [-2.0]], np.float32), np.array([[0.0], [1.0], [3.0]], np.float32)
    ids, scores = artwork_audiences(people_side(people, log_totals(people, works)), works_side(works), 2)
    shares = np.zeros((2, 3))
    for work in range(3):
        shares[ids[work], work] = np.exp(scores[work])
    expected = np.exp(people @ works.T)
    np.testing.assert_allclose(shares, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


def test_huge_scores_do_not_overflow_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    people, works = (rng.standard_normal((n, 3)).astype(np.float32) * 100 for n in (9, 50))
    whole = log_totals(people, works, threads=1)
    assert np.isfinite(whole).all()
    monkeypatch.setattr(audiences, "PEOPLE_IN_BLOCK", 2)
    monkeypatch.setattr(audiences, "WORKS_IN_BLOCK", 7)
    np.testing.assert_array_equal(log_totals(people, works, threads=2), whole)


def test_who_knows_a_work_is_left_out() -> None:
    people, works = np.array([[1.0], [2.0]], np.float32), np.array([[1.0], [0.0]], np.float32)
    sides = (people_side(people, log_totals(people, works)), works_side(works))
    known = csr_array(np.array([[0, 1], [0, 0]]))
    assert artwork_audiences(*sides, 2, seen_by=known)[0].tolist() == [[0, -1], [0, 1]]
