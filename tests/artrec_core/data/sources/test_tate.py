from typing import Any

import pytest

from artrec_core.data.sources.tate import artwork


def tree(**branches: dict[str, list[str]]) -> dict[str, Any]:
    def node(name: str, children: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": 1, "name": name.replace("_", " "), "children": children}

    return node(
        "subject",
        [
            node(
                theme, [node(branch, [{"id": 2, "name": leaf} for leaf in leaves]) for branch, leaves in groups.items()]
            )
            for theme, groups in branches.items()
        ],
    )


def test_a_print_after_turner_with_a_sketchbook() -> None:
    result = artwork(
        {
            "id": 3531,
            "acno": "P02804",
            "title": "Yarmouth from Gorleston",
            "foreignTitle": None,
            "groupTitle": "A Voyage Round Great Britain",
            "classification": "on paper, print",
            "medium": "Aquatint on paper",
            "dateText": "date not known",
            "dateRange": {"startYear": 1814, "endYear": 1825, "text": None},
            "contributors": [
                {
                    "fc": "William Daniell",
                    "mda": "Daniell, William",
                    "role": "artist",
                    "gender": "Male",
                    "date": "1769–1837",
                },
                {"fc": "Joseph Mallord William Turner", "role": "after", "gender": "Male", "date": "1775–1851"},
            ],
            "subjects": tree(
                nature={"seascapes and coasts": ["bay", "coast"], "animals: mammals": ["dog - non-specific"]},
                places={
                    "UK counties": ["Sussex, East"],
                    "UK cities, towns and villages": ["Great Yarmouth - non-specific"],
                },
                society={"transport: water": ["ship, sailing"]},
            ),
            "thumbnailUrl": "http://www.tate.org.uk/art/images/work/P/P02/P02804_8.jpg",
            "url": "http://www.tate.org.uk/art/artworks/daniell-yarmouth-from-gorleston-p02804",
        }
    )
    assert result == {
        "artwork_id": "3531",
        "title": "Yarmouth from Gorleston",
        "title_original": None,
        "creators": [
            {
                "name": "William Daniell",
                "role": "artist",
                "nationality": None,
                "gender": "male",
                "born": 1769,
                "died": 1837,
            },
            {
                "name": "Joseph Mallord William Turner",
                "role": "after",
                "nationality": None,
                "gender": "male",
                "born": 1775,
                "died": 1851,
            },
        ],
        "year_from": 1814,
        "year_to": 1825,
        "date_text": None,
        "classification": "on paper, print",
        "medium": "Aquatint on paper",
        "movement": None,
        "subjects": [
            "bay",
            "coast",
            "dog",
            "sailing ship",
            "east sussex",
            "great yarmouth",
            "seascape",
            "animals",
            "boats and ships",
        ],
        "description": "Part of: A Voyage Round Great Britain",
        "museum": "Tate",
        "image_url": "http://www.tate.org.uk/art/images/work/P/P02/P02804_8.jpg",
        "url": "http://www.tate.org.uk/art/artworks/daniell-yarmouth-from-gorleston-p02804",
        "licence": "CC0",
    }


def test_the_foreign_title_is_the_original_one() -> None:
    result = artwork({"id": 1, "title": "Earth and Sky", "foreignTitle": "Terre et ciel"})
    assert (result["title"], result["title_original"]) == ("Earth and Sky", "Terre et ciel")
    assert artwork({"id": 1, "title": "Angst", "foreignTitle": "Angst"})["title_original"] is None


def test_a_school_has_no_name_and_no_life() -> None:
    maker = {"fc": "British (?) School 18th century", "date": "1700–1799", "birthYear": 1700, "role": "artist"}
    assert artwork({"contributors": [maker]})["creators"] == [
        {"name": None, "role": "artist", "nationality": "British", "gender": None, "born": None, "died": None}
    ]
    assert artwork({"contributors": [{"fc": "Norwich School", "date": "1803–1833"}]})["creators"][0]["born"] is None


@pytest.mark.parametrize(
    ("text", "date_range", "expected"),
    [
        ("1978, printed 2005", {"startYear": 1978, "endYear": 2005}, (1978, 2005)),
        ("c.1997–9", {"startYear": "c.1997-9"}, (1997, 1999)),
        ("2005", {"startYear": "2005"}, (2005, 2005)),
        ("1828–9", {"startYear": 1828, "endYear": 1819}, (1828, 1829)),
        ("date not known", None, (None, None)),
    ],
)
def test_the_date_range_is_preferred_where_it_is_one(
    text: str, date_range: Any, expected: tuple[int | None, int | None]
) -> None:
    result = artwork({"dateText": text, "dateRange": date_range})
    assert (result["year_from"], result["year_to"]) == expected


def test_movements_are_joined_and_turned() -> None:
    movements = [
        {"name": "Pop Art"},
        {"name": "Ruralists, Brotherhood of"},
        {"name": "Netherlands-trained, working in Britain"},
    ]
    assert artwork({"movements": movements})["movement"] == (
        "Pop Art; Brotherhood of Ruralists; Netherlands-trained, working in Britain"
    )


def test_leaves_without_meaning_get_the_name_of_their_branch() -> None:
    subjects = tree(
        people={"portraits": ["individuals: female"], "nudes": ["male"], "named individuals": ["Beuys, Joseph"]},
        abstraction={"non-representational": ["geometric"]},
        architecture={"ruins": ["religious"]},
        history={"military": ["Trafalgar, Battle, 21 Oct 1805"]},
    )
    assert artwork({"subjects": subjects})["subjects"] == [
        "female portrait",
        "male nude",
        "joseph beuys",
        "abstract geometric",
        "religious ruins",
        "trafalgar, battle, 21 oct 1805",
        "portrait",
        "nude",
        "named person",
        "abstract art",
        "ruins",
    ]


def test_no_more_than_twenty_subjects() -> None:
    tree_of_leaves = tree(nature={"landscape": [f"hill no {n}" for n in range(60)], "weather": ["rain"]})
    result = artwork({"subjects": tree_of_leaves})["subjects"]
    assert len(result) == 18
    assert result[-2:] == ["landscape", "weather"]
