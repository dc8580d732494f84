import pytest

from artrec_core.data.names import (
    creator,
    is_nationality,
    known_creators,
    natural_name,
    split_attribution,
    strip_honours,
)


@pytest.mark.parametrize(
    ("inverted", "expected"),
    [
        ("Blake, Robert", "Robert Blake"),
        ("Moore, Henry, OM, CH", "Henry Moore"),
        ("Martin, J., of Canterbury", "J. Martin of Canterbury"),
        ("Rijn, Rembrandt Harmensz. van", "Rembrandt Harmensz. van Rijn"),
        ("Wedgwood", "Wedgwood"),
    ],
)
def test_inverted_names_are_turned(inverted: str, expected: str) -> None:
    assert natural_name(inverted) == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("Henry Moore OM, CH", "Henry Moore"),
        ("Sir George Howland Beaumont, Bt", "Sir George Howland Beaumont"),
        ("Christo (Christo Javacheff)", "Christo"),
        ("Holbein (the Younger)", "Holbein (the Younger)"),
        ("Art & Language (Terry Atkinson, born 1939; Michael Baldwin, born 1945)", "Art & Language"),
        ("Robert Ra", "Robert Ra"),
    ],
)
def test_honours_and_civil_names_go(shown: str, expected: str) -> None:
    assert strip_honours(shown) == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("Workshop of Guido Reni", ("workshop of", "Guido Reni")),
        ("Copy after Raphael", ("copy after", "Raphael")),
        ("Attributed to Workshop of Casa Pirota", ("attributed to", "Casa Pirota")),
        ("Circle of the Limbourg Brothers", ("circle of", "Limbourg Brothers")),
        ("possibly French", ("possibly by", "French")),
        ("Yokoya Somin or follower", (None, "Yokoya Somin")),
        ("Master of the Castles, attributed to", ("attributed to", "Master of the Castles")),
        ("Afterman", (None, "Afterman")),
    ],
)
def test_the_tie_to_the_work_is_told_from_the_name(shown: str, expected: tuple[str | None, str]) -> None:
    assert split_attribution(shown) == expected


@pytest.mark.parametrize(
    "people", ["Japanese", "Greco-Roman", "South German or Austrian", "Sri Lankan", "French | Swiss"]
)
def test_a_people_is_no_name(people: str) -> None:
    assert is_nationality(people)


@pytest.mark.parametrize("name", ["Ikkei", "John English", "Roman Painter of Vienna", "", "Northern", "and"])
def test_a_name_is_no_people(name: str) -> None:
    assert not is_nationality(name)


def test_makers_come_before_publishers_and_nobody_twice() -> None:
    publisher, artist = creator("Ebiya Rinnosuke", role="Publisher"), creator("Utagawa Kuniyoshi", role="Artist")
    assert known_creators([publisher, artist, creator(None, role="artist"), artist]) == [artist, publisher]
    assert known_creators([creator(None, gender="Male")]) is None
