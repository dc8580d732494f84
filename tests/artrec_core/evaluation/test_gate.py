"""The gate on small held-out splits with a known verdict."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from artrec_core.arrays import Float64Array
from artrec_core.config import Gate
from artrec_core.evaluation.gate import Criterion, Decision, decide, outcome, overlap
from artrec_core.evaluation.holdout import HeldOutResult, HeldOutSplit, faulty_result, find_fault, measure_vectors
from artrec_core.model.sequences import Sequences

USER_COUNT, ARTWORK_COUNT, LIST_LENGTH = 200, 400, 10
RULES = Gate()


def split(tested_count: int = USER_COUNT) -> HeldOutSplit:
    """All users saw artwork 0 and one of the next nineteen; their test artwork is in the second half."""
    rows = np.arange(USER_COUNT)
    pairs = np.concatenate([rows, rows]), np.concatenate([np.zeros(USER_COUNT, int), 1 + rows % 19])
    seen = csr_array((np.ones(2 * USER_COUNT, np.float32), pairs), shape=(USER_COUNT, ARTWORK_COUNT))
    return HeldOutSplit(seen, rows[:tested_count], 200 + rows[:tested_count], rows)


def lists(moved: int = 0, popular: int = 0) -> Any:
    """A list per user, spread over the artworks. The first `moved` places hold other artworks, the last `popular` ones popular artworks."""
    ids = 20 + (np.arange(USER_COUNT)[:, None] * LIST_LENGTH + np.arange(LIST_LENGTH)) % (ARTWORK_COUNT - 20)
    ids[:, :moved] = (ids[:, :moved] - 20 + 5 * LIST_LENGTH) % (ARTWORK_COUNT - 20) + 20
    ids[:, LIST_LENGTH - popular :] = 1 + np.arange(popular)
    return ids.astype(np.int32)


def ndcg(mean: float, seed: int = 0) -> Float64Array:
    """One value per user, with noise around a mean."""
    return mean + 0.05 * np.random.default_rng(seed).standard_normal(USER_COUNT)


def failures(decision: Decision) -> list[str]:
    return [criterion.name for criterion in decision.criteria if not criterion.passed]


CHAMPION = HeldOutResult(ndcg(0.3), lists())


def test_a_better_challenger_is_accepted() -> None:
    decision = decide(RULES, split(), HeldOutResult(ndcg(0.35, 1), lists(moved=3)), CHAMPION)
    assert (decision.verdict, failures(decision), decision.objections) == ("accepted", [], "")
    assert decision.figures["difference"] == pytest.approx(0.05, abs=0.01)
    assert decision.figures["low"] < decision.figures["difference"] < decision.figures["high"]
    assert "champion 0.3" in decision.summary


def test_a_challenger_that_is_worse_beyond_chance_is_refused() -> None:
    decision = decide(RULES, split(), HeldOutResult(ndcg(0.27, 1), lists()), CHAMPION)
    assert decision.verdict == "refused"
    assert failures(decision) == ["not worse", "drop", "margin"]


def test_a_mean_drop_beyond_the_limit_is_refused_even_if_chance_could_explain_it() -> None:
    noisy = 0.27 + 0.5 * np.random.default_rng(3).standard_normal(USER_COUNT)
    decision = decide(RULES, split(), HeldOutResult(noisy - noisy.mean() + 0.27, lists()), CHAMPION)
    assert decision.verdict == "refused"
    assert "drop" in failures(decision)
    assert "not worse" not in failures(decision)


def test_a_challenger_that_may_be_worse_by_more_than_the_margin_is_doubtful() -> None:
    noisy = 0.3 + 0.5 * np.random.default_rng(3).standard_normal(USER_COUNT)
    decision = decide(RULES, split(), HeldOutResult(noisy - noisy.mean() + 0.3, lists()), CHAMPION)
    assert (decision.verdict, failures(decision)) == ("doubtful", ["margin"])


def test_a_challenger_within_the_margin_is_accepted() -> None:
    differences = np.where(np.arange(USER_COUNT) % 2, 0.05, -0.052)
    assert decide(RULES, split(), HeldOutResult(CHAMPION.ndcg + differences, lists()), CHAMPION).verdict == "accepted"


def test_lists_with_fewer_artworks_are_refused() -> None:
    narrow = np.where(lists() < 250, lists(), lists() - 150).astype(np.int32)
    decision = decide(RULES, split(), HeldOutResult(ndcg(0.35), narrow), CHAMPION)
    assert (decision.verdict, failures(decision)) == ("refused", ["coverage"])


def test_lists_of_popular_artworks_are_refused() -> None:
    decision = decide(RULES, split(), HeldOutResult(ndcg(0.35), lists(popular=6)), CHAMPION)
    assert decision.verdict == "refused"
    assert "popularity" in failures(decision)
    assert next(criterion.value for criterion in decision.criteria if criterion.name == "popularity") == pytest.approx(
        0.6
    )


def test_very_different_lists_are_doubtful() -> None:
    decision = decide(RULES, split(), HeldOutResult(ndcg(0.35), lists(moved=10)), CHAMPION)
    assert (decision.verdict, failures(decision)) == ("doubtful", ["overlap"])


def test_the_first_version_must_beat_the_popularity_baseline() -> None:
    assert decide(RULES, split(), HeldOutResult(ndcg(0.3), lists())).verdict == "accepted"
    decision = decide(RULES, split(), HeldOutResult(np.zeros(USER_COUNT), lists()))
    assert (decision.verdict, failures(decision)) == ("refused", ["NDCG@10"])


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_missing_vectors_lists_or_numbers_are_refused(champion: HeldOutResult | None) -> None:
    held_out_split = split()
    no_lists = np.full((USER_COUNT, LIST_LENGTH), -1, np.int32)
    for result in (
        faulty_result("the vectors are not finite", held_out_split),
        HeldOutResult(np.full(USER_COUNT, np.nan), lists()),
        HeldOutResult(np.where(np.arange(USER_COUNT) == 7, np.nan, ndcg(0.35)), lists()),
        HeldOutResult(ndcg(0.35), no_lists),
        HeldOutResult(ndcg(0.35), np.where(np.arange(USER_COUNT)[:, None] == 7, -1, lists()).astype(np.int32)),
        HeldOutResult(ndcg(0.35), no_lists[:0]),
    ):
        champion_result = None if champion is None else replace(champion, lists=champion.lists[: len(result.lists)])
        decision = decide(RULES, held_out_split, result, champion_result)
        assert decision.verdict == "refused", result
        assert outcome(decision.verdict, RULES, True) == "refuse"
        assert Decision.from_json(decision.to_json()) == decision
        assert "NaN" not in decision.to_json()


@pytest.mark.parametrize("champion", [None, HeldOutResult(np.zeros(0), lists())])
def test_no_tested_users_is_refused(champion: HeldOutResult | None) -> None:
    decision = decide(RULES, split(0), HeldOutResult(np.zeros(0), lists()), champion)
    assert (decision.verdict, failures(decision)) == ("refused", ["people"])


def test_too_few_tested_users_is_refused() -> None:
    decision = decide(
        RULES, split(19), HeldOutResult(ndcg(0.35)[:19], lists()), HeldOutResult(CHAMPION.ndcg[:19], lists())
    )
    assert decision.verdict == "refused"
    assert "people" in failures(decision)


def test_where_nothing_is_held_out_a_person_decides() -> None:
    decision = decide(
        RULES, split(0), HeldOutResult(np.zeros(0), lists()), HeldOutResult(np.zeros(0), lists()), held_out=False
    )
    assert decision.verdict == "doubtful"
    assert decision.objections == "NDCG@10: not measured: train.holdout is false, so nothing is held out"


def test_users_whose_test_artwork_the_champion_was_trained_on_are_excluded() -> None:
    fair = np.arange(USER_COUNT) < 100
    champion = HeldOutResult(np.where(fair, 0.3, 1.0), lists())
    challenger = HeldOutResult(np.full(USER_COUNT, 0.35), lists())
    decision = decide(RULES, split(), challenger, champion, fair=fair)
    assert decision.verdict == "accepted"
    assert (decision.figures["champion"], decision.figures["compared"]) == (pytest.approx(0.3), 100)
    assert any("100 users excluded" in criterion.says for criterion in decision.criteria)


def test_a_champion_that_was_trained_on_the_whole_test_cannot_be_compared() -> None:
    decision = decide(RULES, split(), HeldOutResult(ndcg(0.35), lists()), CHAMPION, fair=np.zeros(USER_COUNT, bool))
    assert (decision.verdict, failures(decision)) == ("doubtful", ["champion"])


def test_a_doubt_of_the_caller_makes_the_challenger_doubtful() -> None:
    doubt = Criterion("history", False, "it was rolled back", doubt=True)
    assert decide(RULES, split(), HeldOutResult(ndcg(0.35), lists()), CHAMPION, doubts=[doubt]).verdict == "doubtful"


@pytest.mark.parametrize(
    ("ask", "promote", "accepted", "doubtful"),
    [
        ("never", None, "promote", "refuse"),
        ("doubt", None, "promote", "wait"),
        ("always", None, "wait", "wait"),
        ("always", True, "promote", "promote"),
        ("never", False, "keep", "keep"),
    ],
)
def test_who_decides(ask: Any, promote: bool | None, accepted: str, doubtful: str) -> None:
    rules = Gate(ask=ask)
    assert outcome("accepted", rules, promote) == accepted
    assert outcome("doubtful", rules, promote) == doubtful
    assert outcome("refused", rules, promote) == ("keep" if promote is False else "refuse")


def test_overlap_is_the_share_of_a_list_that_stays() -> None:
    before = np.array([[1, 2, 3, 4], [5, 6, -1, -1], [-1, -1, -1, -1]], np.int32)
    after = np.array([[4, 3, 9, 8], [6, 7, 8, -1], [1, 2, 3, 4]], np.int32)
    assert overlap(after, before) == pytest.approx(0.5)
    assert math.isnan(overlap(after[2:], before[2:]))


def test_faults_of_vectors() -> None:
    random = np.random.default_rng(0)
    users, artworks = (random.standard_normal((count, 4)).astype(np.float32) for count in (USER_COUNT, ARTWORK_COUNT))
    assert find_fault(users, artworks) is None
    with_nan = users.copy()
    with_nan[3, 1] = np.nan
    assert find_fault(with_nan, artworks) == "the vectors of 1 of 200 users are not finite"
    assert find_fault(users, artworks * np.float32(np.inf)) == "the vectors of 400 of 400 artworks are not finite"
    assert find_fault(users, np.ones_like(artworks)) == "it gives every artwork the same score"
    assert find_fault(np.zeros_like(users), artworks) == "it gives every artwork the same score"
    assert find_fault(users[:0], artworks) == find_fault(users, artworks[:0]) == "it has no vectors"


def test_a_result_ranks_the_held_out_artwork_and_lists_unseen_ones() -> None:
    # The vector of user u is unit vector u. Only artwork 200 + u has a positive score with it.
    users = np.eye(USER_COUNT, dtype=np.float32)
    artworks = np.full((ARTWORK_COUNT, USER_COUNT), -0.1, np.float32)
    artworks[200:] = np.eye(USER_COUNT)
    result = measure_vectors(users, artworks, split())
    assert result.ndcg.tolist() == [1.0] * USER_COUNT
    assert result.lists[:, 0].tolist() == list(range(200, 400))
    assert not (result.lists == 0).any()
    assert decide(RULES, split(), result).verdict == "accepted"
    faulty = measure_vectors(users * np.nan, artworks, split())
    assert faulty.fault is not None
    assert decide(RULES, split(), faulty).verdict == "refused"


def test_users_who_have_seen_everything_are_not_listed() -> None:
    starts = np.array([0, 3, 4])
    seen = np.array([0, 1, 2, 0])
    zeros = np.zeros(4, np.int64)
    before = Sequences(starts, seen, zeros, zeros, zeros.astype(bool), zeros.astype(bool))
    held_out_split = HeldOutSplit.from_histories(before, 3, np.array([1]), np.array([2]))
    assert held_out_split.listed_users.tolist() == [1]


@pytest.mark.parametrize(
    ("artwork_count", "popular_count"), [(1, 1), (3, 1), (30, 3), (150, 15), (200, 20), (1000, 20), (5000, 50)]
)
def test_popular_artworks_are_one_percent_but_only_a_tenth_of_a_small_catalogue(
    artwork_count: int, popular_count: int
) -> None:
    empty = np.zeros(0, np.int64)
    no_histories = Sequences(np.zeros(2, np.int64), empty, empty, empty, empty.astype(bool), empty.astype(bool))
    assert len(HeldOutSplit.from_histories(no_histories, artwork_count, empty, empty).popular) == popular_count
