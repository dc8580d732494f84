"""A table's day: written whole with a manifest, or not there at all.

`<root>/<table>/run_date=YYYY-MM-DD/part-<digest>.parquet` are the rows. Each writer commits `_writer-<name>.json`, a list
of its parts; the day's `_manifest.json` is swapped in last and lists them all. A day without its manifest does not exist.
`<root>` is a folder or an `s3://` URL.
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
from artrec_core.stores import AdvisedCalls, Place, advised, check_folder

# The step that writes each table, for messages that say what to run.
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
    """One Parquet file: its content digest (volatile columns left out) and how many rows it holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    digest: str
    rows: int


class WriterManifest(BaseModel):
    """What one writer (a source, a shard) committed for a day."""

    model_config = ConfigDict(extra="forbid")
    writer: str
    parts: list[Part]
    fingerprint: str
    figures: dict[str, Any] = {}


class Manifest(BaseModel):
    """What a table holds for a day."""

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
        """All parts, in the order of the writers' names and of their writing."""
        return [part for name in sorted(self.writers) for part in self.writers[name]]


def day_of(text: str) -> str:
    """The night's date as written on a command line, `YYYY-MM-DD`; anything else is an `ArtrecError`."""
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != text:
        raise ArtrecError(f"{text!r} is not a date; write it as YYYY-MM-DD, for example 2026-03-30")
    return text


