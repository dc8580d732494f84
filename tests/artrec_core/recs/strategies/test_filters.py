"""Filters and block lists over five artworks with missing values."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, conform
from artrec_core.config import Block, Filters
from artrec_core.errors import ArtrecError, MissingInput
from artrec_core.recs.strategies.filters import apply_filters, find_blocked, museum_mask


def creators(*names: str | None) -> list[dict[str, str | None]]:
    return [{"name": name, "nationality": "Dutch"} for name in names]


ARTWORKS = conform(
    pl.DataFrame(
        [
            {"artwork_id": "a", "source": "tate", "museum": "Tate", "year_from": 1850, "year_to": 1860, "licence": "CC0", "creators": creators("Claude  Monet")},
            {"artwork_id": "b", "source": "tate", "museum": "Tate", "year_from": 1900, "licence": "cc by", "price": 10.0, "currency": "EUR", "creators": creators("Anna", "claude monet ")},
            {"artwork_id": "c", "source": "walters", "museum": "The Walters", "year_to": -400, "price": 99.5, "currency": "EUR", "creators": creators(None)},
            {"artwork_id": "d", "classification": "Print", "image_url": "https://example.org/d.jpg", "price": 10.0, "currency": "USD"},
            {"artwork_id": "e", "source": "walters", "classification": "print ", "image_url": " ", "creators": []},
        ],
        infer_schema_length=None,
    ),
    CATALOGUE,
)  # fmt: skip
NOTHING_BLOCKED = np.zeros(5, bool)


def remaining(blocked: Any = NOTHING_BLOCKED, **filters: Any) -> str:
    """The ids of the artworks that pass, as one word."""
    allowed = apply_filters(ARTWORKS, Filters(**filters), blocked, "main")
    return "".join(ARTWORKS["artwork_id"].gather(allowed.rows).to_list())


@pytest.mark.parametrize(
    ("filters", "artworks"),
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
def test_an_artwork_must_pass_every_filter_and_a_missing_value_does_not_pass(filters: Any, artworks: str) -> None:
    assert remaining(**filters) == artworks


def test_museums_and_sources_match_by_name_in_any_case() -> None:
    assert museum_mask(ARTWORKS, ["TATE"]).tolist() == [True, True, False, False, False]
    assert museum_mask(ARTWORKS, ["the  WALTERS "]).tolist() == [False, False, True, False, False]
    assert museum_mask(ARTWORKS, ["walters", "tate"]).tolist() == [True, True, True, False, True]
    with pytest.raises(ArtrecError, match=r"no artwork is from .* 'Louvre'; the catalogue has Tate \(2\), The Walters \(1\), from the sources tate, walters"):  # fmt: skip
        museum_mask(ARTWORKS, ["tate", "Louvre"])


def test_blocked_artworks_pass_no_filter() -> None:
    assert remaining(np.array([True, False, False, False, False]), museums=["Tate"]) == "b"


def test_the_error_of_a_filter_that_leaves_nothing_names_the_filter_the_counts_and_known_values() -> None:
    with pytest.raises(ArtrecError) as raised:
        remaining(museums=["Tate"], licences=["public domain"])
    assert str(raised.value) == (
        "strategy 'main': the filter licences = ['public domain'] removes all of the remaining 2 artworks;"
        " 0 of all 5 artworks pass it; the catalogue has CC0 (1), cc by (1)"
    )
    with pytest.raises(
        ArtrecError, match=r"year_from = 1950 removes all of the remaining 5 artworks; 0 of all 5 artworks pass it$"
    ):
        remaining(year_from=1950)
    with pytest.raises(ArtrecError, match="the block list removes all 5 artworks; shorten the block list"):
        remaining(~NOTHING_BLOCKED)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"price_to": 5}, "price_from and price_to need `currency`, and `currency` needs one of them"),
        ({"currency": "EUR"}, "price_from and price_to need `currency`, and `currency` needs one of them"),
        ({"year_from": 2000, "year_to": 1999}, "year_from 2000 is above year_to 1999"),
        ({"price_from": 2, "price_to": 1, "currency": "EUR"}, "price_from 2 is above price_to 1"),
    ],
)
def test_ranges_that_are_empty_or_have_no_currency_raise(filters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Filters(**filters)


def test_a_block_list_names_artworks_and_creators_and_reports_what_matches_nothing() -> None:
    blocked = find_blocked(ARTWORKS, [Block(artworks=["d", "x"], creators=["CLAUDE MONET", "Nobody"])])
    assert blocked.mask.tolist() == [True, True, False, True, False]
    assert blocked.unmatched == ("x", "creator: Nobody")
    assert not find_blocked(ARTWORKS, [Block()]).mask.any()


def test_a_block_list_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "block.txt"
    file.write_text("\ufeff# out on loan\nc\n\n  e  \nCreator:  Anna\n", encoding="utf-8")
    blocked = find_blocked(ARTWORKS, [Block(file=str(file)), Block(artworks=["c"])])
    assert blocked.mask.tolist() == [False, True, True, False, True]
    assert blocked.unmatched == ()


def test_a_block_file_that_cannot_be_read_raises(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"none\.txt cannot be read"):
        find_blocked(ARTWORKS, [Block(file=str(tmp_path / "none.txt"))])
    (tmp_path / "latin.txt").write_bytes(b"Caf\xe9")
    with pytest.raises(ArtrecError, match="is not UTF-8"):
        find_blocked(ARTWORKS, [Block(file=str(tmp_path / "latin.txt"))])
