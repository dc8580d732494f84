"""The rows of each shard of users, read from parts that mix users."""

from pathlib import Path

import polars as pl

from artrec_core.columns import LAKE, conform
from artrec_core.lake import Lake
from artrec_core.recs.tables.shard_rows import UserRowIndex

DAY = "2026-03-30"


def test_each_shard_finds_its_rows_and_no_others(tmp_path: Path) -> None:
    lake, users = Lake(str(tmp_path)), pl.Series(["ann", "bob", "cleo", "dan", "eve"])
    # Dan has no row. Bob lies in both parts. Zoe is not among the users.
    ids_by_part = [["bob", "zoe", "ann", "ann"], ["cleo", "eve", "bob"]]
    frames = [
        conform(pl.DataFrame({"user_id": ids, "artwork_id": list("abcd")[: len(ids)]}), LAKE["histories"])
        for ids in ids_by_part
    ]
    parts = [lake.write_part("histories", DAY, frame) for frame in frames]
    index = UserRowIndex(users, 2)
    index.add("histories", pl.Series([user_id for ids in ids_by_part for user_id in ids]), parts)
    rows = [
        index.shard(shard).read(lake, "histories", DAY).select("user_id", "artwork_id").rows() for shard in range(3)
    ]
    assert rows == [[("bob", "a"), ("ann", "c"), ("ann", "d"), ("bob", "c")], [("cleo", "a")], [("eve", "b")]]
    assert index.shard(1).row_ranges["histories"] == [(parts[1], 0, 0)]


def test_any_range_of_rows_of_a_large_part_is_read(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    frame = conform(pl.DataFrame({"user_id": [f"{row:06d}" for row in range(600_000)]}), LAKE["people"])
    part = lake.write_part("people", DAY, frame)
    for first, last in [(0, 0), (262_143, 262_144), (300_000, 599_999), (0, 599_999)]:
        assert lake.read_rows("people", DAY, part, first, last).equals(frame[first : last + 1])
    assert lake.read_rows("people", DAY, part, 600_000, 600_001).height == 0
