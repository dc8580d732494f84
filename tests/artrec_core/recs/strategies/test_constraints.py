"""Caps and floors as arrays over four artworks."""

import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, conform
from artrec_core.config import Floor, Strategy
from artrec_core.recs.inputs.similarity import unit_rows
from artrec_core.recs.strategies.constraints import (
    RaggedArray,
    build_constraints,
    creators_by_artwork,
    group_mask,
    places_for_share,
    sources_by_artwork,
)

ARTWORKS = conform(
    pl.DataFrame(
        [
            {"artwork_id": "a", "source": "tate", "museum": "Tate", "creators": [{"name": "Anna", "gender": "Female"}, {"name": "Bo ", "gender": "male"}]},
            {"artwork_id": "b", "source": "tate", "creators": [{"name": "BO", "gender": "male"}, {"name": "bo"}]},
            {"artwork_id": "c", "museum": "Prado", "creators": [{"name": "Unknown artist", "nationality": "French"}]},
            {"artwork_id": "d", "creators": None},
        ],
        infer_schema_length=None,
    ),
    CATALOGUE,
)  # fmt: skip


def test_a_creator_counts_once_per_artwork_and_unknown_artists_do_not_count() -> None:
    creators = creators_by_artwork(ARTWORKS)
    assert [creators.row(artwork).tolist() for artwork in range(4)] == [[0, 1], [1], [], []]
    assert [creators.invert().row(creator).tolist() for creator in range(2)] == [[0], [0, 1]]


def test_the_museum_stands_in_for_a_source_that_is_unknown() -> None:
    assert sources_by_artwork(ARTWORKS).values.tolist() == [1, 1, 0, -1]
    assert sources_by_artwork(ARTWORKS).invert().row(1).tolist() == [0, 1]


def test_an_empty_catalogue() -> None:
    assert creators_by_artwork(ARTWORKS.clear()).starts.tolist() == [0]
    assert isinstance(sources_by_artwork(ARTWORKS.clear()).invert(), RaggedArray)


@pytest.mark.parametrize(
    ("group", "artworks"),
    [
        ("gender:female", [0]),
        ("gender: MALE", [1]),
        ("nationality:french", [2]),
        ("museum:prado", [2]),
        ("source:tate", [0, 1]),
        ("culture:japan", []),
    ],
)
def test_groups_go_by_the_first_creator(group: str, artworks: list[int]) -> None:
    assert group_mask(ARTWORKS, group).nonzero()[0].tolist() == artworks


def test_a_share_is_rounded_up_to_whole_places() -> None:
    assert [places_for_share(share, 20) for share in (0, 0.04, 0.05, 0.1, 0.15, 1)] == [0, 1, 1, 2, 3, 20]
    strategy = Strategy(
        name="main", floors=[Floor(group="source:tate", share=0.5), Floor(group="gender:male", share=0.1)]
    )
    constraints = build_constraints(ARTWORKS, strategy, 3, unit_rows(ARTWORKS.select(pl.lit(1.0)).to_numpy()))
    assert constraints.floor_places.tolist() == [2, 1]
    assert constraints.group_bits.tolist() == [1, 3, 0, 0]
    assert constraints.vectors.shape[1] == 0


@pytest.mark.parametrize("group", ["colour:red", "gender", "gender: ", "source"])
def test_an_unknown_kind_of_group_raises(group: str) -> None:
    with pytest.raises(ValueError, match="group"):
        Floor(group=group, share=0.1)
