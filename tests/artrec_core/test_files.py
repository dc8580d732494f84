"""A file or a folder takes its place whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artrec_core.files import put_in_place, write_atomically, write_folder_atomically


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
    with write_folder_atomically(tmp_path / "model") as building:
        (building / "weights").write_text("1")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "weights").read_text() == "1"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_a_folder_replaces_an_older_one_and_its_lock_is_held_for_the_moment(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old weights").write_text("0")
    states: list[list[str]] = []

    @contextmanager
    def lock() -> Iterator[None]:
        states.append([file.name for file in target.iterdir()])
        yield
        states.append([file.name for file in target.iterdir()])

    with write_folder_atomically(target, replacing=lock) as building:
        (building / "part").mkdir()
        (building / "part" / "weights").write_text("1")
        assert states == []
    assert states == [["old weights"], ["part"]]
    assert list(tmp_path.iterdir()) == [target]


def test_who_writes_alone_removes_leftovers_of_killed_writers_and_nothing_else(tmp_path: Path) -> None:
    leftover = ".model." + "0" * 32
    for name in (leftover, ".model.lock", ".models." + "0" * 32):
        (tmp_path / name).write_text("")
    (tmp_path / f"{leftover}-journal").mkdir()
    with write_folder_atomically(tmp_path / "model"):
        pass
    assert (tmp_path / leftover).exists()
    with write_atomically(tmp_path / "model.txt", alone=True) as building:
        building.write_text("rows")
    assert (tmp_path / leftover).exists()
    with write_folder_atomically(tmp_path / "model", alone=True):
        assert not (tmp_path / leftover).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".model.lock",
        ".models." + "0" * 32,
        "model",
        "model.txt",
    ]


@pytest.mark.parametrize("is_folder", [False, True])
def test_contents_are_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_folder: bool) -> None:
    calls: list[str] = []
    monkeypatch.setattr("artrec_core.files.flush_to_disk", lambda path: calls.append(f"flush {path.name}"))
    replace = os.replace

    def note_and_replace(source: Path, target: Path) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "replace", note_and_replace)
    building = tmp_path / "building"
    if is_folder:
        building.mkdir()
        (building / "weights").write_text("1")
    else:
        building.write_text("1")
    put_in_place(building, tmp_path / "model")
    contents = ["flush building", *(["flush weights"] if is_folder else [])]
    assert calls == [*contents, "rename", f"flush {tmp_path.name}"]


def test_of_a_folder_that_failed_nothing_is_left(tmp_path: Path) -> None:
    def fail() -> None:
        with write_folder_atomically(tmp_path / "model") as building:
            (building / "weights").write_text("1")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
