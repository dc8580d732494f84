"""One at a time: locks between the processes of a machine, or of machines that share a disk."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from artrec_core.errors import ArtrecError

log = logging.getLogger("artrec")


@contextmanager
def locked(file: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be and stays.

    Where another process holds it, `busy` is said once and the other is waited for. The system frees the lock of a process
    that was killed. Raises `ArtrecError` where the file cannot be made.
    """
    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        log.info("%s", busy)
        lock.acquire()
    except OSError as error:
        raise ArtrecError(f"cannot lock {file} ({error}); give this user write access to its folder") from error
    try:
        yield
    finally:
        lock.release()
