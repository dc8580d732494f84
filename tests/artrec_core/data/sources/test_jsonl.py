from typing import Any

import pytest

from artrec_core.data.sources.jsonl import build_mapper
from artrec_core.errors import ConfigError


def map_value(column: str, value: Any) -> Any:
    return build_mapper({column: "x"})({"x": value})[column]


def names(value: Any) -> list[str]:
    return [creator["name"] for creator in map_value("creators", value)]


def test_paths_lead_through_objects_and_lists() -> None:
    record = {"a": {"b": [{"c": "one"}, {"c": "two"}, {}]}, "images": [{"url": "http://i"}]}
    result = build_mapper({"medium": "a.b.c", "subjects": "a.b.c", "image_url": "images.0.url", "title": "a.none.c"})(
        record
    )
    assert result == {"medium": "one; two", "subjects": ["one", "two"], "image_url": "http://i", "title": None}


def test_creators_from_text_lists_and_objects() -> None:
    assert names("Joel Coen, Ethan Coen") == ["Joel Coen", "Ethan Coen"]
    assert names("Blake, Robert") == ["Blake, Robert"]
    assert names("Gilbert; George") == ["Gilbert", "George"]
    assert names(["Ann", "Bob"]) == ["Ann", "Bob"]
    assert map_value("creators", [{"name": "Ann", "born": "1950", "nationality": "Irish"}]) == [
        {"name": "Ann", "role": None, "nationality": "Irish", "gender": None, "born": 1950, "died": None}
    ]
    assert map_value("creators", None) is None


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        (1995, 1995, 1995),
        ("1995", 1995, 1995),
        ("1995-03-01", 1995, 1995),
        ("c.1830–5", 1830, 1835),
        ([1901, 1903], 1901, 1903),
        ("abc", None, None),
        (None, None, None),
    ],
)
def test_years_are_read_from_what_holds_them(value: Any, first: int | None, last: int | None) -> None:
    assert (map_value("year_from", value), map_value("year_to", value)) == (first, last)


def test_subjects_are_lists_in_lower_case() -> None:
    assert map_value("subjects", "Comedy|Drama, War") == ["comedy", "drama", "war"]
    assert map_value("subjects", ["Comedy", "comedy", None]) == ["comedy"]


@pytest.mark.parametrize(
    ("value", "expected"), [("12.50", 12.5), (3, 3.0), ("free", None), (float("inf"), None), (10**400, None)]
)
def test_prices_are_numbers(value: Any, expected: float | None) -> None:
    assert map_value("price", value) == expected


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ConfigError, match="'colour' is not a column of an artwork"):
        build_mapper({"artwork_id": "id", "title": "t", "colour": "c"})
