"""MLflow's store: an SQLite database is set up atomically, and errors become one line that says what to do.

MLflow creates and migrates its database in place, without a lock. Two processes at once, or a kill in that second, would
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
from artrec_core.files import write_atomically
from artrec_core.locks import hold_lock
from artrec_core.sqlite_files import copy_database, remove_companions

_SQLITE = "sqlite:///"
# How long to wait for another process that writes to the file; MLflow waits as long.
PATIENCE_SECONDS = 20.0
# MLflow's error codes that are answers. Any other code means that the store does not work.
_ANSWERS = {"RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "INVALID_STATE"}
_ACCESS = "give this user write access to the file and its folder, or set store.mlflow to another place"
_SPACE = "make room on its disk and run the same line again"
_DAMAGED = "put a backup in its place, or move it away and train again with `artrec train`"
_ADVICE_BY_SQLITE_ERROR = {
    "SQLITE_BUSY": "another process has been writing to it for a long time; wait for it or end it, then run the same line again",
    "SQLITE_READONLY_DBMOVED": "another file replaced it meanwhile; run the same line again",
    "SQLITE_READONLY": _ACCESS,
    "SQLITE_CANTOPEN": _ACCESS,
    "SQLITE_PERM": _ACCESS,
    "SQLITE_AUTH": _ACCESS,
    "SQLITE_FULL": _SPACE,
    "SQLITE_IOERR": _SPACE,
    "SQLITE_CORRUPT": f"the file is damaged; {_DAMAGED}",
    "SQLITE_NOTADB": f"the file is damaged; {_DAMAGED}",
    # A table or column exists already or does not exist yet: a migration in place was killed, which `set_up` prevents.
    "SQLITE_ERROR": f"its tables are incomplete, as if MLflow was killed while it created them; {_DAMAGED}",
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
    """The file of an SQLite store; None for other stores."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def open_client(url: str) -> Any:
    """MLflow's client for a store, which is set up first. The client raises errors as `explain_errors` does."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # MLflow would print the URL of a run, password included.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # MLflow would log the traceback of each error that it raises.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    from mlflow.tracking import MlflowClient

    set_up(url)
    with explain_errors(url):
        return _ExplainingClient(MlflowClient(tracking_uri=url, registry_uri=url), url)


def set_up(url: str) -> None:
    """Give an SQLite store the tables of the installed MLflow version. Stores of other kinds need no setup.

    The file is created or migrated beside its place, under a lock, and then renamed. So several processes may call this at
    once, and a killed one does no harm.
    """
    path = database_file(url)
    if path is None:
        return
    with explain_errors(url):
        if _is_current(path):
            return
        lock = path.with_name(f".{path.name}.lock")
        with hold_lock(lock, f"another run is setting up {path}; waiting for it"):
            if not _is_current(path):
                _migrate_atomically(path)


@contextmanager
def explain_errors(url: str) -> Iterator[None]:
    """Turn errors of the store at `url` into an `ArtrecError` of one line. MLflow's answers are raised unchanged."""
    try:
        yield
    except ArtrecError:
        raise
    except Exception as error:
        if getattr(error, "error_code", None) in _ANSWERS or not _is_store_error(error):
            raise
        cause, advice = _explain(error)
        raise ArtrecError(f"MLflow at {url} cannot be read or written ({cause}): {advice}") from error


class _ExplainingClient:
    """A client whose methods run inside `explain_errors`."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._client, name)

        @wraps(method)
        def call(*arguments: Any, **settings: Any) -> Any:
            with explain_errors(self._url):
                return method(*arguments, **settings)

        return call


def _is_store_error(error: Exception) -> bool:
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError))


def _explain(error: BaseException) -> tuple[str, str]:
    """The cause and the advice, for the first known error in the chain of causes, or else for the error itself."""
    cause: BaseException | None = error
    while cause is not None:
        if (advice := _advice_for(cause)) is not None:
            return _first_line(cause), advice
        cause = cause.__cause__ or cause.__context__
    return _first_line(error), "check that it can be reached and that store.mlflow names it"


def _advice_for(error: BaseException) -> str | None:
    # Extended codes, such as SQLITE_IOERR_WRITE, start with the primary code.
    code = getattr(error, "sqlite_errorname", None) or ""
    by_code = next((advice for name, advice in _ADVICE_BY_SQLITE_ERROR.items() if code.startswith(name)), None)
    if by_code is not None:
        return by_code
    if isinstance(error, OSError) and error.errno is not None:
        return _ADVICE_BY_ERRNO.get(error.errno)
    return _NEWER if "Can't locate revision" in str(error) else None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _is_current(path: Path) -> bool:
    """Whether a file has the tables of the installed MLflow; raises `sqlite3.Error` if it cannot be read."""
    if not path.exists():
        return False
    try:
        # Private; MLflow 3.17 has it. Without it, MLflow itself checks an existing file when it opens it.
        from mlflow.store.db.utils import _get_latest_schema_revision as latest_revision
    except ImportError:
        return True
    return bool(_revision(path) == latest_revision())


def _revision(path: Path) -> str | None:
    """The revision of a file's tables; None if a setup was never finished."""
    with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
        has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_table else None
    return None if row is None else str(row[0])


def _migrate_atomically(path: Path) -> None:
    """Replace a database by one with the current tables and the old content; the caller holds the lock."""
    with write_atomically(path, alone=True) as building:
        if path.exists():
            copy_database(path, building)
        else:
            remove_companions(path)
        _migrate(f"{_SQLITE}{building}")


def _migrate(url: str) -> None:
    from mlflow.db import upgrade
    from mlflow.tracking import MlflowClient

    upgrade.callback(url)  # `mlflow db upgrade`
    # This adds the default experiment. MLflow adds it at first use, and two processes would do that at once.
    MlflowClient(tracking_uri=url).get_experiment("0")
