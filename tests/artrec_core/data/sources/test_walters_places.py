"""Places of the Walters have English names."""

import pytest

from artrec_core.data.sources.walters import artwork
from artrec_core.data.sources.walters_places import ENGLISH_NAMES


@pytest.mark.parametrize(("place", "english"), sorted(ENGLISH_NAMES.items()))
def test_a_country_of_origin_becomes_its_english_name(place: str, english: str) -> None:
    hierarchy = f"World\\continents\\Somewhere\\nations\\{place}\\inhabited places\\"
    by_nation = {"GeoType": "Place of Origin", "GeographyTerm": "a town", "GeoHierarchy": hierarchy}
    by_term = {"GeoType": "Place of Origin", "GeographyTerm": place}
    for geography in (by_nation, by_term):
        assert artwork({"Creators": [], "Geographies": [geography]})["culture"] == english


def test_a_place_without_another_name_keeps_its_own() -> None:
    geography = {"GeoType": "Place of Origin", "GeographyTerm": "Thebes"}
    assert artwork({"Creators": [], "Geographies": [geography]})["culture"] == "Thebes"


def test_english_names_are_not_named_again() -> None:
    assert not set(ENGLISH_NAMES) & set(ENGLISH_NAMES.values())
    assert all(name.isascii() and name == name.strip() for name in ENGLISH_NAMES.values())
