"""The scored tables of six artworks and four users, and of a crowd: the same rows, however they are cut into pieces."""

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.columns import LAKE
from artrec_core.config import Score, Strategy
from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.tables.scored_tables import ScoredTables
from tests.artrec_core.recs.scoring_worlds import (
    ARTWORK_IDS,
    ARTWORK_VECTORS,
    DAY,
    USER_VECTORS,
    crowd,
    history,
    lists,
    scoring_data,
)

TABLES = ("recommendations", "similar_artworks", "artwork_audiences", "all_pairs")


def scored_tables(
    data: ScoringData | None = None, strategies: list[dict[str, Any]] | None = None, default: str = "main", **score: Any
) -> ScoredTables:
    sizes = {"k": 3, "similar_k": 2, "audience_k": 2, "popular_k": 2, "threads": 1}
    options = [Strategy(**strategy) for strategy in strategies or [{"name": "main"}]]
    return ScoredTables(data or scoring_data(), options, default, Score(**(sizes | score)))


def whole(tables: ScoredTables, table: str) -> pl.DataFrame:
    users, artworks = tables.data.shape
    return tables.piece(table, 0, artworks if table in ("similar_artworks", "artwork_audiences") else users).rows


def test_recommendations_have_ranks_scores_and_reasons() -> None:
    rows = whole(scored_tables(), "recommendations")
    assert rows.schema == pl.Schema(LAKE["recommendations"])
    assert lists(rows, "user_id", "artwork_id") == {
        "ann": ["a2", "a3", "b3"],
        "bob": ["b2", "a3", "a2"],
        "cleo": ["b1", "b2", "b3"],
        "dan": ["a1", "b1", "a2"],
    }
    assert rows["rank"].to_list() == [1, 2, 3] * 4
    reasons = {(user_id, artwork_id): (reason, because_of) for user_id, artwork_id, reason, because_of in rows.select("user_id", "artwork_id", "reason", "because_of").iter_rows()}  # fmt: skip
    assert reasons["ann", "a2"] == ("Because you liked Work a1 by Anna: both by Anna", "a1")
    assert reasons["cleo", "b2"] == ("Matches your interest in cubism", "ballet, cubism")
    assert reasons["dan", "a2"] == ("From the collection of Tate", None)
    assert rows.select("run_date", "model_version", "strategy").unique().rows() == [(DAY, "3", "main")]


def test_rows_are_in_order_of_user_strategy_and_rank() -> None:
    strategies = [{"name": "second"}, {"name": "first", "weights": {"history": 0, "popularity": 1}}]
    rows = whole(scored_tables(strategies=strategies, default="second"), "recommendations")
    assert rows.equals(rows.sort("user_id", "strategy", "rank"))
    assert rows.height == 4 * 2 * 3


def test_a_list_of_popular_artworks_is_simulated_if_any_event_is() -> None:
    events = pl.concat([history(("ann", "a1", "like")), history(("bob", "b1", "like"), simulated=True)])
    rows = whole(scored_tables(scoring_data(histories=events)), "recommendations")
    flags = dict(rows.select("user_id", "simulated").unique().iter_rows())
    assert flags == {"ann": False, "bob": True, "cleo": False, "dan": True}


def test_relaxed_constraints_are_counted_by_strategy() -> None:
    strategies = [{"name": "main"}, {"name": "capped", "caps": {"source": 1}}]
    piece = scored_tables(strategies=strategies).piece("recommendations", 0, 3)
    assert piece.relaxed_counts == {"capped": {"source_cap": 3}, "main": {}}


def test_similar_artworks_leave_out_blocked_ones_on_both_sides() -> None:
    assert lists(whole(scored_tables(), "similar_artworks"), "artwork_id", "other_artwork_id")["a1"] == ["a2", "a3"]
    blocked = whole(scored_tables(block={"artworks": ["a2"]}), "similar_artworks")
    assert lists(blocked, "artwork_id", "other_artwork_id") == {
        "a1": ["a3", "b3"], "a3": ["a1", "b3"], "b1": ["b2", "b3"], "b2": ["b1", "b3"], "b3": ["b2", "b1"],
    }  # fmt: skip


def test_filters_of_the_default_strategy_hold_for_every_table_about_artworks() -> None:
    strategies = [{"name": "main", "filters": {"museums": ["Prado"]}}, {"name": "free"}]
    tables = scored_tables(strategies=strategies)
    similar = lists(whole(tables, "similar_artworks"), "artwork_id", "other_artwork_id")
    # An artwork outside the filters has similar artworks, but is none.
    assert similar["a1"] == ["b3", "b2"]
    assert set(lists(whole(tables, "artwork_audiences"), "artwork_id", "user_id")) == {"b1", "b2", "b3"}
    popular = lists(tables.popular_artworks(), "segment", "artwork_id")
    assert popular == {"movement:Cubism": ["b1", "b2"], "museum:Prado": ["b1", "b2"], "overall": ["b1", "b2"]}


