"""A strategy's one product is the sum of its components, each on one scale."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.strategies.folding import Alignment, Component, fold, spread


def product(one: Any, other: Any, alignment: Alignment) -> Any:
    """Written out a pair at a time, from the definition."""
    if alignment == "cosine":
        lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
        return np.divide(one @ other.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)
    if alignment == "euclidean":
        apart = -((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2) / 2
        return np.where(one.any(axis=1)[:, None], apart, 0)
    return one @ other.T


@settings(max_examples=60, deadline=None)
@given(
    alignment=st.sampled_from(["dot", "cosine", "euclidean"]),
    weights=st.tuples(*[st.sampled_from([0.0, 1.0, 0.3, -2.0])] * 5),
    people=st.integers(1, 6), works=st.integers(1, 30), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_folded_scores_equal_the_sum_term_by_term(
    alignment: Alignment, weights: tuple[float, ...], people: int, works: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    text, history = (
        (rng.standard_normal((n, d)) * s).astype(np.float32) for n, d, s in ((people, 5, 1), (people, 3, 40))
    )
    factors = rng.standard_normal((people, 4)).astype(np.float32)
    history[0] = factors[-1] = 0
    text_items, history_items, factor_items = (rng.standard_normal((works, d)).astype(np.float32) for d in (5, 3, 4))
    history_items[0] = 0
    fresh, popular = (rng.random((works, 1)).astype(np.float32) for _ in range(2))
    components = [
        Component("text", text_items, text),
        Component("history", history_items, history),
        Component("collaborative", factor_items, factors),
        Component("freshness", fresh),
        Component("popularity", popular),
    ]
    given_weights = dict(zip([one.name for one in components], weights, strict=True))
    folding = fold(components, given_weights, alignment)
    expected = np.zeros((people, works))
    for component in components:
        weight, scale = given_weights[component.name], folding.spreads.get(component.name, 0.0)
        if weight and scale:
            items = component.items.astype(np.float64)
            users = None if component.users is None else component.users.astype(np.float64)
            expected += weight / scale * (items.T if users is None else product(users, items, alignment))
    found = folding.users(0, people).astype(np.float64) @ folding.items.astype(np.float64).T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_component_is_brought_to_unit_spread_whatever_its_scale() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((200, 8)).astype(np.float32), rng.standard_normal((300, 8)).astype(np.float32)
    for factor in (1.0, 1000.0):
        folding = fold([Component("text", items, users * np.float32(factor))], {"text": 2.0})
        scores = folding.users(0, 200) @ folding.items.T
        assert np.sqrt(scores.var(axis=1).mean()) == pytest.approx(2.0, rel=1e-4)


def test_people_without_a_vector_do_not_change_the_scale() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((20, 4)).astype(np.float32), rng.standard_normal((30, 4)).astype(np.float32)
    more = np.vstack([users, np.zeros((500, 4), np.float32)])
    assert spread(Component("text", items, more), "dot") == spread(Component("text", items, users), "dot")


def test_a_component_that_tells_no_works_apart_adds_nothing() -> None:
    folding = fold([Component("freshness", np.full((4, 1), 7, np.float32))], {"freshness": 1.0})
    assert folding.spreads == {"freshness": 0.0}
    assert folding.items.shape == (4, 0)
    assert not folding.is_personal


def test_who_has_a_vector() -> None:
    users = np.array([[1, 0], [0, 0]], np.float32)
    folding = fold([Component("text", np.eye(2, dtype=np.float32), users)], {"text": 1.0})
    assert folding.has_vector(0, 2).tolist() == [True, False]
    assert folding.users(1, 2).tolist() == [[0, 0]]


def test_an_unknown_component_is_named() -> None:
    with pytest.raises(ValueError, match="no component is called 'colour'; there are text"):
        fold([Component("text", np.ones((1, 1), np.float32))], {"colour": 1.0})
