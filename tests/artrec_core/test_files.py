"""A file or a folder takes its place whole, or not at all."""

from pathlib import Path

import pytest

from artrec_core.files import write_atomically


def test_a_file_is_there_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "table.txt"
    with write_atomically(target) as building:
        building.write_text("rows")
        assert not target.exists()
        assert building.parent == target.parent
    assert target.read_text() == "rows"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "table.txt"
    target.write_text("old")
    with write_atomically(target) as building:
        building.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_after_an_error_the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.txt"
    target.write_text("old")

    def fail() -> None:
        with write_atomically(target) as building:
            building.write_text("half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_takes_its_place_whole(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "model") as building:
        building.mkdir()
        (building / "weights").write_text("1")
    assert (tmp_path / "model" / "weights").read_text() == "1"


def test_of_a_folder_that_failed_nothing_is_left(tmp_path: Path) -> None:
    def fail() -> None:
        with write_atomically(tmp_path / "model") as building:
            building.mkdir()
            (building / "weights").write_text("1")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
