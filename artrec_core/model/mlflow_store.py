"""MLflow's store as the registry needs it: an SQLite file is set up in one move, and trouble comes as one line of advice.

MLflow creates and migrates its database in place and without a lock: two processes at once, or a kill in that second, would
leave a file that never opens again.
"""

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from artrec_core.errors import ArtrecError
from artrec_core.locks import locked

_SQLITE = "sqlite:///"
# How long a file that is being written is waited for; MLflow's own patience.
PATIENCE_SECONDS = 20.0
# What SQLite keeps beside a database while it writes. Beside another database it would be taken for that one's.
_COMPANIONS = ("-journal", "-wal", "-shm")
# MLflow's error codes that answer a question; any other says that the store is in trouble.
_ANSWERS = {"RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "INVALID_STATE"}
_ACCESS = "give this user write access to the file and its folder, or set store.mlflow to another place"
_SPACE = "make room on its disk and run the same line again"
_DAMAGED = "put a backup in its place, or move it away and train again with `artrec train`"
_ADVICE_BY_SQLITE_ERROR = {
    "SQLITE_BUSY": "another process has been writing to it for long; wait for it or end it, then run the same line again",
    "SQLITE_READONLY_DBMOVED": "another file was put in its place meanwhile; run the same line again",
    "SQLITE_READONLY": _ACCESS,
    "SQLITE_CANTOPEN": _ACCESS,
    "SQLITE_PERM": _ACCESS,
    "SQLITE_AUTH": _ACCESS,
    "SQLITE_FULL": _SPACE,
    "SQLITE_IOERR": _SPACE,
    "SQLITE_CORRUPT": f"the file is damaged; {_DAMAGED}",
    "SQLITE_NOTADB": f"the file is damaged; {_DAMAGED}",
    # A table or a column that is there already, or not yet: a migration in place was cut short, as `set_up` prevents.
    "SQLITE_ERROR": f"its tables are half made, as where MLflow was ended while it set them up; {_DAMAGED}",
}
_ADVICE_BY_ERRNO = {
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: _ACCESS,
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
}
_NEWER = "a newer MLflow wrote it; install the packages that infra/constraints.txt names (`make setup`)"


def database_file(url: str) -> Path | None:
    """The file of an SQLite store, or None."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def open_client(url: str) -> Any:
    """MLflow's client on a store that is set up; its errors come as `advice` says."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # It prints where to look at a run by the URL it was given, password and all.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # MLflow logs a traceback of what it then raises.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    from mlflow.tracking import MlflowClient

    set_up(url)
    with explain_errors(url):
        return _AdvisingClient(MlflowClient(tracking_uri=url, registry_uri=url), url)


def set_up(url: str) -> None:
    """Give an SQLite store the tables of the MLflow that is installed, whoever else is at it and whatever was killed before.

    The file is made or migrated beside its place, under a lock, and then renamed. Other stores look after themselves.
    """
    path = database_file(url)
    if path is None:
        return
    with explain_errors(url):
        if _is_current(path):
            return
        lock = path.with_name(f".{path.name}.lock")
        with locked(lock, f"another run is setting up {path}; waiting for it"):
            if not _is_current(path):
                _build(path)


@contextmanager
def explain_errors(url: str) -> Iterator[None]:
    """Turn trouble with MLflow's store into an `ArtrecError` of one line; answers of MLflow are raised as they are."""
    try:
        yield
    except ArtrecError:
        raise
    except Exception as error:
        if getattr(error, "error_code", None) in _ANSWERS or not _is_of_store(error):
            raise
        where, (trouble, todo) = url, _explain(error)
        raise ArtrecError(f"MLflow at {where} cannot be read or written ({trouble}): {todo}") from error


class _AdvisingClient:
    """A client whose methods raise what `advice` makes of their errors."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._client, name)

        @wraps(method)
        def call(*arguments: Any, **settings: Any) -> Any:
            with explain_errors(self._url):
                return method(*arguments, **settings)

        return call


def _is_of_store(error: Exception) -> bool:
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError))


def _explain(error: BaseException) -> tuple[str, str]:
    """What the trouble is, and what to do about it: of the first error of the chain that is known, else of the last raised."""
    cause: BaseException | None = error
    while cause is not None:
        if (todo := _advice_on(cause)) is not None:
            return _first_line(cause), todo
        cause = cause.__cause__ or cause.__context__
    return _first_line(error), "see that it can be reached and that store.mlflow names it"


def _advice_on(error: BaseException) -> str | None:
    # Extended codes, such as SQLITE_IOERR_WRITE, begin with the primary one.
    code = getattr(error, "sqlite_errorname", None) or ""
    by_code = next((todo for name, todo in _ADVICE_BY_SQLITE_ERROR.items() if code.startswith(name)), None)
    if by_code is not None:
        return by_code
    if isinstance(error, OSError) and error.errno is not None:
        return _ADVICE_BY_ERRNO.get(error.errno)
    return _NEWER if "Can't locate revision" in str(error) else None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _is_current(path: Path) -> bool:
    """Whether a file holds the tables of the MLflow that is installed; an error of `sqlite3` where it cannot be read."""
    if not path.exists():
        return False
    try:
        # MLflow has no public name for this. Where it went, MLflow itself judges a file that is there.
        from mlflow.store.db.utils import _get_latest_schema_revision as latest_revision
    except ImportError:
        return True
    return bool(_revision(path) == latest_revision())


def _revision(path: Path) -> str | None:
    """The revision of a file's tables; None where a set-up was never finished."""
    with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
        has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_table else None
    return None if row is None else str(row[0])


def _build(path: Path) -> None:
    """Put a database with today's tables, and what the old one holds, in a path's place; the lock is ours."""
    building = path.with_name(f".{path.name}.building")
    _remove(building)  # what a killed run left
    if path.exists():
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(building)) as copy:
            old.backup(copy)
    else:
        _remove(path)
    _migrate(f"{_SQLITE}{building}")
    os.replace(building, path)


def _migrate(url: str) -> None:
    from mlflow.db import upgrade
    from mlflow.tracking import MlflowClient

    upgrade.callback(url)  # `mlflow db upgrade`
    # The default experiment, which MLflow adds at first use: two processes would add it at once.
    MlflowClient(tracking_uri=url).get_experiment("0")


def _remove(path: Path) -> None:
    for file in (path, *(path.with_name(path.name + ending) for ending in _COMPANIONS)):
        file.unlink(missing_ok=True)
