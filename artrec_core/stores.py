"""What goes wrong with a store (folder, bucket, DuckDB file, PostgreSQL database), told as advice in one line.

Drivers are recognised by what their errors carry, so that none has to be installed for the others' sake.
"""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artrec_core.errors import ArtrecError
from artrec_core.urls import redacted

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IN_THE_WAY = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_DENIED = {errno.EACCES, errno.EPERM}
_BUSY = {errno.EBUSY, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EREMOTEIO}

_AGAIN = "run the same line again"
_RIGHTS = (
    "PostgreSQL refuses it to this role; a publisher needs CREATE on the database and must own the schema artrec with all"
    " that is in it, a reader needs USAGE on the schema and SELECT on its views"
)
_STOPPED = f"the server was stopped; wait until it is up and {_AGAIN}"
_DAMAGED = "the server's files are damaged; ask whoever runs it"
# SQLSTATE -> what to do.
_POSTGRES = {
    "25006": "the database takes no writes; name the primary instead of a replica, or lift default_transaction_read_only for this role",
    "25P03": f"the server ended an idle transaction; raise idle_in_transaction_session_timeout for this role and {_AGAIN}",
    "25P04": f"the transaction took too long for the server; raise transaction_timeout for this role and {_AGAIN}",
    "2BP01": "views or tables of others are built on artrec's; drop them, publish, and make them anew",
    "40001": f"another transaction was in the way; {_AGAIN}",
    "40P01": f"another transaction was in the way; {_AGAIN}",
    "42501": _RIGHTS,
    "53100": f"the database server's disk is full; free space on it and {_AGAIN}",
    "53200": f"the database server has no memory left; raise its memory or max_locks_per_transaction and {_AGAIN}",
    "53300": f"the database server has no connection left; end some, or raise max_connections, and {_AGAIN}",
    "53400": f"a limit of the database server was reached; raise it (temp_file_limit is one) and {_AGAIN}",
    "55P03": f"another transaction holds the tables; end it and {_AGAIN}",
    "57014": f"the statement was cancelled; raise statement_timeout for this role if that did it, and {_AGAIN}",
    "57P01": _STOPPED,
    "57P02": _STOPPED,
    "57P03": _STOPPED,
    "57P05": f"the server ended an idle session; raise idle_session_timeout for this role and {_AGAIN}",
    "58030": _DAMAGED,
    "58P01": _DAMAGED,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
# Class of botocore -> what to do; a class stands for those below it.
_S3 = {
    "NoCredentialsError": "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "PartialCredentialsError": "half of the credentials are missing; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "CredentialRetrievalError": "the credentials cannot be fetched; see AWS_PROFILE and what it names",
    "ProfileNotFound": "there is no such profile; correct AWS_PROFILE",
    "NoRegionError": "there is no region; set AWS_DEFAULT_REGION",
    "ParamValidationError": "this is no name of a bucket; correct {setting}",
    "HTTPClientError": f"the object store does not answer; see AWS_ENDPOINT_URL and the network, and {_AGAIN}",
    "ConnectionError": f"the object store does not answer; see AWS_ENDPOINT_URL and the network, and {_AGAIN}",
    "ClientError": f"the object store refuses it; see the credentials and AWS_ENDPOINT_URL, and {_AGAIN}",
}


@dataclass(frozen=True)
class Place:
    """A store as messages name it."""

    what: str
    address: str
    setting: str  # the recipe's key

    @property
    def shown(self) -> str:
        """What it is and where, without a password."""
        return f"{self.what} {redacted(self.address)}".rstrip()


@contextmanager
def advised(place: Place) -> Iterator[None]:
    """Within, errors of the store that a person can put right become an `ArtrecError` of one line; others stay as they are."""
    try:
        yield
    except Exception as error:
        advice = advice_for(error, place)
        if advice is None:
            raise
        raise ArtrecError(f"{place.shown} cannot be used ({_first_line(error, place)}): {advice}") from error


class AdvisedCalls:
    """An object, such as a filesystem of fsspec, whose methods run `advised`; its other attributes are as they are."""

    def __init__(self, target: Any, place: Place) -> None:
        """`place` is the store that the object reads and writes."""
        self._target, self._place = target, place

    def __getattr__(self, name: str) -> Any:
        # Pickle asks a copy that has no attributes yet.
        if name in ("_target", "_place"):
            raise AttributeError(name)
        attribute = getattr(self._target, name)
        return advised(self._place)(attribute) if callable(attribute) else attribute


def advice_for(error: BaseException, place: Place) -> str | None:
    """What a person can do about an error of a driver or of the system; None where it is of another kind."""
    driver = type(error).__module__.lstrip("_").partition(".")[0]
    if driver == "psycopg":
        return _postgres_advice(error, place)
    if driver == "duckdb":
        return _duckdb_advice(error, place)
    if driver in ("botocore", "aiobotocore"):
        names = [kind.__name__ for kind in type(error).__mro__]
        return next((_S3[name].format(setting=place.setting) for name in names if name in _S3), None)
    return _system_advice(error, place) if isinstance(error, OSError) else None


def check_folder(place: Place) -> None:
    """Write and remove a file in the folder, which is made if need be; `ArtrecError` where that is refused."""
    try:
        with advised(place):
            folder = Path(place.address)
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".writable-{uuid.uuid4().hex}"
            try:
                probe.write_bytes(os.urandom(4096))  # a full disk still takes an empty file
            finally:
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise ArtrecError(
            f"{place.shown} cannot be used ({_first_line(error, place)}): set {place.setting} to another place"
        ) from error


def _postgres_advice(error: BaseException, place: Place) -> str | None:
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return _POSTGRES.get(str(state))
    names = {kind.__name__ for kind in type(error).__mro__}
    lost = f"the connection was lost; see that the server is up, or correct {place.setting}, and {_AGAIN}"
    return lost if "OperationalError" in names else None


def _duckdb_advice(error: BaseException, place: Place) -> str | None:
    text, kind = str(error), type(error).__name__
    if any(words in text for words in ("No space left", "File too large", "Disk quota")):
        return _full(place)
    if kind == "OutOfMemoryException":
        return f"DuckDB has no memory left; free some and {_AGAIN}"
    if kind in ("IOException", "PermissionException"):
        if any(words in text for words in ("Permission denied", "Read-only file system")):
            return _denied(place)
        if "Could not set lock" in text:
            return f"another process has it open to write; close it there and {_AGAIN}"
        return f"it cannot be read as a DuckDB file; correct {place.setting}, or move the file away and publish again"
    if kind in ("SerializationException", "FatalException"):
        return "the file is damaged; move it away and publish the nights again"
    return None


def _system_advice(error: OSError, place: Place) -> str | None:
    if error.errno in _FULL:
        return _full(place)
    if error.errno == errno.EROFS or error.errno in _DENIED or isinstance(error, PermissionError):
        return _denied(place)
    if error.errno in _IN_THE_WAY:
        return f"a file stands where a folder is needed, or the other way round; set {place.setting} to another place"
    if error.errno in _BUSY or isinstance(error, TimeoutError | ConnectionError):
        return f"it does not answer; see the network, and {_AGAIN}"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open; raise `ulimit -n` and {_AGAIN}"
    if error.errno == errno.EIO:
        return f"the disk cannot be read or written; set {place.setting} to another place"
    if isinstance(error, FileNotFoundError) and "bucket does not exist" in str(error):
        return f"make the bucket, or correct {place.setting}"
    return None


def _full(place: Place) -> str:
    return f"its disk, quota or file-size limit is full; make room there or set {place.setting} to another place"


def _denied(place: Place) -> str:
    return f"give this user read and write access or set {place.setting} to another place"


def _first_line(error: BaseException, place: Place) -> str:
    lines = redacted(str(error), place.address).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
