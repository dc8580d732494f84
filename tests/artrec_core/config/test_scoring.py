"""Strategies and scoring: what fits together, and when a strategy re-ranks."""

from typing import Any

import pytest

from artrec_core.config import Exploration, Filters, Floor, Score, Strategy


@pytest.mark.parametrize(
    ("constraints", "reranks"),
    [
        ({}, False),
        ({"weights": {"text": 1.0}, "filters": {"has_image": True}, "block": {"artworks": ["a"]}}, False),
        ({"caps": {"creator": 2}}, True),
        ({"caps": {"source": 2}}, True),
        ({"diversity": {}}, True),
        ({"exploration": {}}, True),
        ({"floors": [{"group": "gender:female", "share": 0.2}]}, True),
    ],
)
def test_a_strategy_reranks_if_it_has_caps_diversity_exploration_or_floors(
    constraints: dict[str, Any], reranks: bool
) -> None:
    assert Strategy.model_validate({"name": "main", **constraints}).reranks is reranks


@pytest.mark.parametrize("values", [{"price_from": 1.0}, {"price_to": 1.0}, {"currency": "EUR"}])
def test_prices_need_a_currency_and_a_currency_needs_a_price(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need `currency`"):
        Filters.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"year_from": 1900, "year_to": 1899}, "year_from 1900 is above year_to 1899"),
        ({"price_from": 5.0, "price_to": 4.5, "currency": "EUR"}, "price_from 5 is above price_to 4.5"),
    ],
)
def test_a_range_that_no_artwork_can_pass_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Filters.model_validate(values)


def test_a_range_of_one_year_is_allowed() -> None:
    assert Filters(year_from=1900, year_to=1900).year_to == 1900


def test_exploration_needs_to_know_what_makes_an_artwork_new() -> None:
    assert Exploration(nights=None, max_users=0).max_users == 0
    with pytest.raises(ValueError, match="needs `nights` or `max_users`"):
        Exploration(nights=None)


@pytest.mark.parametrize("group", ["source:walters", "gender:female", "culture:Edo period"])
def test_a_floor_is_for_a_group_of_a_known_kind(group: str) -> None:
    assert Floor(group=group, share=0.1).group == group


@pytest.mark.parametrize("group", ["colour:red", "source:", "source: ", "walters"])
def test_a_floor_for_another_group_is_refused(group: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        Floor(group=group, share=0.1)


def test_lists_and_candidates_have_at_least_one_artwork() -> None:
    for key in ("k", "candidates", "shard_users", "workers"):
        with pytest.raises(ValueError, match=f"{key}\n"):
            Score.model_validate({key: 0})
