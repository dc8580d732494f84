"""Shards cover a table once, and each is committed by its own writer."""

from pathlib import Path

import pytest

from artrec_core.lake import Lake
from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables
from artrec_core.recs.tables.scored_tables import ScoredTables
from jobs.score import INPUTS
from jobs.scoring.shards import LocalShardMaker, cut_shards
from jobs.step import Night
from tests.artrec_core.recs.scoring_worlds import DAY
from tests.jobs.scored_world import recipe_in, write_world


@pytest.mark.parametrize(
    ("total", "size", "bounds"),
    [
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (8, 4, [(0, 4), (4, 8)]),
        (3, 4, [(0, 3)]),
        (0, 4, []),
    ],
)
def test_shards_cover_all_rows_once(total: int, size: int, bounds: list[tuple[int, int]]) -> None:
    shards = cut_shards(total, size)
    assert [(shard.begin, shard.end) for shard in shards] == bounds
    assert [shard.writer for shard in shards] == [f"shard-{number:06d}" for number in range(len(bounds))]


def test_a_shard_is_committed_with_its_rows_and_found_again(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    lake = Lake(recipe.store.lake)
    write_world(lake)
    night = Night(recipe, DAY, fingerprint="f")
    data = ScoringData(ScoringTables(DAY, **{table: lake.read(table, DAY) for table in INPUTS}))
    scored = ScoredTables(data, recipe.strategies, recipe.publish.strategy, recipe.score)
    shards = cut_shards(4, 2)
    made = list(LocalShardMaker(night, scored).make("recommendations", 2, shards[1:]))
    assert [shard for shard, _ in made] == shards[1:]
    rows = lake.read_parts("recommendations", DAY, made[0][1].parts)
    assert rows["user_id"].unique(maintain_order=True).to_list() == ["cleo", "dan"]
    assert lake.find_writer("recommendations", DAY, shards[1].writer, "f") == made[0][1]
    assert lake.find_writer("recommendations", DAY, shards[1].writer, "other inputs") is None
    assert lake.find_writer("recommendations", DAY, shards[0].writer, "f") is None
