"""The lists of six artworks and four users, worked out by hand; and what every list keeps to, on a crowd."""

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.config import Score, Strategy
from artrec_core.errors import ArtrecError
from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.strategies.components import build_components
from artrec_core.recs.strategies.folding import fold
from artrec_core.recs.strategies.lists import BEYOND_FILTERS, ListBuilder, RankedLists
from tests.artrec_core.recs.scoring_worlds import ARTWORK_IDS, USER_IDS, crowd, history, scoring_data

CLEO = [USER_IDS.index("cleo")]
ALL = [0, 1, 2, 3]


def list_builder(
    data: ScoringData | None = None, *, blocked: tuple[str, ...] = (), k: int = 3, candidates: int = 5, **strategy: Any
) -> ListBuilder:
    data = data or scoring_data()
    options = Strategy(name="main", **strategy)
    weights = options.weights.model_dump()
    components = list(build_components(data, {name for name, weight in weights.items() if weight}))
    folding = fold(components, weights, options.alignment)
    score = Score(k=k, candidates=candidates, threads=1)
    return ListBuilder(data, options, folding, score, data.artwork_ids.is_in(blocked).to_numpy())


def named(lists: RankedLists) -> list[list[str]]:
    """The ids of the artworks in each list, without padding."""
    return [[ARTWORK_IDS[row] for row in ids if row >= 0] for ids in lists.ids.tolist()]


def build(users: list[int], **options: Any) -> RankedLists:
    return list_builder(**options).build(np.array(users))


def test_personal_lists_for_users_with_evidence_and_popular_artworks_for_the_others() -> None:
    lists = build(ALL)
    # Dan has a vector, but no history and no interests.
    assert named(lists) == [["a2", "a3", "b3"], ["b2", "a3", "a2"], ["b1", "b2", "b3"], ["a1", "b1", "a2"]]
    assert lists.is_personal.tolist() == [True, True, True, False]
    assert lists.scores[3].tolist() == [0, 0, 0]
    assert (np.diff(lists.scores[:3], axis=1) < 0).all()
    assert lists.relaxed_counts == {}


def test_filters_come_before_the_k_best_are_taken() -> None:
    lists = build(ALL, filters={"museums": ["Prado"]})
    # Bob has seen b1 and b3; the popular artworks of the Prado come in order.
    assert named(lists) == [["b3", "b2", "b1"], ["b2"], ["b1", "b2", "b3"], ["b1", "b2", "b3"]]
    assert lists.scores[1].tolist()[1:] == [-np.inf, -np.inf]


def test_beyond_the_filters_for_a_user_who_has_seen_everything_within_them() -> None:
    data = scoring_data(histories=history(*(("bob", artwork_id, "like") for artwork_id in ("b1", "b2", "b3", "a2"))))
    lists = build([1, 2], data=data, filters={"museums": ["Prado"]}, blocked=("a1",))
    assert named(lists) == [["a3"], ["b1", "b2", "b3"]]
    assert lists.is_personal.tolist() == [False, True]
    assert lists.scores[0].tolist() == [0, -np.inf, -np.inf]
    assert lists.relaxed_counts == {BEYOND_FILTERS: 1}


def test_blocked_artworks_are_in_no_list() -> None:
    assert named(build(ALL, blocked=("a2", "b1"))) == [
        ["a3", "b3", "b2"],
        ["b2", "a3", "a1"],
        ["b2", "b3", "a3"],
        ["a1", "b2", "a3"],
    ]
    with pytest.raises(ArtrecError, match="block list removes all 6 artworks"):
        build(ALL, blocked=tuple(ARTWORK_IDS))


def test_biases_alone_rank_alike_for_all_users() -> None:
    lists = build(ALL, weights={"history": 0, "popularity": 1})
    # a1 and b1 have a user each; of equal scores the lower id comes first. Dan's list is by score, too.
    assert named(lists) == [["b1", "a2", "a3"], ["a1", "a2", "a3"], ["a1", "b1", "a2"], ["a1", "b1", "a2"]]
    assert not lists.is_personal.any()
    assert lists.scores[3, 0] > 0


