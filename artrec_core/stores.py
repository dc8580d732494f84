"""Errors of stores (folder, bucket, DuckDB file, PostgreSQL database), explained in one line with advice.

Drivers are recognised by attributes of their errors, so that no driver has to be imported.
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
from artrec_core.urls import redact

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IN_THE_WAY = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_DENIED = {errno.EACCES, errno.EPERM}
_BUSY = {errno.EBUSY, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EREMOTEIO}

_AGAIN = "run the same command again"
_RIGHTS = (
    "PostgreSQL does not allow it for this role; a publisher needs CREATE on the database and must own the schema artrec"
    " with everything in it, a reader needs USAGE on the schema and SELECT on its views"
)
_STOPPED = f"the server was stopped; wait until it is up and {_AGAIN}"
_DAMAGED = "the server's files are damaged; ask its administrator"
# SQLSTATE -> what to do.
_POSTGRES = {
    "25006": "the database is read-only; use the primary instead of a replica, or unset default_transaction_read_only for this role",
    "25P03": f"the server ended an idle transaction; raise idle_in_transaction_session_timeout for this role and {_AGAIN}",
    "25P04": f"the transaction took too long for the server; raise transaction_timeout for this role and {_AGAIN}",
    "2BP01": "views or tables of others depend on artrec's; drop them, publish, and create them again",
    "40001": f"it conflicts with another transaction; {_AGAIN}",
    "40P01": f"it conflicts with another transaction; {_AGAIN}",
    "42501": _RIGHTS,
    "53100": f"the database server's disk is full; free space on it and {_AGAIN}",
    "53200": f"the database server has no memory left; raise its memory or max_locks_per_transaction and {_AGAIN}",
    "53300": f"the database server has no connection left; end some, or raise max_connections, and {_AGAIN}",
    "53400": f"a limit of the database server was reached; raise it (temp_file_limit is one) and {_AGAIN}",
    "55P03": f"another transaction holds the tables; end it and {_AGAIN}",
    "57014": f"the statement was cancelled; raise statement_timeout for this role if it was the cause, and {_AGAIN}",
    "57P01": _STOPPED,
    "57P02": _STOPPED,
    "57P03": _STOPPED,
    "57P05": f"the server ended an idle session; raise idle_session_timeout for this role and {_AGAIN}",
    "58030": _DAMAGED,
    "58P01": _DAMAGED,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
# Class of botocore -> what to do. A class covers its subclasses.
_S3 = {
    "NoCredentialsError": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "PartialCredentialsError": "the credentials are incomplete; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "CredentialRetrievalError": "the credentials cannot be fetched; check AWS_PROFILE and the profile it names",
    "ProfileNotFound": "the profile does not exist; correct AWS_PROFILE",
    "NoRegionError": "no region is set; set AWS_DEFAULT_REGION",
    "ParamValidationError": "this is not a valid bucket name; correct {setting}",
    "HTTPClientError": f"the object store does not answer; check AWS_ENDPOINT_URL and the network, and {_AGAIN}",
    "ConnectionError": f"the object store does not answer; check AWS_ENDPOINT_URL and the network, and {_AGAIN}",
    "ClientError": f"the object store does not allow it; check the credentials and AWS_ENDPOINT_URL, and {_AGAIN}",
}


@dataclass(frozen=True)
class StoreAddress:
    """A store as messages name it: its kind (`the lake`), its address and its key in the recipe (`store.lake`)."""

    kind: str
    address: str
    setting: str

    @property
    def label(self) -> str:
        """The kind and the address, without a password."""
        return f"{self.kind} {redact(self.address)}".rstrip()


@contextmanager
def explain_errors(store: StoreAddress) -> Iterator[None]:
    """Turn errors of the store that the user can solve into an `ArtrecError` of one line; other errors stay as they are."""
    try:
        yield
    except Exception as error:
        advice = advice_for(error, store)
        if advice is None:
            raise
        raise ArtrecError(f"{store.label} cannot be used ({_first_line(error, store)}): {advice}") from error


class ExplainedCalls:
    """An object, such as a filesystem of fsspec, whose methods run in `explain_errors`; other attributes do not change."""

    def __init__(self, target: Any, store: StoreAddress) -> None:
        """`target` is the object, `store` what it reads and writes."""
        self._target, self._store = target, store

    def __getattr__(self, name: str) -> Any:
        # Pickle looks these up on a copy that has no attributes yet.
        if name in ("_target", "_store"):
            raise AttributeError(name)
        attribute = getattr(self._target, name)
        return explain_errors(self._store)(attribute) if callable(attribute) else attribute


def advice_for(error: BaseException, store: StoreAddress) -> str | None:
    """What the user can do about an error of a driver or of the system; None for other errors."""
    driver = type(error).__module__.lstrip("_").partition(".")[0]
    if driver == "psycopg":
        return _postgres_advice(error, store)
    if driver == "duckdb":
        return _duckdb_advice(error, store)
    if driver in ("botocore", "aiobotocore"):
        names = [kind.__name__ for kind in type(error).__mro__]
        return next((_S3[name].format(setting=store.setting) for name in names if name in _S3), None)
    return _system_advice(error, store) if isinstance(error, OSError) else None


def check_folder(store: StoreAddress) -> None:
    """Create the folder, then write and remove a file in it; `ArtrecError` if this fails."""
    try:
        with explain_errors(store):
            folder = Path(store.address)
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".writable-{uuid.uuid4().hex}"
            try:
                probe.write_bytes(os.urandom(4096))  # a full disk still accepts an empty file
            finally:
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise ArtrecError(
            f"{store.label} cannot be used ({_first_line(error, store)}): set {store.setting} to another path"
        ) from error


def _postgres_advice(error: BaseException, store: StoreAddress) -> str | None:
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return _POSTGRES.get(str(state))
    names = {kind.__name__ for kind in type(error).__mro__}
    lost = f"the connection was lost; check that the server is up, or correct {store.setting}, and {_AGAIN}"
    return lost if "OperationalError" in names else None


def _duckdb_advice(error: BaseException, store: StoreAddress) -> str | None:
    text, kind = str(error), type(error).__name__
    if any(words in text for words in ("No space left", "File too large", "Disk quota")):
        return _full(store)
    if kind == "OutOfMemoryException":
        return f"DuckDB has no memory left; free some and {_AGAIN}"
    if kind in ("IOException", "PermissionException"):
        if any(words in text for words in ("Permission denied", "Read-only file system")):
            return _denied(store)
        if "Could not set lock" in text:
            return f"another process has it open for writing; close it there and {_AGAIN}"
        return f"it cannot be read as a DuckDB file; correct {store.setting}, or move the file away and publish again"
    if kind in ("SerializationException", "FatalException"):
        return "the file is damaged; move it away and publish the nights again"
    return None


def _system_advice(error: OSError, store: StoreAddress) -> str | None:
    if error.errno in _FULL:
        return _full(store)
    if error.errno == errno.EROFS or error.errno in _DENIED or isinstance(error, PermissionError):
        return _denied(store)
    if error.errno in _IN_THE_WAY:
        return (
            f"there is a file instead of a folder, or a folder instead of a file; set {store.setting} to another path"
        )
    if error.errno in _BUSY or isinstance(error, TimeoutError | ConnectionError):
        return f"it does not answer; check the network, and {_AGAIN}"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open; raise `ulimit -n` and {_AGAIN}"
    if error.errno == errno.EIO:
        return f"the disk cannot be read or written; set {store.setting} to another path"
    if isinstance(error, FileNotFoundError) and "bucket does not exist" in str(error):
        return f"create the bucket, or correct {store.setting}"
    return None


def _full(store: StoreAddress) -> str:
    return f"its disk, quota or file-size limit is full; free space there or set {store.setting} to another path"


def _denied(store: StoreAddress) -> str:
    return f"give this user read and write access or set {store.setting} to another path"


def _first_line(error: BaseException, store: StoreAddress) -> str:
    lines = redact(str(error), store.address).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
