"""Versions to roll back to, from the promotions alone."""

from artrec_core.model.promotions import Promotion, latest_rollback, rollback_versions


def promotion(version: str, instead_of: str | None, *, back: bool = False) -> Promotion:
    return Promotion(version, instead_of, "why", "gate", "2026-03-30T00:00:00+00:00", back)


def test_each_champion_rolls_back_to_the_one_before() -> None:
    promotions = [promotion("1", None), promotion("2", "1"), promotion("5", "2")]
    assert rollback_versions("5", promotions) == ["1", "2"]
    assert rollback_versions("1", promotions[:1]) == []


def test_a_second_rollback_goes_further_back() -> None:
    promotions = [promotion("1", None), promotion("2", "1"), promotion("3", "2"), promotion("2", "3", back=True)]
    assert rollback_versions("2", promotions) == ["1"]
    assert rollback_versions("4", [*promotions, promotion("4", "2")]) == ["1", "2"]


def test_a_champion_from_before_anything_was_recorded_can_be_returned_to() -> None:
    assert rollback_versions("8", [promotion("8", "7")]) == ["7"]


def test_a_version_that_served_twice_is_listed_once() -> None:
    assert rollback_versions("1", [promotion("1", None), promotion("2", "1"), promotion("1", "2")]) == ["2"]


def test_a_rollback_is_remembered_until_the_version_is_promoted_again() -> None:
    rollback = promotion("1", "2", back=True)
    promotions = [promotion("1", None), promotion("2", "1"), rollback]
    assert latest_rollback("2", promotions) is rollback
    assert latest_rollback("1", promotions) is None
    assert latest_rollback("2", [*promotions, promotion("2", "1")]) is None
    assert latest_rollback("3", promotions) is None
