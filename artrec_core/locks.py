"""Locks between the processes of a machine, or of machines that share a disk."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from artrec_core.errors import ArtrecError

log = logging.getLogger("artrec")


@contextmanager
def hold_lock(file: Path, waiting_message: str) -> Iterator[None]:
    """Hold a lock within the block; wait if another process holds it.

    The operating system releases the lock of a process that was killed.

    Parameters
    ----------
    file
        The lock file. It is created if it does not exist, and it stays.
    waiting_message
        Logged once if another process holds the lock.

    Raises
    ------
    ArtrecError
        If the lock file cannot be created.
    """
    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        log.info("%s", waiting_message)
        lock.acquire()
    except OSError as error:
        raise ArtrecError(f"cannot lock {file} ({error}); give this user write access to its folder") from error
    try:
        yield
    finally:
        lock.release()
