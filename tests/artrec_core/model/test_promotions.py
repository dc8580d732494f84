"""Who may be rolled back to, from the promotions alone."""

from artrec_core.model.promotions import Promotion, served_before, step_back


def promoted(version: str, instead_of: str | None, *, back: bool = False) -> Promotion:
    return Promotion(version, instead_of, "why", "gate", "2026-03-30T00:00:00+00:00", back)


def test_each_champion_steps_back_to_the_one_before() -> None:
    told = [promoted("1", None), promoted("2", "1"), promoted("5", "2")]
    assert served_before("5", told) == ["1", "2"]
    assert served_before("1", told[:1]) == []


def test_a_second_step_back_goes_further_back() -> None:
    told = [promoted("1", None), promoted("2", "1"), promoted("3", "2"), promoted("2", "3", back=True)]
    assert served_before("2", told) == ["1"]
    assert served_before("4", [*told, promoted("4", "2")]) == ["1", "2"]


def test_a_champion_from_before_anything_was_recorded_can_be_returned_to() -> None:
    assert served_before("8", [promoted("8", "7")]) == ["7"]


def test_a_version_that_served_twice_stands_once() -> None:
    assert served_before("1", [promoted("1", None), promoted("2", "1"), promoted("1", "2")]) == ["2"]


def test_a_step_back_is_remembered_until_the_version_is_promoted_again() -> None:
    back = promoted("1", "2", back=True)
    told = [promoted("1", None), promoted("2", "1"), back]
    assert step_back("2", told) is back
    assert step_back("1", told) is None
    assert step_back("2", [*told, promoted("2", "1")]) is None
    assert step_back("3", told) is None
