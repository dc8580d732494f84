from typing import Any

import pytest

from artrec_core.data.sources.carnegie import artwork


def maker(**fields: Any) -> dict[str, Any]:
    return {"party_type": "Person", "role": None, "nationality": None, "birth_date": None, "death_date": None, **fields}


def test_an_etching_by_rembrandt() -> None:
    result = artwork(
        {
            "title": "The Golf-Player",
            "creation_date": "1654",
            "creation_date_earliest": "1654-01-01",
            "creation_date_latest": "1654-01-01",
            "medium": "etching",
            "accession_number": "74.7.196",
            "id": "cmoa:things/46f3fed3-e788-4b2d-a2ce-30dbdd4800bc",
            "web_url": "http://collection.cmoa.org/CollectionDetail.aspx?item=1017353",
            "provenance_text": "Charles J. Rosenbloom [1898-1973], Pittsburgh, PA",
            "classification": "Prints",
            "images": [{"image_url": "http://collection.cmoa.org/CollectionImage.aspx?irn=24613&size=Medium"}],
            "creator": [
                maker(
                    full_name="Rembrandt Harmensz. van Rijn",
                    cited_name="Rijn, Rembrandt Harmensz. van",
                    nationality="Dutch",
                    birth_date="1606-01-01",
                    death_date="1669-01-01",
                )
            ],
        }
    )
    assert result == {
        "artwork_id": "46f3fed3-e788-4b2d-a2ce-30dbdd4800bc",
        "title": "The Golf-Player",
        "creators": [
            {
                "name": "Rembrandt Harmensz. van Rijn",
                "role": "artist",
                "nationality": "Dutch",
                "gender": None,
                "born": 1606,
                "died": 1669,
            }
        ],
        "year_from": 1654,
        "year_to": 1654,
        "date_text": "1654",
        "classification": "prints",
        "medium": "etching",
        "culture": None,
        "museum": "Carnegie Museum of Art, Pittsburgh",
        "image_url": "http://collection.cmoa.org/CollectionImage.aspx?irn=24613&size=Medium",
        "url": "http://collection.cmoa.org/CollectionDetail.aspx?item=1017353",
        "licence": "CC0",
    }


def test_an_unknown_maker_has_no_name_but_tells_the_culture() -> None:
    result = artwork(
        {"creator": [maker(full_name="unknown Italian, Naples", nationality="Italian", birth_date="1700-01-01")]}
    )
    assert result["creators"] == [
        {"name": None, "role": "artist", "nationality": "Italian", "gender": None, "born": None, "died": None}
    ]
    assert result["culture"] == "Italian, Naples"
    assert artwork({"creator": [maker(full_name="unknown", nationality="undetermined")]})["creators"] is None


def test_the_founding_of_a_firm_is_no_birth() -> None:
    firm = maker(full_name="Wedgwood", party_type="Organization", nationality="English", birth_date="1759-01-01")
    assert artwork({"creator": [firm]})["creators"][0]["born"] is None


@pytest.mark.parametrize(
    ("text", "earliest", "latest", "expected"),
    [
        ("c. 1934", "1929-01-01", "1939-01-01", (1929, 1939)),
        ("999 BCE-700 BCE", "-0999-01-10", "-0700-01-09", (-999, -700)),
        ("15th-16th century", "1399-12-24", "1599-01-01", (1400, 1599)),
        ("Tang Dynasty, 618-907", "0617-12-29", "0906-12-27", (618, 907)),
        ("July 7, 1959", "1959-07-07", "71959-07-01", (1959, 1959)),
        ("1932, December", "1932-01-01", "1912-01-01", (1932, 1932)),
        ("early 18th century", "1800-01-01", "1830-01-01", (1701, 1733)),
        ("no date", None, None, (None, None)),
        (None, None, "1984-01-01", (None, 1984)),
    ],
)
def test_iso_dates_are_preferred_where_they_make_sense(
    text: str | None, earliest: str | None, latest: str | None, expected: tuple[int | None, int | None]
) -> None:
    result = artwork({"creation_date": text, "creation_date_earliest": earliest, "creation_date_latest": latest})
    assert (result["year_from"], result["year_to"]) == expected


def test_an_empty_list_of_images_is_no_image() -> None:
    assert artwork({"images": []})["image_url"] is None
    assert artwork({"images": None})["image_url"] is None
    assert artwork({"images": [{"image_url": None}, {"image_url": "http://b"}]})["image_url"] == "http://b"