def test_audiences_leave_out_users_who_have_seen_the_artwork_or_have_no_own_list() -> None:
    audiences = lists(whole(scored_tables(), "artwork_audiences"), "artwork_id", "user_id")
    assert audiences["a1"] == ["cleo", "bob"]
    assert audiences["a2"] == ["ann", "cleo"]
    assert audiences["b3"] == ["cleo", "ann"]
    assert "dan" not in {user_id for audience in audiences.values() for user_id in audience}


@pytest.mark.parametrize(
    ("table", "score"), [("similar_artworks", {"similar_k": 0}), ("artwork_audiences", {"audience_k": 0})]
)
def test_a_table_of_length_zero_is_empty(table: str, score: dict[str, int]) -> None:
    rows = whole(scored_tables(**score), table)
    assert (rows.height, rows.schema) == (0, pl.Schema(LAKE[table]))


def test_without_users_with_an_own_list_no_artwork_has_an_audience() -> None:
    data = scoring_data(
        histories=history(), people=scoring_data().users.with_columns(pl.lit(None, pl.String).alias("interests"))
    )
    tables = scored_tables(data)
    assert tables.piece("artwork_audiences", 0, 6).rows.is_empty()
    assert tables.count_users_by_list() == {"own": 0, "popular": 4}


def test_all_pairs_hold_seen_and_filtered_artworks() -> None:
    rows = whole(scored_tables(strategies=[{"name": "main", "filters": {"museums": ["Prado"]}}]), "all_pairs")
    assert rows.select("user_id", "artwork_id").rows() == [
        (user, artwork) for user in USER_VECTORS for artwork in ARTWORK_IDS
    ]
    products = np.array(list(USER_VECTORS.values())) @ np.array(list(ARTWORK_VECTORS.values())).T
    scores = rows["score"].to_numpy().reshape(4, 6)
    # Scores are products on the strategy's scale.
    np.testing.assert_allclose(scores / scores[0, 0], products / products[0, 0], rtol=1e-5)


def test_users_are_counted_by_the_kind_of_their_list() -> None:
    assert scored_tables().count_users_by_list() == {"own": 3, "popular": 1}


@pytest.mark.parametrize(("weights", "uses_text"), [({}, False), ({"text": 1}, True), ({"popularity": 1}, False)])
def test_whether_texts_enter_a_score(weights: dict[str, float], uses_text: bool) -> None:
    strategies = [{"name": "main"}, {"name": "other", "weights": weights}]
    assert scored_tables(strategies=strategies).uses_text == uses_text


STRATEGIES: list[dict[str, Any]] = [
    {"name": "main"},
    {
        "name": "mixed",
        "weights": {"text": 1, "popularity": -0.5},
        "caps": {"creator": 2},
        "block": {"artworks": ["w005"]},
    },
]


@settings(max_examples=10, deadline=None)
@given(table=st.sampled_from(TABLES), cuts=st.sets(st.integers(1, 11)), seed=st.integers(0, 20))
def test_pieces_have_the_rows_of_the_whole_table(table: str, cuts: set[int], seed: int) -> None:
    tables = scored_tables(crowd(12, 12, seed), STRATEGIES, block={"artworks": ["w001"]})
    pieces = [tables.piece(table, begin, end).rows for begin, end in pairwise([0, *sorted(cuts), 12])]
    assert pl.concat(pieces).equals(tables.piece(table, 0, 12).rows)


def test_tables_of_some_users_from_tables_without_users() -> None:
    data = crowd()
    tables = scored_tables(data, STRATEGIES)
    shared = tables.without_users(threads=2)
    assert shared.data.shape == (0, 60)
    assert shared.score.threads == 2
    ids = data.user_ids[10:25].to_list()
    part = shared.data.with_users(
        *(table.filter(pl.col("user_id").is_in(ids)) for table in (data.tables.people, data.tables.histories, data.tables.user_vectors))
    )  # fmt: skip
    for vectors in ({}, {"text": tables.foldings["mixed"].personal_parts[0].users[10:25]}):
        some = shared.with_users(part, vectors)
        for table in ("recommendations", "all_pairs"):
            assert some.piece(table, 0, 15).rows.equals(tables.piece(table, 10, 25).rows), table
    assert shared.data.shape == (0, 60)


def test_audiences_from_tables_without_users() -> None:
    tables = scored_tables(crowd(), STRATEGIES)
    shared = tables.without_users(threads=1)
    expected = tables.piece("artwork_audiences", 5, 40).rows
    assert expected.height
    again = shared.with_audience_users(tables.find_audience_users(tables.log_totals))
    assert again.piece("artwork_audiences", 5, 40).rows.equals(expected)
    assert shared.piece("artwork_audiences", 5, 40).rows.is_empty()
    assert shared.popular_artworks().equals(tables.popular_artworks())
    assert shared.piece("similar_artworks", 0, 60).rows.equals(tables.piece("similar_artworks", 0, 60).rows)
