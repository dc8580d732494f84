from typing import Any

import pytest

from artrec_core.data.sources.walters import artwork

EMPTY = {"name": None, "role": "artist", "nationality": None, "gender": None, "born": None, "died": None}


def by(display: str, role: str = "Artist", gender: str | None = None) -> dict[str, Any]:
    result = artwork({"Creators": [{"ConcatDisplayName": display, "Role": role, "Gender": gender, "CreatorID": 1}]})
    creators: list[dict[str, Any]] = result["creators"] or [{}]
    return creators[0]


def test_an_etruscan_satyr() -> None:
    result = artwork(
        {
            "ObjectID": 2807,
            "ObjectNumber": "54.86",
            "Title": "Reclining Figure of Silene",
            "Classification": "Metal",
            "ObjectName": "statuettes;figurines",
            "Medium": "bronze\r\n",
            "Culture": "Etruscan",
            "DateBeginYear": -512,
            "DateEndYear": -488,
            "DateText": "ca. 500 BC",
            "Keywords": "satyr; rhyton\r\nWalters Art Museum; Literature -- Poetry",
            "Description": "This satyr is a follower of <i>Dionysus</i>.\r\n\r\nHe holds a rhyton &amp; a cup.",
            "Creators": [{"ConcatDisplayName": "Etruscan (?)", "Role": "Artist", "Gender": None}],
            "Geographies": [{"GeoType": "Place of Origin", "GeographyTerm": "Italia"}],
            "Images": [
                {"IsPrimary": False, "ImageURLs": {"Raw": "http://static.thewalters.org/images/b.jpg"}},
                {
                    "IsPrimary": True,
                    "ImageURLs": {"Raw": "http://static.thewalters.org/images/a.jpg", "Tiny": "http://t"},
                },
            ],
            "ResourceURL": "http://art.thewalters.org/detail/2807",
        }
    )
    assert result == {
        "artwork_id": "2807",
        "title": "Reclining Figure of Silene",
        "creators": [{**EMPTY, "nationality": "Etruscan"}],
        "year_from": -512,
        "year_to": -488,
        "date_text": "ca. 500 BC",
        "classification": "metal",
        "medium": "bronze",
        "movement": None,
        "culture": "Etruscan",
        "subjects": ["satyr", "rhyton", "literature", "poetry", "statuettes", "figurines"],
        "description": "This satyr is a follower of Dionysus. He holds a rhyton & a cup.",
        "museum": "The Walters Art Museum, Baltimore",
        "image_url": "http://static.thewalters.org/images/a.jpg",
        "url": "http://art.thewalters.org/detail/2807",
        "licence": "CC0",
    }


@pytest.mark.parametrize(
    ("display", "expected"),
    [
        (
            "Jean-Léon Gérôme (French, 1824-1904)",
            {"name": "Jean-Léon Gérôme", "nationality": "French", "born": 1824, "died": 1904},
        ),
        (
            "Workshop of Guido Reni (Italian, 1575-1642) (?)",
            {"name": "Guido Reni", "role": "workshop of", "nationality": "Italian", "born": 1575, "died": 1642},
        ),
        (
            "Elisabetta Sirani (Italian, 1638-1665) (?)",
            {"name": "Elisabetta Sirani", "role": "possibly by", "nationality": "Italian", "born": 1638, "died": 1665},
        ),
        (
            "Attributed to Seyh Hamdullah (Islamic, 1436 (?)-1520)",
            {"name": "Seyh Hamdullah", "role": "attributed to", "nationality": "Islamic", "born": 1436, "died": 1520},
        ),
        ("Sa'di (died 691 AH/AD 1292)", {"name": "Sa'di", "died": 1292}),
        ("Isidore of Seville (Spain, 570-636)", {"name": "Isidore of Seville", "born": 570, "died": 636}),
        ("Sana'ani (Yemeni, active ca. 1775-1809)", {"name": "Sana'ani", "nationality": "Yemeni"}),
        (
            "Master of the Castles (German) , attributed to",
            {"name": "Master of the Castles", "role": "attributed to", "nationality": "German"},
        ),
        (
            "Movement: Nicolas Dutertre (French, 1758-1793)",
            {"name": "Nicolas Dutertre", "nationality": "French", "born": 1758, "died": 1793},
        ),
        ("Venetian ()", {"nationality": "Venetian"}),
        ("Panamanian (Veraguas style)", {"nationality": "Panamanian"}),
        ("Lukas of Cyprus", {"name": "Lukas of Cyprus"}),
    ],
)
def test_makers_are_read_from_their_display_names(display: str, expected: dict[str, Any]) -> None:
    assert by(display) == {**EMPTY, **expected}


def test_gender_and_role_are_kept() -> None:
    assert by("Marie-Anne Fragonard (French, 1745-1823)", role="Painter", gender="female") == {
        "name": "Marie-Anne Fragonard",
        "role": "painter",
        "nationality": "French",
        "gender": "female",
        "born": 1745,
        "died": 1823,
    }


def test_an_anonymous_maker_is_no_creator() -> None:
    assert by("Anonymous") == {}


def test_culture_comes_from_the_best_field_there_is() -> None:
    def makers(display: str) -> list[dict[str, Any]]:
        return [{"ConcatDisplayName": display, "Role": "Artist", "Gender": None}]

    egypt = [
        {
            "GeoType": "Place of Origin",
            "GeographyTerm": "Thebes",
            "GeoHierarchy": "The Thesaurus\\World\\continents\\Africa\\nations\\Misr\\inhabited places\\",
        }
    ]
    qing = {"Creators": makers("Chinese"), "Dynasty": "Qing [Ch'ing] Dynasty"}
    assert artwork(qing)["culture"] == "Chinese; Qing Dynasty"
    persian = {"Culture": "Islamic; Persian", "Dynasty": "Safavid Dynasty (?)", "Period": "Safavid (?)"}
    assert (artwork(persian)["culture"], artwork(persian)["movement"]) == ("Islamic; Persian", "Safavid")
    assert artwork({"Creators": makers("Egyptian"), "Geographies": egypt})["culture"] == "Egyptian"
    assert artwork({"Creators": [], "Geographies": egypt})["culture"] == "Egypt"
    assert artwork({"Creators": makers("Asher Durand (American, 1796-1886)"), "Geographies": egypt})["culture"] is None


def test_style_goes_before_period() -> None:
    assert artwork({"Style": "Gothic~International Gothic", "Period": "Medieval"})["movement"] == (
        "Gothic; International Gothic"
    )


def test_year_0_and_implausible_years_are_replaced_by_the_date_text() -> None:
    assert artwork({"DateBeginYear": 0, "DateEndYear": 0, "DateText": "n.d."})["year_from"] is None
    result = artwork({"DateBeginYear": 1601, "DateEndYear": 17000, "DateText": "11th century AH/AD 17th century"})
    assert (result["year_from"], result["year_to"]) == (1601, 1700)
