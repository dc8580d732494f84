"""The lake: a day is whole or not there, and old parts are never overwritten."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from artrec_core.columns import ARTWORK_ID, CRAWLED_AT, LAKE, TITLE, conform
from artrec_core.errors import ArtrecError, MissingPartition
from artrec_core.lake import Lake, Part, digest_of, parse_day
from tests.small_disk import small_disk

DAY = "2026-01-05"


def catalogue(*ids: str, crawled_hour: int = 1) -> pl.DataFrame:
    frame = pl.DataFrame({ARTWORK_ID: list(ids), TITLE: [f"title of {artwork_id}" for artwork_id in ids]})
    return conform(frame, LAKE["catalogue"]).with_columns(
        pl.lit(datetime(2026, 1, 5, crawled_hour, tzinfo=UTC)).dt.cast_time_unit("us").alias(CRAWLED_AT)
    )


def committed(lake: Lake, writers: dict[str, list[Part]], day: str = DAY) -> None:
    lake.commit("catalogue", day, writers, fingerprint="f", code_version="c")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def test_a_day_without_its_manifest_does_not_exist(lake: Lake) -> None:
    lake.write_part("catalogue", DAY, catalogue("a"))
    with pytest.raises(MissingPartition, match="run `artrec prepare --date 2026-01-05` first"):
        lake.read("catalogue", DAY)
    assert lake.days("catalogue", up_to=DAY) == []


def test_rows_come_back_in_the_order_of_writers_and_parts(lake: Lake) -> None:
    late, early = lake.write_part("catalogue", DAY, catalogue("z")), lake.write_part("catalogue", DAY, catalogue("b"))
    more = lake.write_part("catalogue", DAY, catalogue("a"))
    committed(lake, {"2": [late], "1": [early, more]})
    assert lake.read("catalogue", DAY)[ARTWORK_ID].to_list() == ["b", "a", "z"]
    assert lake.read("catalogue", DAY, writer="2")[ARTWORK_ID].to_list() == ["z"]
    assert lake.manifest("catalogue", DAY).rows == 3


def test_writing_a_day_again_replaces_it_and_a_reader_of_the_old_manifest_still_reads(lake: Lake) -> None:
    committed(lake, {"w": [lake.write_part("catalogue", DAY, catalogue("a", "b"))]})
    old = lake.manifest("catalogue", DAY)
    committed(lake, {"w": [lake.write_part("catalogue", DAY, catalogue("c"))]})
    assert lake.read("catalogue", DAY)[ARTWORK_ID].to_list() == ["c"]
    assert lake.read_parts("catalogue", DAY, old.parts)[ARTWORK_ID].to_list() == ["a", "b"]


def test_a_time_of_day_never_enters_a_digest(lake: Lake) -> None:
    first = lake.write_part("catalogue", DAY, catalogue("a", crawled_hour=1))
    again = lake.write_part("catalogue", DAY, catalogue("a", crawled_hour=2))
    assert first == again
    assert first != lake.write_part("catalogue", DAY, catalogue("b"))


def test_sweeping_removes_only_parts_that_no_manifest_names(lake: Lake, tmp_path: Path) -> None:
    committed_part = lake.write_part("catalogue", DAY, catalogue("a"))
    waiting = lake.write_part("catalogue", DAY, catalogue("b"))
    lake.write_part("catalogue", DAY, catalogue("left by a killed run"))
    committed(lake, {"w": [committed_part]})
    lake.commit_writer("catalogue", DAY, "half", [waiting], "f")
    assert lake.sweep("catalogue", DAY, older_than_seconds=3600) == 0
    assert lake.sweep("catalogue", DAY, older_than_seconds=-1) == 1
    parts = {path.name for path in (tmp_path / "catalogue" / f"run_date={DAY}").glob("part-*")}
    assert parts == {f"part-{committed_part.digest}.parquet", f"part-{waiting.digest}.parquet"}


def test_a_writer_is_found_again_only_for_the_same_fingerprint(lake: Lake) -> None:
    part = lake.write_part("catalogue", DAY, catalogue("a"))
    lake.commit_writer("catalogue", DAY, "tate", [part], "f1", {"rows": 1})
    manifest = lake.find_writer("catalogue", DAY, "tate", "f1")
    assert manifest is not None
    assert (manifest.parts, manifest.figures) == ([part], {"rows": 1})
    assert lake.find_writer("catalogue", DAY, "tate", "f2") is None


def test_a_day_whose_part_is_missing_is_not_up_to_date_and_says_what_to_run(lake: Lake, tmp_path: Path) -> None:
    parts = [lake.write_part("catalogue", DAY, catalogue(artwork_id)) for artwork_id in ("a", "b")]
    lake.commit_writer("catalogue", DAY, "tate", parts, "f")
    committed(lake, {"w": parts})
    assert lake.is_up_to_date("catalogue", DAY, "f")
    assert not lake.is_up_to_date("catalogue", DAY, "other inputs")
    (tmp_path / "catalogue" / f"run_date={DAY}" / f"part-{parts[1].digest}.parquet").unlink()
    assert not lake.is_up_to_date("catalogue", DAY, "f")
    assert lake.find_writer("catalogue", DAY, "tate", "f") is None
    for read in (lambda: lake.read("catalogue", DAY), lambda: lake.read_rows("catalogue", DAY, parts[1], 0, 0)):
        with pytest.raises(ArtrecError, match=f"is missing, .*run `artrec prepare --date {DAY}` again"):
            read()


def test_days_are_those_committed_up_to_the_night(lake: Lake) -> None:
    for day in ("2026-01-03", "2026-01-01", "2026-01-09"):
        committed(lake, {"w": [lake.write_part("catalogue", day, catalogue("a"))]}, day)
    assert lake.days("catalogue", up_to="2026-01-05") == ["2026-01-01", "2026-01-03"]


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtrecError, match=r"set store\.lake to another path"):
        Lake(str(tmp_path / "file" / "lake")).check_writable()


def test_a_full_disk_is_said_in_one_line_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path, "16k"):
        lake = Lake(str(tmp_path))
        with pytest.raises(ArtrecError, match=r"the lake .* cannot be used .*No space left.*set store\.lake"):
            lake.write_note("page.html", DAY, b"1" * 100_000)
        assert list((tmp_path / "_notes" / f"run_date={DAY}").iterdir()) == []


@pytest.mark.parametrize("root", ["nowhere://bucket/lake", "gs://bucket/lake"])
def test_a_store_of_a_kind_that_is_not_there_is_said(root: str) -> None:
    with pytest.raises(ArtrecError, match=r"correct store\.lake"):
        Lake(root)


@pytest.mark.parametrize("text", ["2026-1-5", "05.01.2026", "20260105", "2026-02-30", "yesterday", ""])
def test_a_date_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ArtrecError, match="YYYY-MM-DD"):
        parse_day(text)


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
