"""The components of a score on six artworks and four users."""

import numpy as np
import polars as pl
import pytest

from artrec_core.errors import ArtrecError
from artrec_core.recs.strategies.components import (
    FRESH_HALF_LIFE_DAYS,
    build_components,
    collaborative_component,
    freshness_component,
    history_component,
    popularity_component,
    text_component,
)
from tests.artrec_core.recs.scoring_worlds import ARTWORK_IDS, history, scoring_data, tables


def test_only_the_named_components_are_built() -> None:
    # Without text vectors, the text component would be an error.
    names = {"popularity", "history"}
    components = list(build_components(scoring_data(text_vectors=None), names))
    assert {component.name for component in components} == names
    assert not list(build_components(scoring_data(), set()))
    with pytest.raises(ArtrecError, match="text_vectors"):
        list(build_components(scoring_data(text_vectors=None), {"text"}))


def test_a_taste_in_texts_is_the_mean_of_positive_artworks_else_of_the_interests() -> None:
    data = scoring_data(
        histories=history(("ann", "a1", "like"), ("ann", "b1", "like"), ("ann", "a2", "view"), ("cleo", "a1", "view"))
    )
    component = text_component(data)
    np.testing.assert_array_equal(component.items, data.text_items)
    assert component.users is not None
    # Ann likes a1 and b1. Cleo has only looked, so the stated interests count. Of Bob and Dan nothing is known.
    np.testing.assert_allclose(component.users, [[0.5, 0.5, 1], [0, 0, 0], [0.1, 1, 1], [0, 0, 0]])


def test_history_takes_the_vectors_of_the_towers() -> None:
    data = scoring_data()
    component = history_component(data)
    assert component.items is data.item_vectors
    assert component.users is data.user_vectors


def test_collaborative_factors_are_zero_without_positive_events() -> None:
    data = scoring_data()
    component = collaborative_component(data)
    assert component.users is not None
    assert component.users.any(axis=1).tolist() == [True, True, False, False]
    assert component.items.any(axis=1).tolist() == [artwork_id in ("a1", "b1") for artwork_id in ARTWORK_IDS]
    # The factors of ALS reproduce who likes what; the dimension of popularity is left out.
    scores = component.users @ component.items.T
    assert scores[0, 0] > 0.5 > abs(scores[0, 3])
    assert scores[1, 3] > 0.5 > abs(scores[1, 0])
    assert component.users.shape[1] == component.items.shape[1]


def test_freshness_halves_after_its_half_life() -> None:
    assert FRESH_HALF_LIFE_DAYS == 30
    nights = pl.DataFrame({"artwork_id": ["a1", "a2"], "night": ["2026-02-28", "2026-01-29"]})
    component = freshness_component(scoring_data(first_nights=nights))
    assert component.items[:, 0].tolist() == [0.5, 0.25, 1, 1, 1, 1]
    assert component.users is None


def test_popularity_is_the_logarithm_of_users() -> None:
    events = history(
        *((user, "a1", "like") for user in ("ann", "bob", "cleo")), ("ann", "a1", "purchase"), ("dan", "b1", "view")
    )
    component = popularity_component(scoring_data(histories=events))
    np.testing.assert_allclose(component.items[:, 0], [np.log(4), 0, 0, 0, 0, 0], rtol=1e-6)
    assert component.users is None


def test_without_interest_vectors_users_without_history_have_no_taste() -> None:
    component = text_component(scoring_data(histories=tables().histories.clear(), interest_vectors=None))
    assert component.users is not None
    assert not component.users.any()
