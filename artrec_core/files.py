"""Files that are there whole, or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomically(path: Path | str) -> Iterator[Path]:
    """Yield a path beside `path`, for a file or a folder that takes its place when the block ends without an error.

    A reader sees the old one or the whole new one. The path begins with a dot and ends in no suffix of the target's, so
    that nobody takes it for one; and two writers never share one. `path` may be a folder only where there
    is none yet, or an empty one. Its parent folder is made if need be.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield building
        if building.is_file():
            flush_to_disk(building)
        os.replace(building, target)
    except BaseException:
        if building.is_dir():
            shutil.rmtree(building, ignore_errors=True)
        building.unlink(missing_ok=True)
        raise


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk: a power cut could leave an empty file under its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
