"""The gate on small worlds whose verdict is known."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from artrec_core.arrays import Float64Array
from artrec_core.config import Gate
from artrec_core.evaluation.gate import Criterion, Decision, decide, outcome, overlap
from artrec_core.evaluation.holdout import FrozenFuture, Reading, broken, fault_of, reading

PEOPLE, WORKS, LIST = 200, 400, 10
RULES = Gate()


def future(tested: int = PEOPLE) -> FrozenFuture:
    """Everyone met work 0 and one more of the first twenty; the test is a work of the second half."""
    rows = np.arange(PEOPLE)
    pairs = np.concatenate([rows, rows]), np.concatenate([np.zeros(PEOPLE, int), 1 + rows % 19])
    seen = csr_array((np.ones(2 * PEOPLE, np.float32), pairs), shape=(PEOPLE, WORKS))
    return FrozenFuture(seen, rows[:tested], 200 + rows[:tested], rows)


def lists(moved: int = 0, popular: int = 0) -> Any:
    """A list a person, spread over the works; `moved` places hold other works, `popular` ones of the first twenty."""
    found = 20 + (np.arange(PEOPLE)[:, None] * LIST + np.arange(LIST)) % (WORKS - 20)
    found[:, :moved] = (found[:, :moved] - 20 + 5 * LIST) % (WORKS - 20) + 20
    found[:, LIST - popular :] = 1 + np.arange(popular)
    return found.astype(np.int32)


def ndcg(mean: float, seed: int = 0) -> Float64Array:
    """People's figures with noise around a mean."""
    return mean + 0.05 * np.random.default_rng(seed).standard_normal(PEOPLE)


def names(decision: Decision) -> list[str]:
    return [one.name for one in decision.criteria if not one.passed]


CHAMPION = Reading(ndcg(0.3), lists())


def test_a_better_challenger_is_accepted() -> None:
    decision = decide(RULES, future(), Reading(ndcg(0.35, 1), lists(moved=3)), CHAMPION)
    assert (decision.verdict, names(decision), decision.against) == ("accepted", [], "")
    assert decision.figures["difference"] == pytest.approx(0.05, abs=0.01)
    assert decision.figures["low"] < decision.figures["difference"] < decision.figures["high"]
    assert "the champion 0.3" in decision.told


def test_one_that_is_worse_beyond_chance_is_refused() -> None:
    decision = decide(RULES, future(), Reading(ndcg(0.27, 1), lists()), CHAMPION)
    assert decision.verdict == "refused"
    assert names(decision) == ["not worse", "drop", "margin"]


def test_a_mean_drop_beyond_the_tolerance_is_refused_though_chance_could_explain_it() -> None:
    wild = 0.27 + 0.5 * np.random.default_rng(3).standard_normal(PEOPLE)
    decision = decide(RULES, future(), Reading(wild - wild.mean() + 0.27, lists()), CHAMPION)
    assert decision.verdict == "refused"
    assert "drop" in names(decision)
    assert "not worse" not in names(decision)


def test_one_that_may_be_worse_by_more_than_the_margin_is_doubtful() -> None:
    wild = 0.3 + 0.5 * np.random.default_rng(3).standard_normal(PEOPLE)
    decision = decide(RULES, future(), Reading(wild - wild.mean() + 0.3, lists()), CHAMPION)
    assert (decision.verdict, names(decision)) == ("doubtful", ["margin"])


def test_one_as_good_within_the_margin_is_accepted() -> None:
    sway = np.where(np.arange(PEOPLE) % 2, 0.05, -0.052)
    assert decide(RULES, future(), Reading(CHAMPION.ndcg + sway, lists()), CHAMPION).verdict == "accepted"


def test_lists_of_fewer_works_are_refused() -> None:
    narrow = np.where(lists() < 250, lists(), lists() - 150).astype(np.int32)
    decision = decide(RULES, future(), Reading(ndcg(0.35), narrow), CHAMPION)
    assert (decision.verdict, names(decision)) == ("refused", ["coverage"])


def test_lists_of_popular_works_are_refused() -> None:
    decision = decide(RULES, future(), Reading(ndcg(0.35), lists(popular=6)), CHAMPION)
    assert decision.verdict == "refused"
    assert "popularity" in names(decision)
    assert next(one.value for one in decision.criteria if one.name == "popularity") == pytest.approx(0.6)


def test_quite_other_lists_are_doubtful() -> None:
    decision = decide(RULES, future(), Reading(ndcg(0.35), lists(moved=10)), CHAMPION)
    assert (decision.verdict, names(decision)) == ("doubtful", ["overlap"])


def test_the_first_version_must_beat_the_popular_list() -> None:
    assert decide(RULES, future(), Reading(ndcg(0.3), lists())).verdict == "accepted"
    decision = decide(RULES, future(), Reading(np.zeros(PEOPLE), lists()))
    assert (decision.verdict, names(decision)) == ("refused", ["NDCG@10"])


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_nothing_empty_and_nothing_that_is_no_number_passes(champion: Reading | None) -> None:
    world = future()
    nobody = np.full((PEOPLE, LIST), -1, np.int32)
    for wrong in (
        broken("the vectors are not finite", world),
        Reading(np.full(PEOPLE, np.nan), lists()),
        Reading(np.where(np.arange(PEOPLE) == 7, np.nan, ndcg(0.35)), lists()),
        Reading(ndcg(0.35), nobody),
        Reading(ndcg(0.35), np.where(np.arange(PEOPLE)[:, None] == 7, -1, lists()).astype(np.int32)),
        Reading(ndcg(0.35), nobody[:0]),
    ):
        beside = None if champion is None else replace(champion, lists=champion.lists[: len(wrong.lists)])
        decision = decide(RULES, world, wrong, beside)
        assert decision.verdict == "refused", wrong
        assert outcome(decision.verdict, RULES, True) == "refuse"
        assert Decision.from_json(decision.to_json()) == decision
        assert "NaN" not in decision.to_json()


