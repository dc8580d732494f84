"""The lake: a day of a table is complete with its manifest, or it does not exist.

The rows are in `<root>/<table>/run_date=YYYY-MM-DD/part-<digest>.parquet`. Each writer commits `_writer-<name>.json`, a
list of its parts. The day's `_manifest.json` is written last and lists the parts of all writers. A day without it does
not exist. `<root>` is a folder or an `s3://` URL.
"""

import hashlib
import io
import json
import os
import posixpath
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import accumulate
from typing import Any

import fsspec
import polars as pl
from pydantic import BaseModel, ConfigDict

from artrec_core.columns import LAKE, VOLATILE, conform, empty_frame
from artrec_core.errors import ArtrecError, MissingPartition
from artrec_core.files import write_atomically
from artrec_core.stores import ExplainedCalls, StoreAddress, check_folder, explain_errors

# The step that writes each table, for messages that name the command to run.
WRITERS = {
    "raw_artworks": "crawl",
    "raw_events": "crawl",
    "raw_users": "crawl",
    "artworks_checked": "validate",
    "events_checked": "validate",
    "users_checked": "validate",
    "consents": "validate",
    "quarantine": "validate",
    "catalogue": "prepare",
    "histories": "prepare",
    "people": "prepare",
    "text_vectors": "embed",
    "interest_vectors": "embed",
    "item_vectors": "embed",
    "user_vectors": "embed",
    "recommendations": "score",
    "similar_artworks": "score",
    "artwork_audiences": "score",
    "popular_artworks": "score",
    "all_pairs": "score",
}