def test_a_cap_is_kept_with_artworks_beyond_the_first_candidates() -> None:
    # Cleo's three candidates are b1 and b2 by Bo, and b3 by an unknown artist, who has no cap. a3 comes next.
    for candidates in (1, 5):
        lists = build(CLEO, candidates=candidates, caps={"creator": 1})
        assert named(lists) == [["b1", "b3", "a3"]]
        assert lists.relaxed_counts == {}
    capped = build(CLEO, candidates=1, caps={"source": 2})
    assert named(capped) == [["b1", "b2", "a3"]]
    assert capped.relaxed_counts == {}


def test_a_cap_that_no_list_can_keep_is_relaxed_and_counted() -> None:
    lists = build([0, 2], candidates=1, caps={"source": 1})
    assert named(lists) == [["a2", "b3", "a3"], ["b1", "a3", "b2"]]
    assert lists.relaxed_counts == {"source_cap": 2}


def test_a_floor_is_met_with_artworks_beyond_the_first_candidates() -> None:
    lists = build(CLEO, candidates=1, floors=[{"group": "source:tate", "share": 0.3}])
    assert named(lists) == [["b1", "b2", "a3"]]
    assert lists.relaxed_counts == {}


def test_a_floor_that_cannot_be_met_is_relaxed_and_counted() -> None:
    data = scoring_data(histories=history(*(("bob", artwork_id, "like") for artwork_id in ("a1", "a2", "a3"))))
    lists = build([1], data=data, floors=[{"group": "source:tate", "share": 0.3}])
    assert named(lists) == [["b1", "b2", "b3"]]
    assert lists.relaxed_counts == {"floors": 1}


def test_floor_groups_count_what_may_be_shown() -> None:
    floors = [{"group": "source:tate", "share": 0.3}, {"group": "movement:cubism", "share": 0.3}]
    builder = list_builder(blocked=("a1",), filters={"museums": ["Tate"]}, floors=floors)
    assert builder.floor_group_sizes() == {"source:tate": 2, "movement:cubism": 0}


def test_diversity_prefers_an_artwork_of_another_kind() -> None:
    assert named(build(CLEO, k=2, diversity={"mmr_lambda": 0.2})) == [["b1", "a1"]]
    assert named(build(CLEO, k=2, diversity={"mmr_lambda": 1.0})) == [["b1", "b2"]]
    assert named(build(CLEO, k=2, diversity={"mmr_lambda": 0.2, "by": "text"})) == [["b1", "a1"]]


NIGHTS = pl.DataFrame({"artwork_id": ARTWORK_IDS, "night": ["2026-01-01"] * 2 + ["2026-03-25"] + ["2026-01-01"] * 3})


def test_an_explored_artwork_has_a_place_but_not_the_first() -> None:
    # a3 alone is new. It is not among Cleo's first three candidates.
    data = scoring_data(first_nights=NIGHTS)
    lists = build(CLEO, data=data, candidates=1, exploration={"share": 0.3, "nights": 14})
    (artworks,) = named(lists)
    assert artworks[0] == "b1"
    assert sorted(artworks) == ["a3", "b1", "b2"]
    assert lists.relaxed_counts == {}


def test_explored_artworks_have_any_place_after_the_first_and_the_others_stay_in_order() -> None:
    data = crowd()
    builder = list_builder(data, k=5, exploration={"share": 0.2, "nights": None, "max_users": 0})
    is_new = data.users_per_artwork == 0
    rows = np.flatnonzero(builder.has_own_list(np.arange(40)))
    lists = builder.build(rows)
    # Where the best five have no new artwork, the one that is shown is explored.
    assert is_new[lists.ids].any(axis=1).all()
    falls = np.diff(lists.scores, axis=1) <= 0
    assert falls[:, 0].all()
    # An explored artwork before the last place makes the scores rise once after it.
    assert set((~falls).sum(axis=1).tolist()) == {0, 1}


