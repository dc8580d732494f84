from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import ARTWORK, CONTENT_HASH
from artrec_core.data.artwork import HASHED_COLUMNS, build_frame, check_types, creator_names, with_content_hash
from artrec_core.data.names import creator


def hashes(*rows: dict[str, Any]) -> list[str]:
    return with_content_hash(build_frame(rows, ARTWORK))[CONTENT_HASH].to_list()


def test_the_hash_changes_with_what_is_read_and_shown_and_not_with_the_crawl() -> None:
    work = {"artwork_id": "a:1", "title": "Vase", "creators": [creator("Ann")], "subjects": ["blue"], "year_from": 1900}
    monday, tuesday = datetime(2026, 3, 30, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    first, later, renamed, dated, other_maker, priced = hashes(
        {**work, "crawled_at": monday},
        {**work, "crawled_at": tuesday},
        {**work, "title": "Vases"},
        {**work, "year_to": 1901},
        {**work, "creators": [creator("Ann", role="after")]},
        {**work, "price": 3.0},
    )
    assert first == later
    assert len({first, renamed, dated, other_maker, priced}) == 5


def test_the_hash_does_not_depend_on_the_rows_beside() -> None:
    first, second = {"artwork_id": "a:1", "title": "Vase"}, {"artwork_id": "a:2", "subjects": []}
    assert hashes(first, second) == hashes(first) + hashes(second) == hashes(second, first)[::-1]


def test_a_value_moved_to_its_neighbour_is_another_record() -> None:
    first, second = hashes({"movement": "Gothic"}, {"culture": "Gothic"})
    assert first != second
    assert not {CONTENT_HASH, "crawled_at"} & set(HASHED_COLUMNS)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", 3, "title holds a number"),
        ("year_from", 10**12, "year_from holds a number that cannot be a year"),
        ("subjects", ["a", None], "subjects holds a list"),
        ("creators", [creator("Ann", born=10**12)], "a creator's born holds a number that cannot be a year"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(field: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_types({field: value})


def test_names_leave_out_makers_known_by_nationality_only() -> None:
    works = build_frame(
        [
            {
                "creators": [
                    creator("Ann"),
                    creator(None, nationality="Thai"),
                    creator("Bob"),
                    creator("Ann", role="after"),
                ]
            },
            {"creators": [creator(None, nationality="Thai")]},
            {"creators": None},
        ],
        ARTWORK,
    )
    assert works.select(creator_names()).to_series().to_list() == [["Ann", "Bob"], None, None]
    assert works.schema == pl.Schema(ARTWORK)
