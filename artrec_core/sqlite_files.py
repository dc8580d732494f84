"""Files of SQLite: a copy while another process writes, and removal with the journals beside."""

import sqlite3
from contextlib import closing
from pathlib import Path

# Files that SQLite keeps beside a database while it writes. Beside another database, SQLite would apply them to that one.
_COMPANIONS = ("-journal", "-wal", "-shm")


def copy_database(source: Path | str, target: Path | str) -> None:
    """Copy a database as it is at one moment, whatever another process does with it. `target` is new or empty.

    Raises
    ------
    sqlite3.Error
        If a file cannot be read or written.
    """
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)


def remove_database(path: Path) -> None:
    """Remove a database, if there is one, with the files beside it."""
    path.unlink(missing_ok=True)
    remove_companions(path)


def remove_companions(path: Path) -> None:
    """Remove what is left beside a database that was deleted."""
    for ending in _COMPANIONS:
        path.with_name(path.name + ending).unlink(missing_ok=True)
