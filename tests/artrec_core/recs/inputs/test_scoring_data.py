"""The tables of a run become arrays in the order of ids, for all users or for some of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.errors import ArtrecError
from artrec_core.recs.inputs.scoring_data import ScoringData
from tests.artrec_core.recs.scoring_worlds import (
    ARTWORK_IDS,
    ARTWORK_VECTORS,
    DAY,
    USER_IDS,
    USER_VECTORS,
    catalogue,
    history,
    scoring_data,
    tables,
    users,
    vector_rows,
)


def test_both_sides_are_in_the_order_of_their_ids() -> None:
    data = scoring_data()
    assert (data.user_ids.to_list(), data.artwork_ids.to_list(), data.shape) == (USER_IDS, ARTWORK_IDS, (4, 6))
    np.testing.assert_allclose(data.item_vectors, list(ARTWORK_VECTORS.values()))
    np.testing.assert_allclose(data.user_vectors, list(USER_VECTORS.values()))
    np.testing.assert_allclose(np.linalg.norm(data.unit_items, axis=1), 1, rtol=1e-6)
    assert data.model_version == "3"


def test_of_several_rows_with_one_id_the_first_counts() -> None:
    first = catalogue().with_columns(pl.lit("first").alias("title"))
    data = scoring_data(catalogue=pl.concat([first, catalogue()]), people=users("ann", "ann", "bob"))
    assert data.shape == (2, 6)
    assert data.catalogue["title"].unique().to_list() == ["first"]


def test_seen_and_positive_pairs() -> None:
    data = scoring_data()
    # The event with an artwork that is gone from the catalogue is left out.
    assert data.seen_pairs.toarray().tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 1], [0] * 6, [0] * 6]
    assert data.positive_pairs.toarray().tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0] * 6, [0] * 6]
    assert data.users_per_artwork.tolist() == [1, 0, 0, 1, 0, 0]


def test_a_user_is_simulated_by_its_row_or_by_any_event() -> None:
    events = pl.concat([history(("ann", "a1", "like")), history(("ann", "a2", "view"), simulated=True)])
    data = scoring_data(people=users(*USER_IDS, simulated=("dan",)), histories=events)
    assert data.simulated.tolist() == [True, False, False, True]
    assert data.any_simulated
    assert not scoring_data().any_simulated
    assert not scoring_data().simulated.any()


def test_evidence_is_a_history_or_an_interest() -> None:
    assert scoring_data().has_evidence.tolist() == [True, True, True, False]
    data = scoring_data(
        people=users("ann", "dan", interests={"dan": "  "}), histories=history(("ann", "a1", "dismiss"))
    )
    assert data.has_evidence.tolist() == [False, False]


def test_texts_have_vectors_by_content_and_interests_by_their_text() -> None:
    data = scoring_data(people=users("ann", "cleo", interests={"cleo": " ballet, cubism\n"}))
    np.testing.assert_allclose(data.text_items, [[*vector, 1] for vector in ARTWORK_VECTORS.values()])
    np.testing.assert_allclose(data.text_interests, [[0, 0, 0], [0.1, 1, 1]])
    assert scoring_data(interest_vectors=None).text_interests.tolist() == [[0, 0, 0]] * 4


def test_freshness_counts_days_since_the_first_night() -> None:
    nights = pl.DataFrame({"artwork_id": ["a2", "b3"], "night": ["2026-03-29", "2026-02-28"]})
    assert scoring_data(first_nights=nights).freshness_days.tolist() == [0, 1, 0, 0, 0, 30]
    assert not scoring_data().freshness_days.any()


def test_users_without_any_vectors_have_zero_vectors() -> None:
    data = scoring_data(user_vectors=tables().user_vectors.clear())
    assert data.user_vectors.tolist() == [[0, 0]] * 4


def test_the_popular_order_takes_movements_in_turn() -> None:
    # a1 and b1 have a user each; then the next artwork of Realism and of Cubism.
    assert scoring_data().popular_order.tolist() == [0, 3, 1, 4, 2, 5]


OTHER_TOWER = vector_rows("interest_vectors", text_tower="other", interests=["x"], vector=[[1.0, 1.0, 1.0]])
MIXED_TOWERS = tables().text_vectors.with_columns(  # type: ignore[union-attr]
    pl.when(pl.col("content_hash") == "hash a1").then(pl.lit("other")).otherwise("text_tower").alias("text_tower")
)
TWO_VERSIONS = vector_rows("user_vectors", user_id=["ann"], model_version=["2"], vector=[[1.0, 0.0]])


@pytest.mark.parametrize(
    ("changes", "read", "message"),
    [
        ({"item_vectors": tables().item_vectors.filter(pl.col("artwork_id") > "a2")}, lambda data: data, "2 artworks of the catalogue have no vector for 2026-03-30, the first is a1; run `artrec embed --date 2026-03-30`"),
        ({"user_vectors": TWO_VERSIONS}, lambda data: data, r"come from 2 model versions \(2, 3\); run `artrec embed"),
        ({"text_vectors": None}, lambda data: data.text_items, "do not all come from one text tower; run `artrec embed"),
        ({"text_vectors": MIXED_TOWERS}, lambda data: data.text_items, "do not all come from one text tower"),
        ({"interest_vectors": OTHER_TOWER}, lambda data: data.text_interests, "interest_vectors and text_vectors of 2026-03-30 do not come from one text tower"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_an_error_that_says_what_to_run(
    changes: dict[str, Any], read: Callable[[ScoringData], object], message: str
) -> None:
    with pytest.raises(ArtrecError, match=message):
        read(scoring_data(**changes))


def of_users(table: pl.DataFrame, user_ids: list[str]) -> pl.DataFrame:
    return table.filter(pl.col("user_id").is_in(user_ids))


@settings(max_examples=30, deadline=None)
@given(user_ids=st.lists(st.sampled_from(USER_IDS), unique=True), is_shared=st.booleans())
def test_some_users_have_the_rows_they_have_among_all(user_ids: list[str], is_shared: bool) -> None:
    all_data = scoring_data()
    # What is computed for all users must not stay for some of them.
    arrays = {name: getattr(all_data, name) for name in ("user_vectors", "simulated", "text_interests", "has_evidence")}
    pairs = {name: getattr(all_data, name).toarray() for name in ("seen_pairs", "positive_pairs")}
    rows = [row for row, user_id in enumerate(USER_IDS) if user_id in user_ids]
    source = all_data.without_users() if is_shared else all_data
    part = source.with_users(
        of_users(all_data.tables.people, user_ids),
        of_users(all_data.tables.histories, user_ids),
        of_users(all_data.tables.user_vectors, user_ids),
        all_data.tables.interest_vectors,
    )
    assert part.user_ids.to_list() == sorted(user_ids)
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(part, name), array[rows], err_msg=name)
    for name, matrix in pairs.items():
        np.testing.assert_array_equal(getattr(part, name).toarray(), matrix[rows], err_msg=name)
    lists = np.tile(np.arange(6, dtype=np.int32), (len(rows), 1))
    expected = [list(all_data.reasons.rows(row, lists[:1], np.ones(1, bool))) for row in rows]
    assert list(part.reasons.rows(0, lists, np.ones(len(rows), bool))) == [
        reason for user in expected for reason in user
    ]
    # Artworks keep their popularity among all users.
    assert part.users_per_artwork.tolist() == all_data.users_per_artwork.tolist()
    assert part.day == DAY


def test_what_depends_on_artworks_alone_is_shared_and_not_computed_again() -> None:
    all_data = scoring_data()
    shared = all_data.without_users()
    assert shared.shape == (0, 6)
    assert shared.tables.item_vectors.height == 0
    assert shared.tables.text_vectors is not None
    assert shared.tables.text_vectors.height == 1
    part = shared.with_users(users("cleo"), all_data.tables.histories.clear(), all_data.tables.user_vectors.clear())
    for name in ("item_vectors", "text_items", "unit_items"):
        assert getattr(part, name) is getattr(all_data, name)
    # The data of all users is unchanged.
    assert all_data.shape == (4, 6)
