"""Re-ranking: lists of six candidates worked out by hand, and random lists compared with all possible lists."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.inputs.similarity import unit_rows
from artrec_core.recs.strategies.reranking import Constraints, Selection, rerank

NumbersByArtwork = dict[int, list[int]]


def constraints_of(artwork_count: int, **options: Any) -> Constraints:
    """Only the constraints in `options`; `creators` by artwork, `groups` as {group: (artworks, places)}."""
    creators: NumbersByArtwork = options.get("creators", {})
    group_bits = np.zeros(artwork_count, np.uint64)
    for bit, (members, _) in enumerate(options.get("groups", {}).values()):
        group_bits[members] |= np.uint64(1) << np.uint64(bit)
    vectors = options.get("vectors")
    return Constraints(
        creator_starts=np.cumsum([0, *(len(creators.get(artwork, [])) for artwork in range(artwork_count))]).astype(
            np.int64
        ),
        creators=np.array(
            [creator for artwork in range(artwork_count) for creator in creators.get(artwork, [])], np.int32
        ),
        creator_cap=options.get("creator_cap", 0),
        sources=np.array(options.get("sources", [-1] * artwork_count), np.int32),
        source_cap=options.get("source_cap", 0),
        group_bits=group_bits,
        floor_places=np.array([places for _, places in options.get("groups", {}).values()], np.int64),
        vectors=np.zeros((artwork_count, 0), np.float32)
        if vectors is None
        else unit_rows(np.array(vectors, np.float32)),
        mmr_lambda=options.get("mmr_lambda", 1.0),
    )


def select(scores: list[float], k: int, constraints: Constraints, explored: list[int] | None = None) -> Selection:
    """The selection of one user whose candidates are artworks 0, 1, ... with these scores."""
    ids = np.arange(len(scores), dtype=np.int32)[None]
    is_explored = None if explored is None else np.isin(ids, explored)
    zero = np.array([min(scores)])
    return rerank(ids, np.array([scores], np.float32), k, constraints, zero=zero, is_explored=is_explored)


def columns_and_relaxed(
    scores: list[float], k: int, constraints: Constraints, explored: list[int] | None = None
) -> tuple[list[int], list[bool]]:
    selection = select(scores, k, constraints, explored)
    return selection.columns[0].tolist(), selection.is_relaxed[0].tolist()


SIX = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
NOTHING_RELAXED = [False] * 4


def test_without_constraints_a_list_has_the_best_scores() -> None:
    assert columns_and_relaxed(SIX, 3, constraints_of(6)) == ([0, 1, 2], NOTHING_RELAXED)
    assert columns_and_relaxed(SIX[:2], 3, constraints_of(6)) == ([0, 1, -1], NOTHING_RELAXED)


def test_a_cap_per_creator_counts_each_creator_of_an_artwork() -> None:
    # Creator 7 made artworks 0, 1 and 3; creator 8 made 1 and 2; 4 and 5 have no known creator.
    constraints = constraints_of(6, creators={0: [7], 1: [7, 8], 2: [8], 3: [7]}, creator_cap=1)
    assert columns_and_relaxed(SIX, 3, constraints) == ([0, 2, 4], NOTHING_RELAXED)
    # Five places cannot be filled within the cap: it is relaxed, and the best candidate comes first.
    assert columns_and_relaxed(SIX, 5, constraints) == ([0, 2, 4, 5, 1], [False, True, False, False])


def test_a_cap_per_source() -> None:
    constraints = constraints_of(6, sources=[0, 0, 0, 1, 1, -1], source_cap=1)
    assert columns_and_relaxed(SIX, 3, constraints) == ([0, 3, 5], NOTHING_RELAXED)
    assert columns_and_relaxed(SIX, 4, constraints) == ([0, 3, 5, 1], [False, False, True, False])


def test_the_cap_per_creator_is_relaxed_before_the_cap_per_source() -> None:
    constraints = constraints_of(6, creators={0: [1], 3: [1]}, creator_cap=1, sources=[0, 0, 0, 1, 0, 0], source_cap=1)
    assert columns_and_relaxed(SIX, 2, constraints) == ([0, 3], [False, True, False, False])
    assert columns_and_relaxed(SIX, 3, constraints) == ([0, 3, 1], [False, True, True, False])


def test_a_floor_takes_the_last_places_it_needs() -> None:
    assert columns_and_relaxed(SIX, 3, constraints_of(6, groups={"g": ([4, 5], 1)})) == ([0, 1, 4], NOTHING_RELAXED)
    assert columns_and_relaxed(SIX, 3, constraints_of(6, groups={"g": ([0, 4, 5], 2)})) == ([0, 1, 4], NOTHING_RELAXED)
    assert columns_and_relaxed(SIX, 2, constraints_of(6, groups={"g": ([1], 1)})) == ([0, 1], NOTHING_RELAXED)


def test_a_floor_with_too_few_candidates_takes_all_of_them_and_the_list_is_full() -> None:
    assert columns_and_relaxed(SIX, 3, constraints_of(6, groups={"g": ([5], 2)})) == (
        [0, 1, 5],
        [True, False, False, False],
    )
    assert columns_and_relaxed(SIX, 3, constraints_of(6, groups={"g": ([], 2)})) == (
        [0, 1, 2],
        [True, False, False, False],
    )


def test_an_artwork_of_two_groups_counts_for_both() -> None:
    # Two of each group in two places: only artworks of both groups can meet the floors.
    groups = {"g": ([1, 3, 4], 2), "h": ([2, 3, 4], 2)}
    assert columns_and_relaxed(SIX, 2, constraints_of(6, groups=groups)) == ([3, 4], NOTHING_RELAXED)


def test_floors_are_relaxed_before_caps() -> None:
    constraints = constraints_of(6, creators={4: [1], 5: [1]}, creator_cap=1, groups={"g": ([4, 5], 2)})
    assert columns_and_relaxed(SIX, 3, constraints) == ([0, 4, 1], [True, False, False, False])


def test_explored_artworks_are_in_the_list() -> None:
    assert columns_and_relaxed(SIX, 3, constraints_of(6), explored=[3, 5]) == ([0, 3, 5], NOTHING_RELAXED)


def test_explored_artworks_stay_within_the_caps() -> None:
    constraints = constraints_of(6, creators={0: [1], 5: [1]}, creator_cap=1)
    assert columns_and_relaxed(SIX, 2, constraints, explored=[4, 5]) == ([4, 5], NOTHING_RELAXED)
    assert columns_and_relaxed(SIX, 3, constraints, explored=[4, 5]) == ([0, 4, 1], [False, False, False, True])


def test_diversity_skips_an_artwork_similar_to_a_listed_one() -> None:
    # 0 and 1 are alike, 2 and 3 too; relevance is 1, 0.8, 0.6, 0.
    scores, vectors = [5.0, 4.0, 3.0, 0.0], [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert columns_and_relaxed(scores, 2, constraints_of(4, vectors=vectors, mmr_lambda=0.9))[0] == [0, 1]
    # 0.5 * 0.8 - 0.5 * 1 is less than 0.5 * 0.6 - 0.5 * 0.
    assert columns_and_relaxed(scores, 2, constraints_of(4, vectors=vectors, mmr_lambda=0.5))[0] == [0, 2]
    assert columns_and_relaxed(scores, 4, constraints_of(4, vectors=vectors, mmr_lambda=0.5))[0] == [0, 2, 1, 3]


def test_of_equal_values_the_earlier_candidate_comes_first() -> None:
    assert columns_and_relaxed([1.0] * 4, 3, constraints_of(4, vectors=[[1, 0]] * 4, mmr_lambda=0.5))[0] == [0, 1, 2]
    assert columns_and_relaxed([1.0] * 4, 3, constraints_of(4))[0] == [0, 1, 2]


def test_users_without_candidates_and_no_users() -> None:
    empty = rerank(np.full((2, 3), -1, np.int32), np.zeros((2, 3), np.float32), 2, constraints_of(3), zero=np.zeros(2))
    assert empty.columns.tolist() == [[-1, -1]] * 2
    no_users = rerank(np.empty((0, 0), np.int32), np.empty((0, 0), np.float32), 2, constraints_of(3), zero=np.zeros(0))
    assert no_users.columns.shape == (0, 2)


def random_candidates(seed: int, user_count: int, n: int, artwork_count: int) -> tuple[Any, Any, np.random.Generator]:
    rng = np.random.default_rng(seed)
    ids = np.array([np.sort(rng.permutation(artwork_count)[:n]) for _ in range(user_count)], np.int32)
    scores = -np.sort(-rng.integers(-3, 9, (user_count, n)).astype(np.float32), axis=1)
    return ids, scores, rng


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 8), k=st.integers(1, 5), floors=st.integers(0, 2))
def test_no_list_that_meets_the_floors_has_a_higher_sum_of_scores(seed: int, n: int, k: int, floors: int) -> None:
    ids, scores, rng = random_candidates(seed, 3, n, 9)
    group_by_artwork = rng.integers(0, 3, 9)  # groups that do not overlap
    groups = {
        str(group): (np.flatnonzero(group_by_artwork == group), int(rng.integers(0, 3))) for group in range(floors)
    }
    selection = rerank(ids, scores, k, constraints_of(9, groups=groups), zero=scores[:, -1].astype(np.float64))
    for user in range(3):
        listed = selection.columns[user][selection.columns[user] >= 0]
        assert len(set(listed.tolist())) == len(listed) == min(k, n)
        sums_within_floors = [
            scores[user, list(columns)].sum()
            for columns in combinations(range(n), min(k, n))
            if all(np.isin(ids[user, list(columns)], group).sum() >= places for group, places in groups.values())
        ]
        if sums_within_floors:
            assert not selection.is_relaxed[user].any()
            assert scores[user, listed].sum() == max(sums_within_floors)
        elif sum(places for _, places in groups.values()) <= min(k, n):
            assert selection.is_relaxed[user, 0]


def naive_mmr(scores: Any, cosines: Any, k: int, weight: float, zero: float) -> list[int]:
    span = scores[0] - zero
    relevance = 1 - (scores[0] - scores) / span if span > 0 else np.ones(len(scores))
    columns: list[int] = []
    for _ in range(min(k, len(scores))):
        values = weight * relevance - (1 - weight) * (cosines[:, columns].max(axis=1) if columns else 0)
        values[columns] = -np.inf
        columns.append(int(np.argmax(values)))
    return columns


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 20), k=st.integers(1, 12), weight=st.sampled_from([0.0, 0.3, 0.8]))
def test_diversity_is_maximal_marginal_relevance(seed: int, n: int, k: int, weight: float) -> None:
    ids, scores, rng = random_candidates(seed, 2, n, 30)
    vectors = unit_rows(rng.standard_normal((30, 5)).astype(np.float32))
    zero = scores[:, -1].astype(np.float64)
    selection = rerank(ids, scores, k, constraints_of(30, vectors=vectors, mmr_lambda=weight), zero=zero)
    for user in range(2):
        candidate_vectors = unit_rows(vectors)[ids[user]].astype(np.float64)
        cosines = (candidate_vectors @ candidate_vectors.T).astype(np.float32).astype(np.float64)
        listed = selection.columns[user][: min(k, n)].tolist()
        assert listed == naive_mmr(scores[user].astype(np.float64), cosines, k, weight, zero[user])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), cap=st.integers(1, 3), k=st.integers(1, 10))
def test_caps_hold_unless_relaxed_and_lists_are_full(seed: int, cap: int, k: int) -> None:
    ids, scores, rng = random_candidates(seed, 4, 10, 30)
    creators = {artwork: rng.permutation(4)[: rng.integers(0, 3)].tolist() for artwork in range(30)}
    sources = rng.integers(-1, 3, 30).tolist()
    constraints = constraints_of(
        30, creators=creators, creator_cap=cap, sources=sources, source_cap=cap + 1, groups={"g": ([1, 2, 3], 2)},
        vectors=rng.standard_normal((30, 4)), mmr_lambda=0.6,
    )  # fmt: skip
    selection = rerank(ids, scores, k, constraints, zero=scores[:, -1].astype(np.float64))
    for user in range(4):
        listed = ids[user, selection.columns[user]]
        assert len(set(listed.tolist())) == len(listed) == k
        highest_count = max([np.sum([creator in creators[artwork] for artwork in listed]) for creator in range(4)])
        assert (highest_count > cap) == selection.is_relaxed[user, 1]
        assert (
            max(np.bincount([sources[artwork] + 1 for artwork in listed], minlength=4)[1:]) > cap + 1
        ) == selection.is_relaxed[user, 2]


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing(threads: int) -> None:
    ids, scores, rng = random_candidates(1, 40, 20, 60)
    constraints = constraints_of(
        60, vectors=rng.standard_normal((60, 4)), mmr_lambda=0.5, groups={"g": (list(range(9)), 3)}
    )
    single, threaded = (rerank(ids, scores, 8, constraints, zero=np.zeros(40), threads=n) for n in (1, threads))
    assert (single.columns == threaded.columns).all()
    assert (single.is_relaxed == threaded.is_relaxed).all()
