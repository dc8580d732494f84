"""SQLite files: a copy has what was committed, and nothing of a removed database stays."""

import sqlite3
from contextlib import closing
from pathlib import Path

from artrec_core.sqlite_files import copy_database, remove_database


def test_a_copy_has_what_was_committed_while_another_connection_writes(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    with closing(sqlite3.connect(source)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE artworks (title)")
        writer.execute("INSERT INTO artworks VALUES ('committed')")
        writer.commit()
        writer.execute("INSERT INTO artworks VALUES ('not committed')")
        copy_database(source, target)
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT title FROM artworks").fetchall() == [("committed",)]


def test_a_database_is_removed_with_the_files_beside_it(tmp_path: Path) -> None:
    for name in ("a.db", "a.db-wal", "a.db-shm", "a.db-journal", "b.db"):
        (tmp_path / name).touch()
    remove_database(tmp_path / "a.db")
    remove_database(tmp_path / "missing.db")
    assert [file.name for file in tmp_path.iterdir()] == ["b.db"]
