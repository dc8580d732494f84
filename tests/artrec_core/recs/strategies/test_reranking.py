"""Lists chosen from finalists: six works by hand, and random ones against every list there is."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.inputs.similarity import unit_rows
from artrec_core.recs.strategies.reranking import Chosen, Lines, rerank

Numbers = dict[int, list[int]]


def lines(works: int, **given: Any) -> Lines:
    """Nothing asked of a list of these works but what is given; `creators` by work, `groups` as {group: (works, need)}."""
    creators: Numbers = given.get("creators", {})
    groups = np.zeros(works, np.uint64)
    for bit, (members, _) in enumerate(given.get("groups", {}).values()):
        groups[members] |= np.uint64(1) << np.uint64(bit)
    vectors = given.get("vectors")
    return Lines(
        creators_from=np.cumsum([0, *(len(creators.get(work, [])) for work in range(works))]).astype(np.int64),
        creators=np.array([one for work in range(works) for one in creators.get(work, [])], np.int32),
        creator_cap=given.get("creator_cap", 0),
        sources=np.array(given.get("sources", [-1] * works), np.int32),
        source_cap=given.get("source_cap", 0),
        groups=groups,
        needs=np.array([need for _, need in given.get("groups", {}).values()], np.int64),
        vectors=np.zeros((works, 0), np.float32) if vectors is None else unit_rows(np.array(vectors, np.float32)),
        mmr_lambda=given.get("mmr_lambda", 1.0),
    )


def chosen(scores: list[float], k: int, asked: Lines, explored: list[int] | None = None) -> Chosen:
    """One person whose finalists are works 0, 1, ... with these scores."""
    ids = np.arange(len(scores), dtype=np.int32)[None]
    marked = None if explored is None else np.isin(ids, explored)
    zero = np.array([min(scores)])
    return rerank(ids, np.array([scores], np.float32), k, asked, zero=zero, explored=marked)


def listed(
    scores: list[float], k: int, asked: Lines, explored: list[int] | None = None
) -> tuple[list[int], list[bool]]:
    made = chosen(scores, k, asked, explored)
    return made.places[0].tolist(), made.gave_way[0].tolist()


SIX = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
NOTHING_GAVE_WAY = [False] * 4


def test_without_lines_a_list_is_the_best() -> None:
    assert listed(SIX, 3, lines(6)) == ([0, 1, 2], NOTHING_GAVE_WAY)
    assert listed(SIX[:2], 3, lines(6)) == ([0, 1, -1], NOTHING_GAVE_WAY)


def test_a_cap_a_creator_counts_each_creator_of_a_work() -> None:
    # 7 made works 0, 1 and 3, alone or with 8; of 8 there is one more, and 4 and 5 are nobody's.
    asked = lines(6, creators={0: [7], 1: [7, 8], 2: [8], 3: [7]}, creator_cap=1)
    assert listed(SIX, 3, asked) == ([0, 2, 4], NOTHING_GAVE_WAY)
    # Five places cannot be filled within the cap: it gives way, and best first.
    assert listed(SIX, 5, asked) == ([0, 2, 4, 5, 1], [False, True, False, False])


def test_a_cap_a_source() -> None:
    asked = lines(6, sources=[0, 0, 0, 1, 1, -1], source_cap=1)
    assert listed(SIX, 3, asked) == ([0, 3, 5], NOTHING_GAVE_WAY)
    assert listed(SIX, 4, asked) == ([0, 3, 5, 1], [False, False, True, False])


def test_the_cap_a_creator_gives_way_before_the_cap_a_source() -> None:
    asked = lines(6, creators={0: [1], 3: [1]}, creator_cap=1, sources=[0, 0, 0, 1, 0, 0], source_cap=1)
    assert listed(SIX, 2, asked) == ([0, 3], [False, True, False, False])
    assert listed(SIX, 3, asked) == ([0, 3, 1], [False, True, True, False])


def test_a_floor_takes_the_last_places_it_needs() -> None:
    assert listed(SIX, 3, lines(6, groups={"g": ([4, 5], 1)})) == ([0, 1, 4], NOTHING_GAVE_WAY)
    assert listed(SIX, 3, lines(6, groups={"g": ([0, 4, 5], 2)})) == ([0, 1, 4], NOTHING_GAVE_WAY)
    assert listed(SIX, 2, lines(6, groups={"g": ([1], 1)})) == ([0, 1], NOTHING_GAVE_WAY)


def test_a_floor_without_enough_finalists_takes_those_there_are_and_no_place_is_lost() -> None:
    assert listed(SIX, 3, lines(6, groups={"g": ([5], 2)})) == ([0, 1, 5], [True, False, False, False])
    assert listed(SIX, 3, lines(6, groups={"g": ([], 2)})) == ([0, 1, 2], [True, False, False, False])


def test_a_work_of_two_groups_counts_for_both() -> None:
    # Two of each in two places: only works of both will do.
    groups = {"g": ([1, 3, 4], 2), "h": ([2, 3, 4], 2)}
    assert listed(SIX, 2, lines(6, groups=groups)) == ([3, 4], NOTHING_GAVE_WAY)


def test_floors_give_way_before_caps() -> None:
    asked = lines(6, creators={4: [1], 5: [1]}, creator_cap=1, groups={"g": ([4, 5], 2)})
    assert listed(SIX, 3, asked) == ([0, 4, 1], [True, False, False, False])


def test_what_a_person_explores_is_in_the_list() -> None:
    assert listed(SIX, 3, lines(6), explored=[3, 5]) == ([0, 3, 5], NOTHING_GAVE_WAY)


def test_what_a_person_explores_keeps_within_the_caps() -> None:
    asked = lines(6, creators={0: [1], 5: [1]}, creator_cap=1)
    assert listed(SIX, 2, asked, explored=[4, 5]) == ([4, 5], NOTHING_GAVE_WAY)
    assert listed(SIX, 3, asked, explored=[4, 5]) == ([0, 4, 1], [False, False, False, True])


def test_variety_passes_over_a_work_like_one_already_there() -> None:
    # 0 and 1 are alike, 2 and 3 too; relevance is 1, 0.8, 0.6, 0.
    scores, vectors = [5.0, 4.0, 3.0, 0.0], [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert listed(scores, 2, lines(4, vectors=vectors, mmr_lambda=0.9))[0] == [0, 1]
    # 0.5 * 0.8 - 0.5 * 1 is less than 0.5 * 0.6 - 0.5 * 0.
    assert listed(scores, 2, lines(4, vectors=vectors, mmr_lambda=0.5))[0] == [0, 2]
    assert listed(scores, 4, lines(4, vectors=vectors, mmr_lambda=0.5))[0] == [0, 2, 1, 3]


def test_of_equal_worth_the_earlier_finalist_comes_first() -> None:
    assert listed([1.0] * 4, 3, lines(4, vectors=[[1, 0]] * 4, mmr_lambda=0.5))[0] == [0, 1, 2]
    assert listed([1.0] * 4, 3, lines(4))[0] == [0, 1, 2]


def test_nobody_and_nothing() -> None:
    empty = rerank(np.full((2, 3), -1, np.int32), np.zeros((2, 3), np.float32), 2, lines(3), zero=np.zeros(2))
    assert empty.places.tolist() == [[-1, -1]] * 2
    none = rerank(np.empty((0, 0), np.int32), np.empty((0, 0), np.float32), 2, lines(3), zero=np.zeros(0))
    assert none.places.shape == (0, 2)


def random_world(seed: int, people: int, n: int, works: int) -> tuple[Any, Any, np.random.Generator]:
    rng = np.random.default_rng(seed)
    ids = np.array([np.sort(rng.permutation(works)[:n]) for _ in range(people)], np.int32)
    scores = -np.sort(-rng.integers(-3, 9, (people, n)).astype(np.float32), axis=1)
    return ids, scores, rng


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 8), k=st.integers(1, 5), floors=st.integers(0, 2))
def test_no_list_that_meets_the_floors_has_a_higher_sum(seed: int, n: int, k: int, floors: int) -> None:
    ids, scores, rng = random_world(seed, 3, n, 9)
    of_group = rng.integers(0, 3, 9)  # groups that do not overlap
    groups = {str(one): (np.flatnonzero(of_group == one), int(rng.integers(0, 3))) for one in range(floors)}
    made = rerank(ids, scores, k, lines(9, groups=groups), zero=scores[:, -1].astype(np.float64))
    for person in range(3):
        mine = made.places[person][made.places[person] >= 0]
        assert len(set(mine.tolist())) == len(mine) == min(k, n)
        meeting = [
            scores[person, list(one)].sum()
            for one in combinations(range(n), min(k, n))
            if all(np.isin(ids[person, list(one)], members).sum() >= need for members, need in groups.values())
        ]
        if meeting:
            assert not made.gave_way[person].any()
            assert scores[person, mine].sum() == max(meeting)
        elif sum(need for _, need in groups.values()) <= min(k, n):
            assert made.gave_way[person, 0]


def naive_mmr(scores: Any, cosines: Any, k: int, weight: float, zero: float) -> list[int]:
    span = scores[0] - zero
    relevance = 1 - (scores[0] - scores) / span if span > 0 else np.ones(len(scores))
    out: list[int] = []
    for _ in range(min(k, len(scores))):
        worth = weight * relevance - (1 - weight) * (cosines[:, out].max(axis=1) if out else 0)
        worth[out] = -np.inf
        out.append(int(np.argmax(worth)))
    return out


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 20), k=st.integers(1, 12), weight=st.sampled_from([0.0, 0.3, 0.8]))
def test_variety_is_maximal_marginal_relevance_as_written(seed: int, n: int, k: int, weight: float) -> None:
    ids, scores, rng = random_world(seed, 2, n, 30)
    vectors = unit_rows(rng.standard_normal((30, 5)).astype(np.float32))
    zero = scores[:, -1].astype(np.float64)
    made = rerank(ids, scores, k, lines(30, vectors=vectors, mmr_lambda=weight), zero=zero)
    for person in range(2):
        found = unit_rows(vectors)[ids[person]].astype(np.float64)
        cosines = (found @ found.T).astype(np.float32).astype(np.float64)
        mine = made.places[person][: min(k, n)].tolist()
        assert mine == naive_mmr(scores[person].astype(np.float64), cosines, k, weight, zero[person])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), cap=st.integers(1, 3), k=st.integers(1, 10))
def test_caps_hold_unless_they_gave_way_and_lists_are_whole(seed: int, cap: int, k: int) -> None:
    ids, scores, rng = random_world(seed, 4, 10, 30)
    creators = {work: rng.permutation(4)[: rng.integers(0, 3)].tolist() for work in range(30)}
    sources = rng.integers(-1, 3, 30).tolist()
    asked = lines(
        30, creators=creators, creator_cap=cap, sources=sources, source_cap=cap + 1, groups={"g": ([1, 2, 3], 2)},
        vectors=rng.standard_normal((30, 4)), mmr_lambda=0.6,
    )  # fmt: skip
    made = rerank(ids, scores, k, asked, zero=scores[:, -1].astype(np.float64))
    for person in range(4):
        mine = ids[person, made.places[person]]
        assert len(set(mine.tolist())) == len(mine) == k
        most = max([np.sum([one in creators[w] for w in mine]) for one in range(4)])
        assert (most > cap) == made.gave_way[person, 1]
        assert (max(np.bincount([sources[w] + 1 for w in mine], minlength=4)[1:]) > cap + 1) == made.gave_way[person, 2]


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing(threads: int) -> None:
    ids, scores, rng = random_world(1, 40, 20, 60)
    asked = lines(60, vectors=rng.standard_normal((60, 4)), mmr_lambda=0.5, groups={"g": (list(range(9)), 3)})
    one, many = (rerank(ids, scores, 8, asked, zero=np.zeros(40), threads=n) for n in (1, threads))
    assert (one.places == many.places).all()
    assert (one.gave_way == many.gave_way).all()
