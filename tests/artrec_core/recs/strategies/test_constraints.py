"""The kinds that caps and floors go by."""

import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, conform
from artrec_core.config import Floor, Strategy
from artrec_core.recs.inputs.similarity import unit_rows
from artrec_core.recs.strategies.constraints import Rows, creators_of, in_group, lines_of, places, sources_of

WORKS = conform(
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


def test_creators_are_counted_once_and_nobody_is_nobody() -> None:
    creators = creators_of(WORKS)
    assert [creators.of(work).tolist() for work in range(4)] == [[0, 1], [1], [], []]
    assert [creators.turned().of(one).tolist() for one in range(2)] == [[0], [0, 1]]


def test_sources_and_museums_where_there_is_no_source() -> None:
    assert sources_of(WORKS).numbers.tolist() == [1, 1, 0, -1]
    assert sources_of(WORKS).turned().of(1).tolist() == [0, 1]


def test_no_works_at_all() -> None:
    assert creators_of(WORKS.clear()).starts.tolist() == [0]
    assert isinstance(sources_of(WORKS.clear()).turned(), Rows)


@pytest.mark.parametrize(
    ("group", "works"),
    [
        ("gender:female", [0]),
        ("gender: MALE", [1]),
        ("nationality:french", [2]),
        ("museum:prado", [2]),
        ("source:tate", [0, 1]),
        ("culture:japan", []),
    ],
)
def test_groups_go_by_the_first_creator(group: str, works: list[int]) -> None:
    assert in_group(WORKS, group).nonzero()[0].tolist() == works


def test_a_floor_asks_for_whole_places() -> None:
    assert [places(share, 20) for share in (0, 0.04, 0.05, 0.1, 0.15, 1)] == [0, 1, 1, 2, 3, 20]
    strategy = Strategy(
        name="main", floors=[Floor(group="source:tate", share=0.5), Floor(group="gender:male", share=0.1)]
    )
    lines = lines_of(WORKS, strategy, 3, unit_rows(WORKS.select(pl.lit(1.0)).to_numpy()))
    assert lines.needs.tolist() == [2, 1]
    assert lines.groups.tolist() == [1, 3, 0, 0]
    assert lines.vectors.shape[1] == 0


@pytest.mark.parametrize("group", ["colour:red", "gender", "gender: ", "source"])
def test_an_unknown_kind_of_group_is_refused(group: str) -> None:
    with pytest.raises(ValueError, match="group"):
        Floor(group=group, share=0.1)
