"""Errors of stores as advice: which are told in one line, and which stay errors of ours."""

import errno
import os
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from artrec_core.errors import ArtrecError, MissingPartition
from artrec_core.stores import ExplainedCalls, StoreAddress, advice_for, check_folder, explain_errors
from tests.small_disk import small_disk

PLACE = StoreAddress("the lake", "s3://u:s3cret@art/lake", "store.lake")
STATES = ("25006", "25P03", "2BP01", "42501", "53100", "53300", "53400", "57014", "57P01", "58030", "XX001")


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "full; free space there or set store.lake to another path"),
        (errno.EDQUOT, "full"),
        (errno.EFBIG, "full"),
        (errno.EROFS, "give this user read and write access or set store.lake to another path"),
        (errno.EACCES, "give this user read and write access"),
        (errno.ENOTDIR, "there is a file instead of a folder"),
        (errno.EIO, "the disk cannot be read or written"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ECONNREFUSED, "does not answer"),
    ],
)
def test_what_the_system_refuses_becomes_one_line_without_a_password(number: int, advice: str) -> None:
    with pytest.raises(ArtrecError) as caught, explain_errors(PLACE):
        raise OSError(number, os.strerror(number), "s3://u:s3cret@art/lake/part")
    assert advice in str(caught.value)
    assert "the lake s3://***@art/lake cannot be used" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_postgres_that_a_person_can_mend_has_advice(state: str) -> None:
    assert advice_for(psycopg.errors.lookup(state)("why"), PLACE)


def test_a_lost_connection_has_advice_and_a_slip_in_our_sql_has_none() -> None:
    assert "run the same command again" in str(
        advice_for(psycopg.OperationalError("server closed the connection"), PLACE)
    )
    assert advice_for(psycopg.errors.lookup("42601")("syntax error"), PLACE) is None


def test_other_errors_stay_as_they_are() -> None:
    for error in (KeyError("x"), MissingPartition("catalogue", "2026-01-05", "prepare"), FileNotFoundError("part")):
        with pytest.raises(type(error)) as caught, explain_errors(PLACE):
            raise error
        assert caught.value is error


def test_advised_calls_can_be_sent_to_another_process() -> None:
    calls = pickle.loads(pickle.dumps(ExplainedCalls(Path("a/b"), PLACE)))
    assert calls.with_name("c") == Path("a/c")
    assert calls.name == "b"


def test_a_folder_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    check_folder(StoreAddress("the artifacts", str(tmp_path / "new" / "folder"), "store.artifacts"))
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_a_folder_that_cannot_be_made_or_written_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (str(tmp_path / "file" / "artifacts"), "/proc/artifacts"):
        with pytest.raises(ArtrecError, match=r"set store\.artifacts to another path"):
            check_folder(StoreAddress("the artifacts", folder, "store.artifacts"))


def test_a_folder_that_takes_no_more_bytes_is_full(tmp_path: Path) -> None:
    with pytest.raises(ArtrecError, match="is full"), file_size_limit(100):
        check_folder(StoreAddress("the artifacts", str(tmp_path), "store.artifacts"))


def test_a_full_disk_and_a_read_only_one_are_told_apart(tmp_path: Path) -> None:
    place = StoreAddress("the artifacts", str(tmp_path), "store.artifacts")
    with small_disk(tmp_path, "4k") as disk:
        (tmp_path / "fill").write_bytes(b"1" * 4096)
        with pytest.raises(ArtrecError, match=r"No space left.*is full"):
            check_folder(place)
        disk.make_read_only()
        with pytest.raises(ArtrecError, match=r"Read-only file system.*give this user"):
            check_folder(place)