def digest_of(value: object) -> str:
    """A short digest of anything JSON can hold, the same on every machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class Lake:
    """The tables of one store."""

    def __init__(self, root: str) -> None:
        """`root` is a folder or a URL that fsspec knows, such as `s3://bucket/prefix`; `ArtrecError` where it knows none such."""
        self.root = root
        self._place = Place("the lake", root, "store.lake")
        try:
            files, self._path = fsspec.core.url_to_fs(root)
        except (ValueError, ImportError) as error:
            raise ArtrecError(f"{self._place.shown} cannot be used ({error}); correct store.lake") from error
        self._fs: Any = AdvisedCalls(files, self._place)
        self._local = "file" in self._fs.protocol

    # -- reading -------------------------------------------------------------------------------------------------

    def manifest(self, table: str, day: str) -> Manifest:
        """The day's manifest; `MissingPartition` where the day does not exist."""
        found = self.find_manifest(table, day)
        if found is None:
            raise MissingPartition(table, day, WRITERS[table])
        return found

    def find_manifest(self, table: str, day: str) -> Manifest | None:
        """The day's manifest, or None."""
        raw = self._read(self._at(table, day, "_manifest.json"))
        return None if raw is None else Manifest.model_validate_json(raw)

    def stands(self, table: str, day: str, fingerprint: str) -> bool:
        """Whether the day was made from these inputs by this code, and all that its manifest names is still there."""
        manifest = self.find_manifest(table, day)
        return manifest is not None and manifest.fingerprint == fingerprint and self.holds(table, day, manifest.parts)

    def holds(self, table: str, day: str, parts: Iterable[Part]) -> bool:
        """Whether all these parts are there."""
        names = set(map(posixpath.basename, self._list(self._at(table, day, ""))))
        return all(posixpath.basename(self._part_path(table, day, part)) in names for part in parts)

    def days(self, table: str, up_to: str) -> list[str]:
        """The committed days of a table up to and including `up_to`, oldest first."""
        names = [posixpath.basename(path.rstrip("/")) for path in self._list(posixpath.join(self._path, table))]
        days = sorted(name.removeprefix("run_date=") for name in names if name.startswith("run_date="))
        return [day for day in days if day <= up_to and self.find_manifest(table, day) is not None]

    def read(self, table: str, day: str, writer: str | None = None) -> pl.DataFrame:
        """The rows of a day, or of one writer of it; `MissingPartition` where the day does not exist."""
        manifest = self.manifest(table, day)
        parts = manifest.parts if writer is None else manifest.writers.get(writer, [])
        return self.read_parts(table, day, parts)

    def read_or_empty(self, table: str, day: str) -> pl.DataFrame:
        """The rows of a day, or no rows where the day does not exist."""
        return empty_frame(LAKE[table]) if self.find_manifest(table, day) is None else self.read(table, day)

    def read_parts(self, table: str, day: str, parts: Iterable[Part]) -> pl.DataFrame:
        """The rows of these parts, in their order."""
        frames = [self._read_part(table, day, part) for part in parts]
        return pl.concat(frames) if frames else empty_frame(LAKE[table])

    def read_rows(self, table: str, day: str, part: Part, first: int, last: int) -> pl.DataFrame:
        """Rows first..last (included) of a part; of a large part only the groups of rows that hold them are read."""
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
        """The rows of a day, part by part, so that a big table is never held whole."""
        for part in self.manifest(table, day).parts:
            yield self._read_part(table, day, part)

    # -- writing -------------------------------------------------------------------------------------------------

    def write_part(self, table: str, day: str, frame: pl.DataFrame) -> Part:
        """Write one part; nothing reads it before a manifest names it. A part that is there already is left alone."""
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
        """Commit one writer's parts, so that a killed step resumes after it."""
        manifest = WriterManifest(writer=writer, parts=parts, fingerprint=fingerprint, figures=figures or {})
        self._swap_in(self._at(table, day, f"_writer-{writer}.json"), manifest.model_dump_json(indent=1).encode())
        return manifest

    def find_writer(self, table: str, day: str, writer: str, fingerprint: str) -> WriterManifest | None:
        """What the writer committed for this day from the same inputs and code, or None; None too where parts of it are gone."""
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
        """Swap in the day's manifest: from now on a reader sees these parts and no others."""
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
        """Swap in a small file of the day, `_notes/run_date=D/<name>`; where it lies is returned."""
        path = self._at("_notes", day, name)
        self._swap_in(path, raw)
        return self.address(path)

    def read_note(self, name: str, day: str) -> bytes | None:
        """A small file of the day, or None."""
        return self._read(self._at("_notes", day, name))

    def note_address(self, name: str, day: str) -> str:
        """Where the small file of the day lies."""
        return self.address(self._at("_notes", day, name))

    def address(self, path: str) -> str:
        """A path inside the store as a person would open it."""
        return path if self._local else str(self._fs.unstrip_protocol(path))

    # -- upkeep --------------------------------------------------------------------------------------------------

    def sweep(self, table: str, day: str, *, older_than_seconds: float) -> int:
        """Remove the day's parts that no manifest names and that are older; how many were removed."""
        paths = self._list(self._at(table, day, ""))
        named: set[str] = set()
        for path in paths:
            if path.endswith(".json"):
                named |= _digests_in(json.loads(self._fs.cat_file(path)))
        stale = [
            path
            for path in paths
            if not path.endswith(".json")
            and posixpath.basename(path).removeprefix("part-").removesuffix(".parquet") not in named
            and time.time() - self._modified(path) > older_than_seconds
        ]
        for path in stale:
            self._fs.rm_file(path)
        return len(stale)

    def free_bytes(self) -> int | None:
        """How much the disk of a store in a folder has left; None for an object store, which has no such limit."""
        if not self._local:
            return None
        with advised(self._place):
            os.makedirs(self._path, exist_ok=True)
        return shutil.disk_usage(self._path).free

    def check_writable(self) -> None:
        """Write and remove a file; `ArtrecError` where the store refuses it."""
        if self._local:
            check_folder(self._place)
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
                f"{self.address(path)} is gone, and {table} of {day} is not whole without it;"
                f" run `artrec {WRITERS[table]} --date {day}` again"
            ) from None

    def _list(self, folder: str) -> list[str]:
        """The paths in a folder; none where it is not there."""
        # fsspec's S3 client caches listings: what another process committed would stay unseen.
        self._fs.invalidate_cache()
        return [str(path) for path in self._fs.ls(folder, detail=False)] if self._fs.exists(folder) else []

    def _read(self, path: str) -> bytes | None:
        try:
            return bytes(self._fs.cat_file(path))
        except FileNotFoundError:
            return None

    def _swap_in(self, path: str, raw: bytes) -> None:
        """Write a file so that a reader sees the old one or the whole new one, never a part."""
        if not self._local:
            self._fs.pipe_file(path, raw)
            return
        with advised(self._place), write_atomically(path) as building:
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