@pytest.mark.parametrize("champion", [None, Reading(np.zeros(0), lists())])
def test_nobody_tested_is_refused(champion: Reading | None) -> None:
    decision = decide(RULES, future(0), Reading(np.zeros(0), lists()), champion)
    assert (decision.verdict, names(decision)) == ("refused", ["people"])


def test_too_few_tested_is_refused() -> None:
    decision = decide(RULES, future(19), Reading(ndcg(0.35)[:19], lists()), Reading(CHAMPION.ndcg[:19], lists()))
    assert decision.verdict == "refused"
    assert "people" in names(decision)


def test_where_nothing_is_held_out_a_person_decides() -> None:
    decision = decide(RULES, future(0), Reading(np.zeros(0), lists()), Reading(np.zeros(0), lists()), held_out=False)
    assert decision.verdict == "doubtful"
    assert decision.against == "NDCG@10: not measured: train.holdout is false, so nothing is held out"


def test_people_whose_test_the_champion_was_trained_on_are_left_out_of_the_comparison() -> None:
    fair = np.arange(PEOPLE) < 100
    flattered = Reading(np.where(fair, 0.3, 1.0), lists())
    own = Reading(np.full(PEOPLE, 0.35), lists())
    decision = decide(RULES, future(), own, flattered, fair=fair)
    assert decision.verdict == "accepted"
    assert (decision.figures["champion"], decision.figures["compared"]) == (pytest.approx(0.3), 100)
    assert any("100 left out" in one.says for one in decision.criteria)


def test_a_champion_that_saw_all_of_the_test_is_no_measure() -> None:
    decision = decide(RULES, future(), Reading(ndcg(0.35), lists()), CHAMPION, fair=np.zeros(PEOPLE, bool))
    assert (decision.verdict, names(decision)) == ("doubtful", ["champion"])


def test_a_doubt_of_the_callers_is_one() -> None:
    doubt = Criterion("history", False, "it was rolled back", doubt=True)
    assert decide(RULES, future(), Reading(ndcg(0.35), lists()), CHAMPION, doubts=[doubt]).verdict == "doubtful"


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


def test_vectors_that_must_not_serve_are_told_by_their_fault() -> None:
    random = np.random.default_rng(0)
    users, works = (random.standard_normal((many, 4)).astype(np.float32) for many in (PEOPLE, WORKS))
    assert fault_of(users, works) is None
    one_wrong = users.copy()
    one_wrong[3, 1] = np.nan
    assert fault_of(one_wrong, works) == "the vectors of 1 of 200 people are not finite"
    assert fault_of(users, works * np.float32(np.inf)) == "the vectors of 400 of 400 artworks are not finite"
    assert fault_of(users, np.ones_like(works)) == "it gives every work the same score"
    assert fault_of(np.zeros_like(users), works) == "it gives every work the same score"
    assert fault_of(users[:0], works) == fault_of(users, works[:0]) == "it has no vectors"


def test_a_reading_places_the_held_out_work_and_lists_the_unseen() -> None:
    # Person p's vector is unit vector p: work 200 + p alone answers to it.
    users = np.eye(PEOPLE, dtype=np.float32)
    works = np.full((WORKS, PEOPLE), -0.1, np.float32)
    works[200:] = np.eye(PEOPLE)
    found = reading(users, works, future())
    assert found.ndcg.tolist() == [1.0] * PEOPLE
    assert found.lists[:, 0].tolist() == list(range(200, 400))
    assert not (found.lists == 0).any()
    assert decide(RULES, future(), found).verdict == "accepted"
    broken_one = reading(users * np.nan, works, future())
    assert broken_one.fault is not None
    assert decide(RULES, future(), broken_one).verdict == "refused"


def test_people_who_saw_everything_are_not_listed() -> None:
    from artrec_core.model.sequences import Sequences

    starts = np.array([0, 3, 4])
    met = np.array([0, 1, 2, 0])
    none = np.zeros(4, np.int64)
    before = Sequences(starts, met, none, none, none.astype(bool), none.astype(bool))
    found = FrozenFuture.of(before, 3, np.array([1]), np.array([2]))
    assert found.listed.tolist() == [1]


@pytest.mark.parametrize(("works", "popular"), [(1, 1), (3, 1), (30, 3), (150, 15), (200, 20), (1000, 20), (5000, 50)])
def test_popular_are_one_in_a_hundred_works_but_not_the_whole_of_a_small_catalogue(works: int, popular: int) -> None:
    from artrec_core.model.sequences import Sequences

    nothing = np.zeros(0, np.int64)
    nobody = Sequences(np.zeros(2, np.int64), nothing, nothing, nothing, nothing.astype(bool), nothing.astype(bool))
    assert len(FrozenFuture.of(nobody, works, nothing, nothing).popular) == popular
