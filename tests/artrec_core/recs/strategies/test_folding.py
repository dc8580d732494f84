"""The product of folded vectors is the weighted sum of the components, each on one scale."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.strategies.folding import Alignment, Component, fold, spread


def product(users: Any, items: Any, alignment: Alignment) -> Any:
    """The aligned products of all pairs, by their definition."""
    if alignment == "cosine":
        lengths = np.linalg.norm(users, axis=1)[:, None] * np.linalg.norm(items, axis=1)
        return np.divide(users @ items.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)
    if alignment == "euclidean":
        negative_distances = -((users[:, None, :] - items[None, :, :]) ** 2).sum(axis=2) / 2
        return np.where(users.any(axis=1)[:, None], negative_distances, 0)
    return users @ items.T


@settings(max_examples=60, deadline=None)
@given(
    alignment=st.sampled_from(["dot", "cosine", "euclidean"]),
    weights=st.tuples(*[st.sampled_from([0.0, 1.0, 0.3, -2.0])] * 5),
    user_count=st.integers(1, 6), item_count=st.integers(1, 30), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_folded_scores_equal_the_sum_term_by_term(
    alignment: Alignment, weights: tuple[float, ...], user_count: int, item_count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    text, history = (
        (rng.standard_normal((n, d)) * s).astype(np.float32) for n, d, s in ((user_count, 5, 1), (user_count, 3, 40))
    )
    factors = rng.standard_normal((user_count, 4)).astype(np.float32)
    history[0] = factors[-1] = 0
    text_items, history_items, factor_items = (
        rng.standard_normal((item_count, d)).astype(np.float32) for d in (5, 3, 4)
    )
    history_items[0] = 0
    fresh, popular = (rng.random((item_count, 1)).astype(np.float32) for _ in range(2))
    components = [
        Component("text", text_items, text),
        Component("history", history_items, history),
        Component("collaborative", factor_items, factors),
        Component("freshness", fresh),
        Component("popularity", popular),
    ]
    weights_by_name = dict(zip([component.name for component in components], weights, strict=True))
    folding = fold(components, weights_by_name, alignment)
    expected = np.zeros((user_count, item_count))
    for component in components:
        weight, scale = weights_by_name[component.name], folding.spreads.get(component.name, 0.0)
        if weight and scale:
            items = component.items.astype(np.float64)
            users = None if component.users is None else component.users.astype(np.float64)
            expected += weight / scale * (items.T if users is None else product(users, items, alignment))
    scores = folding.users(0, user_count).astype(np.float64) @ folding.items.astype(np.float64).T
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_a_component_is_brought_to_unit_spread_whatever_its_scale() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((200, 8)).astype(np.float32), rng.standard_normal((300, 8)).astype(np.float32)
    for factor in (1.0, 1000.0):
        folding = fold([Component("text", items, users * np.float32(factor))], {"text": 2.0})
        scores = folding.users(0, 200) @ folding.items.T
        assert np.sqrt(scores.var(axis=1).mean()) == pytest.approx(2.0, rel=1e-4)


def test_users_without_a_vector_do_not_change_the_scale() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((20, 4)).astype(np.float32), rng.standard_normal((30, 4)).astype(np.float32)
    padded_users = np.vstack([users, np.zeros((500, 4), np.float32)])
    assert spread(Component("text", items, padded_users), "dot") == spread(Component("text", items, users), "dot")


def test_a_component_with_equal_scores_for_all_items_adds_nothing() -> None:
    folding = fold([Component("freshness", np.full((4, 1), 7, np.float32))], {"freshness": 1.0})
    assert folding.spreads == {"freshness": 0.0}
    assert folding.items.shape == (4, 0)
    assert not folding.is_personal


def test_users_with_a_vector() -> None:
    users = np.array([[1, 0], [0, 0]], np.float32)
    folding = fold([Component("text", np.eye(2, dtype=np.float32), users)], {"text": 1.0})
    assert folding.have_vectors(np.arange(2)).tolist() == [True, False]
    assert folding.users(1, 2).tolist() == [[0, 0]]


def test_an_unknown_component_raises_with_its_name() -> None:
    with pytest.raises(ValueError, match="no component is called 'colour'; there are text"):
        fold([Component("text", np.ones((1, 1), np.float32))], {"colour": 1.0})
