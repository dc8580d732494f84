"""Files and folders that appear complete or not at all."""

import glob
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path


@contextmanager
def write_atomically(path: Path | str, *, alone: bool = False) -> Iterator[Path]:
    """Yield the path of a new file beside `path`; it replaces `path` when the block ends without an error.

    A reader sees the old file or the complete new one. No two writers share a path. It begins with a dot and does not
    end in the target's suffix, so a listing of such files does not find it.

    Parameters
    ----------
    path
        The file to write. Its folder is made if there is none.
    alone
        No other process writes this file now, because the caller holds a lock. Leftovers of killed writers are removed.
    """
    target = Path(path)
    building = _path_beside(target, alone)
    try:
        yield building
        put_in_place(building, target)
    except BaseException:
        building.unlink(missing_ok=True)
        raise


@contextmanager
def write_folder_atomically(
    path: Path | str, *, alone: bool = False, replacing: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[Path]:
    """Yield a new, empty folder beside `path`; it replaces `path` when the block ends without an error.

    A reader sees the old folder or the complete new one.

    Parameters
    ----------
    path
        The folder to write. Its parent folder is made if there is none.
    alone
        As in `write_atomically`.
    replacing
        Returns a lock that is held while the new folder replaces the old one.
    """
    target = Path(path)
    building = _path_beside(target, alone)
    building.mkdir()
    try:
        yield building
        with replacing():
            put_in_place(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def put_in_place(building: Path, target: Path) -> None:
    """Move a complete file or folder to its place on the same disk, in place of an older one.

    First the contents are flushed to disk, then the name: after a power cut, no incomplete file has the target's name.
    """
    for path in [building, *building.rglob("*")] if building.is_dir() else [building]:
        flush_to_disk(path)
    if building.is_dir() and target.is_dir():
        # A rename replaces an empty folder only. Between the two renames there is no folder, for some microseconds.
        old = _unique_path(target)
        os.replace(target, old)
        os.replace(building, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(building, target)
    flush_to_disk(target.parent)


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _path_beside(target: Path, alone: bool) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        pattern = f".{glob.escape(target.name)}.{'[0-9a-f]' * 32}*"
        for leftover in target.parent.glob(pattern):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
    return _unique_path(target)


def _unique_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}")