class Part(BaseModel):
    """One Parquet file: the digest of its content without volatile columns, and its number of rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    digest: str
    rows: int


class WriterManifest(BaseModel):
    """The parts that one writer (a source, a shard) committed for a day."""

    model_config = ConfigDict(extra="forbid")
    writer: str
    parts: list[Part]
    fingerprint: str
    figures: dict[str, Any] = {}


class Manifest(BaseModel):
    """The content of a table for a day, and what it was made from."""

    model_config = ConfigDict(extra="forbid")
    table: str
    run_date: str
    rows: int
    table_schema: dict[str, str]
    digest: str
    fingerprint: str
    writers: dict[str, list[Part]]
    made_from: dict[str, str]
    figures: dict[str, Any]
    seconds: float
    code_version: str
    model_version: str | None = None

    @property
    def parts(self) -> list[Part]:
        """All parts, ordered by writer name, then as they were written."""
        return [part for name in sorted(self.writers) for part in self.writers[name]]


def parse_day(text: str) -> str:
    """Check a run date from the command line, `YYYY-MM-DD`, and return it; `ArtrecError` if it has another form."""
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != text:
        raise ArtrecError(f"{text!r} is not a date; write it as YYYY-MM-DD, for example 2026-03-30")
    return text


def digest_of(value: object) -> str:
    """A short digest of a value that JSON can hold, the same on every machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class Lake:
    """The tables of one store.

    In all methods, `table` is a key of `columns.LAKE` and `day` a run date, `YYYY-MM-DD`.
    """

    def __init__(self, root: str) -> None:
        """`root` is a folder or a URL that fsspec supports, such as `s3://bucket/prefix`; `ArtrecError` for other URLs."""
        self.root = root
        self._store = StoreAddress("the lake", root, "store.lake")
        try:
            filesystem, self._path = fsspec.core.url_to_fs(root)
        except (ValueError, ImportError) as error:
            raise ArtrecError(f"{self._store.label} cannot be used ({error}); correct store.lake") from error
        self._fs: Any = ExplainedCalls(filesystem, self._store)
        self._local = "file" in self._fs.protocol

    # -- reading -------------------------------------------------------------------------------------------------

    def manifest(self, table: str, day: str) -> Manifest:
        """The day's manifest; `MissingPartition` if the day does not exist."""
        manifest = self.find_manifest(table, day)
        if manifest is None:
            raise MissingPartition(table, day, WRITERS[table])
        return manifest

    def find_manifest(self, table: str, day: str) -> Manifest | None:
        """The day's manifest, or None."""
        raw = self._read(self._at(table, day, "_manifest.json"))
        return None if raw is None else Manifest.model_validate_json(raw)

    def is_up_to_date(self, table: str, day: str, fingerprint: str) -> bool:
        """Whether the day has this fingerprint of inputs and code, and all parts of its manifest still exist."""
        manifest = self.find_manifest(table, day)
        if manifest is None or manifest.fingerprint != fingerprint:
            return False
        return self.has_parts(table, day, manifest.parts)

    def has_parts(self, table: str, day: str, parts: Iterable[Part]) -> bool:
        """Whether all these parts exist."""
        names = set(map(posixpath.basename, self._list(self._at(table, day, ""))))
        return all(posixpath.basename(self._part_path(table, day, part)) in names for part in parts)

    def days(self, table: str, up_to: str) -> list[str]:
        """The committed days of a table up to `up_to` (included), oldest first."""
        names = [posixpath.basename(path.rstrip("/")) for path in self._list(posixpath.join(self._path, table))]
        days = sorted(name.removeprefix("run_date=") for name in names if name.startswith("run_date="))
        return [day for day in days if day <= up_to and self.find_manifest(table, day) is not None]

    def read(self, table: str, day: str, writer: str | None = None) -> pl.DataFrame:
        """Read the rows of a day.

        Parameters
        ----------
        writer
            Read only the rows of this writer.

        Raises
        ------
        MissingPartition
            If the day does not exist.
        ArtrecError
            If a file of the day is missing or the store cannot be read.
        """
        manifest = self.manifest(table, day)
        parts = manifest.parts if writer is None else manifest.writers.get(writer, [])
        return self.read_parts(table, day, parts)

    def read_or_empty(self, table: str, day: str) -> pl.DataFrame:
        """Read the rows of a day; no rows if the day does not exist."""
        return empty_frame(LAKE[table]) if self.find_manifest(table, day) is None else self.read(table, day)

    def read_parts(self, table: str, day: str, parts: Iterable[Part]) -> pl.DataFrame:
        """Read the rows of these parts, in the order of the parts."""
        frames = [self._read_part(table, day, part) for part in parts]
        return pl.concat(frames) if frames else empty_frame(LAKE[table])

    def read_rows(self, table: str, day: str, part: Part, first: int, last: int) -> pl.DataFrame:
        """Read some rows of a part; only the Parquet row groups that contain them are read.

        Parameters
        ----------
        part
            A part of the day.
        first, last
            Numbers of the first and the last row, both included, from 0.
        """
        from pyarrow.parquet import ParquetFile

        path = self._part_path(table, day, part)
        with self._explain_loss(table, day, path), self._fs.open(path, "rb") as raw, ParquetFile(raw) as file:
            ends = list(accumulate(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)))
            groups = [
                number for number, end in enumerate(ends) if first < end and (number == 0 or ends[number - 1] <= last)
            ]
            if not groups:
                return empty_frame(LAKE[table])
            skipped = ends[groups[0] - 1] if groups[0] else 0
            frame = pl.DataFrame(pl.from_arrow(file.read_row_groups(groups)))
        return conform(frame.slice(first - skipped, last - first + 1), LAKE[table])

    def iterate(self, table: str, day: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a day part by part, so that a large table is never in memory as a whole."""
        for part in self.manifest(table, day).parts:
            yield self._read_part(table, day, part)

    # -- writing -------------------------------------------------------------------------------------------------

    def write_part(self, table: str, day: str, frame: pl.DataFrame) -> Part:
        """Write one part. It is not read before a manifest lists it. An existing part is not written again."""
        frame = conform(frame, LAKE[table])
        stable = frame.drop(sorted(VOLATILE & set(frame.columns)))
        raw = _parquet(stable)
        part = Part(digest=hashlib.blake2b(raw, digest_size=12).hexdigest(), rows=frame.height)
        path = self._part_path(table, day, part)
        if not self._fs.exists(path):
            self._swap_in(path, raw if len(stable.columns) == len(frame.columns) else _parquet(frame))
        return part

    def commit_writer(
        self,
        table: str,
        day: str,
        writer: str,
        parts: list[Part],
        fingerprint: str,
        figures: dict[str, Any] | None = None,
    ) -> WriterManifest:
        """Commit the parts of one writer, so that a step that is killed does not repeat them.

        Parameters
        ----------
        writer
            Name of the writer: a source or a shard.
        parts
            Its parts, already written.
        fingerprint
            Digest of the writer's inputs and code; `find_writer` compares it.
        figures
            Counts for the reader of the manifest.
        """
        manifest = WriterManifest(writer=writer, parts=parts, fingerprint=fingerprint, figures=figures or {})
        self._swap_in(self._at(table, day, f"_writer-{writer}.json"), manifest.model_dump_json(indent=1).encode())
        return manifest

    def find_writer(self, table: str, day: str, writer: str, fingerprint: str) -> WriterManifest | None:
        """What the writer committed for this day with this fingerprint; None if there is nothing or parts are missing."""
        raw = self._read(self._at(table, day, f"_writer-{writer}.json"))
        manifest = None if raw is None else WriterManifest.model_validate_json(raw)
        if manifest is None or manifest.fingerprint != fingerprint:
            return None
        return manifest if all(self._fs.exists(self._part_path(table, day, part)) for part in manifest.parts) else None

    def commit(
        self,
        table: str,
        day: str,
        writers: dict[str, list[Part]],
        *,
        fingerprint: str,
        code_version: str,
        made_from: dict[str, str] | None = None,
        figures: dict[str, Any] | None = None,
        seconds: float = 0.0,
        model_version: str | None = None,
    ) -> Manifest:
        """Write the day's manifest in one step: from then on readers see these parts and no others.

        Parameters
        ----------
        writers
            Writer -> its parts.
        fingerprint
            Digest of the inputs, the settings and the code.
        code_version
            Digest of the code.
        made_from
            Input -> its digest.
        figures
            Counts for the reader of the manifest.
        seconds
            Duration of the work.
        model_version
            Version of the model that made the rows, if any.
        """
        digests = {name: [part.digest for part in parts] for name, parts in writers.items()}
        manifest = Manifest(
            table=table,
            run_date=day,
            rows=sum(part.rows for parts in writers.values() for part in parts),
            table_schema={name: str(dtype) for name, dtype in LAKE[table].items()},
            digest=digest_of(digests),
            fingerprint=fingerprint,
            writers=writers,
            made_from=made_from or {},
            figures=figures or {},
            seconds=round(seconds, 3),
            code_version=code_version,
            model_version=model_version,
        )
        self._swap_in(self._at(table, day, "_manifest.json"), manifest.model_dump_json(indent=1).encode())
        return manifest

    # -- notes beside the tables (a step's figures, a report) ------------------------------------------------------

    def write_note(self, name: str, day: str, raw: bytes) -> str:
        """Write a small file of the day, `_notes/run_date=D/<name>`, in one step, and return its address."""
        path = self._at("_notes", day, name)
        self._swap_in(path, raw)
        return self.address(path)

    def read_note(self, name: str, day: str) -> bytes | None:
        """Read a small file of the day; None if it does not exist."""
        return self._read(self._at("_notes", day, name))

    def note_address(self, name: str, day: str) -> str:
        """The address of a small file of the day."""
        return self.address(self._at("_notes", day, name))

    def address(self, path: str) -> str:
        """The path or URL under which a user can open a file of the store."""
        return path if self._local else str(self._fs.unstrip_protocol(path))

    # -- upkeep --------------------------------------------------------------------------------------------------

    def sweep(self, table: str, day: str, *, older_than_seconds: float) -> int:
        """Remove old parts of the day that no manifest lists, and return their number.

        Parameters
        ----------
        older_than_seconds
            Minimum age of a removed part. A younger part may belong to a writer that has not committed yet.
        """
        paths = self._list(self._at(table, day, ""))
        digests: set[str] = set()
        for path in paths:
            if path.endswith(".json"):
                digests |= _digests_in(json.loads(self._fs.cat_file(path)))
        stale = [
            path
            for path in paths
            if not path.endswith(".json")
            and posixpath.basename(path).removeprefix("part-").removesuffix(".parquet") not in digests
            and time.time() - self._modified(path) > older_than_seconds
        ]
        for path in stale:
            self._fs.rm_file(path)
        return len(stale)

    def free_bytes(self) -> int | None:
        """Free bytes on the disk of a store in a folder; None for an object store."""
        if not self._local:
            return None
        with explain_errors(self._store):
            os.makedirs(self._path, exist_ok=True)
        return shutil.disk_usage(self._path).free

    def check_writable(self) -> None:
        """Write and remove a file; `ArtrecError` if the store does not allow it."""
        if self._local:
            check_folder(self._store)
            return
        path = posixpath.join(self._path, f".writable-{uuid.uuid4().hex}")
        self._fs.pipe_file(path, b"")
        self._fs.rm_file(path)

    # -- inside --------------------------------------------------------------------------------------------------

    def _at(self, table: str, day: str, name: str) -> str:
        return posixpath.join(self._path, table, f"run_date={day}", name)

    def _part_path(self, table: str, day: str, part: Part) -> str:
        return self._at(table, day, f"part-{part.digest}.parquet")

    def _read_part(self, table: str, day: str, part: Part) -> pl.DataFrame:
        path = self._part_path(table, day, part)
        with self._explain_loss(table, day, path):
            source: Any = path if self._local else io.BytesIO(self._fs.cat_file(path))
            return conform(pl.read_parquet(source, hive_partitioning=False), LAKE[table])

    @contextmanager
    def _explain_loss(self, table: str, day: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise ArtrecError(
                f"{self.address(path)} is missing, so {table} of {day} is not complete;"
                f" run `artrec {WRITERS[table]} --date {day}` again"
            ) from None

    def _list(self, folder: str) -> list[str]:
        """The paths in a folder; none if it does not exist."""
        # fsspec's S3 client caches listings, so commits of another process would not be found.
        self._fs.invalidate_cache()
        return [str(path) for path in self._fs.ls(folder, detail=False)] if self._fs.exists(folder) else []

    def _read(self, path: str) -> bytes | None:
        try:
            return bytes(self._fs.cat_file(path))
        except FileNotFoundError:
            return None

    def _swap_in(self, path: str, raw: bytes) -> None:
        """Write a file so that a reader sees the old content or the whole new content."""
        if not self._local:
            self._fs.pipe_file(path, raw)
            return
        with explain_errors(self._store), write_atomically(path) as building:
            building.write_bytes(raw)

    def _modified(self, path: str) -> float:
        return float(self._fs.modified(path).timestamp())


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def _digests_in(manifest: dict[str, Any]) -> set[str]:
    groups = manifest["writers"].values() if "writers" in manifest else [manifest["parts"]]
    return {part["digest"] for parts in groups for part in parts}