def test_without_new_artworks_exploration_changes_nothing() -> None:
    data = scoring_data(first_nights=NIGHTS)
    lists = build(CLEO, data=data, blocked=("a3",), exploration={"share": 0.3, "nights": 14})
    assert named(lists) == [["b1", "b2", "b3"]]


CONSTRAINED: dict[str, Any] = {
    "caps": {"creator": 2, "source": 4},
    "floors": [{"group": "source:source 1", "share": 0.4}, {"group": "movement:movement 2", "share": 0.2}],
    "diversity": {"mmr_lambda": 0.6},
    "exploration": {"share": 0.2, "nights": None, "max_users": 1},
    "filters": {"museums": ["source 0", "source 1", "source 2"]},
}


@settings(max_examples=25, deadline=None)
@given(
    names=st.sets(st.sampled_from(sorted(CONSTRAINED))), k=st.integers(1, 9), candidates=st.integers(1, 3), seed=st.integers(0, 50)
)  # fmt: skip
def test_lists_are_full_of_different_unseen_artworks_that_may_be_shown(
    names: set[str], k: int, candidates: int, seed: int
) -> None:
    data = crowd(15, 40, seed)
    blocked = ("w003", "w017")
    builder = list_builder(
        data, blocked=blocked, k=k, candidates=candidates, **{name: CONSTRAINED[name] for name in names}
    )
    lists = builder.build(np.arange(15))
    for user in range(15):
        ids = lists.ids[user]
        assert (ids >= 0).all()
        assert len(set(ids.tolist())) == k
        assert not data.seen_pairs.toarray()[user, ids].any()
        assert builder.allowed.mask[ids].all()
        if "caps" in names and not lists.relaxed_counts:
            assert (
                np.unique([data.catalogue["creators"][int(row)][0]["name"] for row in ids], return_counts=True)[1].max()
                <= 2
            )
    assert lists.is_personal.tolist() == [row % 3 != 0 for row in range(15)]


@settings(max_examples=25, deadline=None)
@given(
    names=st.sets(st.sampled_from(sorted(CONSTRAINED))), cuts=st.sets(st.integers(1, 14)), candidates=st.integers(1, 3), seed=st.integers(0, 50)
)  # fmt: skip
def test_a_list_does_not_depend_on_the_users_beside_it(
    names: set[str], cuts: set[int], candidates: int, seed: int
) -> None:
    data = crowd(15, 40, seed)
    builder = list_builder(data, k=5, candidates=candidates, **{name: CONSTRAINED[name] for name in names})
    all_lists = builder.build(np.arange(15))
    limits = [0, *sorted(cuts), 15]
    parts = [builder.build(np.arange(begin, end)) for begin, end in pairwise(limits)]
    np.testing.assert_array_equal(np.vstack([part.ids for part in parts]), all_lists.ids)
    np.testing.assert_array_equal(np.vstack([part.scores for part in parts]), all_lists.scores)
    for name in {name for part in parts for name in part.relaxed_counts} | all_lists.relaxed_counts.keys():
        assert sum(part.relaxed_counts.get(name, 0) for part in parts) == all_lists.relaxed_counts.get(name, 0)


def test_a_builder_for_other_users_shares_what_depends_on_artworks() -> None:
    data = crowd()
    builder = list_builder(data, k=5, candidates=2, **CONSTRAINED)
    rows = np.arange(10, 25)
    ids = data.user_ids.gather(rows).to_list()
    part = data.with_users(
        *(table.filter(pl.col("user_id").is_in(ids)) for table in (data.tables.people, data.tables.histories, data.tables.user_vectors))
    )  # fmt: skip
    other = builder.with_users(part, builder.folding.with_users({"history": part.user_vectors}))
    assert other.constraints is builder.constraints
    assert other.prepared is builder.prepared
    np.testing.assert_array_equal(other.build(np.arange(15)).ids, builder.build(rows).ids)
    # The first builder still has its own users.
    assert builder.data is data
