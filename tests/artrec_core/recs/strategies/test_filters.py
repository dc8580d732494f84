"""Filters and block lists over five works of which not everything is known."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, conform
from artrec_core.config import Block, Filters
from artrec_core.errors import ArtrecError, MissingInput
from artrec_core.recs.strategies.filters import allowed, blocked, of_museums


def made_by(*names: str | None) -> list[dict[str, str | None]]:
    return [{"name": name, "nationality": "Dutch"} for name in names]


WORKS = conform(
    pl.DataFrame(
        [
            {"artwork_id": "a", "source": "tate", "museum": "Tate", "year_from": 1850, "year_to": 1860, "licence": "CC0", "creators": made_by("Claude  Monet")},
            {"artwork_id": "b", "source": "tate", "museum": "Tate", "year_from": 1900, "licence": "cc by", "price": 10.0, "currency": "EUR", "creators": made_by("Anna", "claude monet ")},
            {"artwork_id": "c", "source": "walters", "museum": "The Walters", "year_to": -400, "price": 99.5, "currency": "EUR", "creators": made_by(None)},
            {"artwork_id": "d", "classification": "Print", "image_url": "https://example.org/d.jpg", "price": 10.0, "currency": "USD"},
            {"artwork_id": "e", "source": "walters", "classification": "print ", "image_url": " ", "creators": []},
        ],
        infer_schema_length=None,
    ),
    CATALOGUE,
)  # fmt: skip
NONE_OUT = np.zeros(5, bool)


def left(out: Any = NONE_OUT, **given: Any) -> str:
    return "".join(WORKS["artwork_id"].gather(allowed(WORKS, Filters(**given), out, "main").rows).to_list())


@pytest.mark.parametrize(
    ("given", "works"),
    [
        ({}, "abcde"),
        ({"museums": ["TATE"]}, "ab"),
        ({"museums": ["the walters"]}, "c"),
        ({"museums": ["walters", "Tate"]}, "abce"),
        ({"year_from": 1860}, "ab"),
        ({"year_from": 1861}, "b"),
        ({"year_to": 1850}, "ac"),
        ({"year_from": -500, "year_to": 0}, "c"),
        ({"licences": ["CC0", "CC BY"]}, "ab"),
        ({"classifications": ["print"]}, "de"),
        ({"price_to": 10, "currency": "eur"}, "b"),
        ({"price_from": 10, "price_to": 100, "currency": "EUR"}, "bc"),
        ({"has_image": True}, "d"),
        ({"museums": ["walters"], "classifications": ["PRINT"]}, "e"),
    ],
    ids=str,
)
def test_a_work_passes_every_filter_given_and_what_it_does_not_tell_does_not_pass(given: Any, works: str) -> None:
    assert left(**given) == works


def test_the_works_of_museums_and_sources_are_found_by_name_in_any_case() -> None:
    assert of_museums(WORKS, ["TATE"]).tolist() == [True, True, False, False, False]
    assert of_museums(WORKS, ["the  WALTERS "]).tolist() == [False, False, True, False, False]
    assert of_museums(WORKS, ["walters", "tate"]).tolist() == [True, True, True, False, True]
    with pytest.raises(ArtrecError, match=r"no work is of .* 'Louvre'; the catalogue has Tate \(2\), The Walters \(1\), of the sources tate, walters"):  # fmt: skip
        of_museums(WORKS, ["tate", "Louvre"])


def test_blocked_works_pass_no_filter() -> None:
    assert left(np.array([True, False, False, False, False]), museums=["Tate"]) == "b"


def test_how_many_each_filter_leaves_is_counted() -> None:
    found = allowed(WORKS, Filters(museums=["tate"], year_from=1890), NONE_OUT, "main")
    assert found.left == {"museums = ['tate']": 2, "year_from = 1890": 1}


def test_a_filter_that_leaves_nothing_is_named_with_the_counts_and_what_there_is() -> None:
    with pytest.raises(ArtrecError) as raised:
        left(museums=["Tate"], licences=["public domain"])
    assert str(raised.value) == (
        "strategy 'main': the filter licences = ['public domain'] leaves none of the 2 works that it was given;"
        " of all 5 works it lets 0 through; the catalogue has CC0 (1), cc by (1)"
    )
    with pytest.raises(ArtrecError, match=r"year_from = 1950 leaves none of the 5 works .* lets 0 through$"):
        left(year_from=1950)
    with pytest.raises(ArtrecError, match="the block list leaves none of the 5 works"):
        left(~NONE_OUT)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"price_to": 5}, "go with `currency`"),
        ({"currency": "EUR"}, "go with `currency`"),
        ({"year_from": 2000, "year_to": 1999}, "year_from 2000 is above year_to 1999"),
        ({"price_from": 2, "price_to": 1, "currency": "EUR"}, "price_from 2 is above price_to 1"),
    ],
)
def test_ranges_that_cannot_be_meant_are_refused(given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Filters(**given)


def test_a_block_list_names_works_and_creators_and_says_what_it_does_not_find() -> None:
    found = blocked(WORKS, [Block(artworks=["d", "x"], creators=["CLAUDE MONET", "Nobody"])])
    assert found.works.tolist() == [True, True, False, True, False]
    assert found.unmatched == ("x", "creator: Nobody")
    assert not blocked(WORKS, [Block()]).works.any()


def test_a_block_list_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "block.txt"
    file.write_text("\ufeff# out on loan\nc\n\n  e  \nCreator:  Anna\n", encoding="utf-8")
    found = blocked(WORKS, [Block(file=str(file)), Block(artworks=["c"])])
    assert found.works.tolist() == [False, True, True, False, True]
    assert found.unmatched == ()


def test_a_block_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"none\.txt cannot be read"):
        blocked(WORKS, [Block(file=str(tmp_path / "none.txt"))])
    (tmp_path / "latin.txt").write_bytes(b"Caf\xe9")
    with pytest.raises(ArtrecError, match="is not UTF-8"):
        blocked(WORKS, [Block(file=str(tmp_path / "latin.txt"))])
