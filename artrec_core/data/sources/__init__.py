"""Museums' raw lines in, Artworks out: every line ends as a row or in quarantine with a reason, whatever it holds."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import IO, Any

import fsspec
import polars as pl

from artrec_core.columns import (
    ARTWORK,
    ARTWORK_ID,
    CRAWLED_AT,
    LICENCE,
    LINE,
    MUSEUM,
    QUARANTINE,
    REASON,
    RECORD,
    RULE,
    SOURCE,
    empty_frame,
)
from artrec_core.config import Source
from artrec_core.data.artwork import checked, frame, with_content_hash
from artrec_core.data.mapped import IS_JSON, IS_RECORD, MAPPABLE, Mapped, quarantined
from artrec_core.data.sources import carnegie, demo, jsonl, tate, walters
from artrec_core.data.text import Record, kind_of
from artrec_core.data.values import identifier
from artrec_core.errors import MissingInput

Mapping = Callable[[Record], dict[str, Any]]

# Python holds a mapped record in about 4 KB, polars in a tenth of it.
CHUNK = 8192

_MUSEUMS: dict[str, Mapping] = {
    "demo": demo.artwork,
    "tate": tate.artwork,
    "carnegie": carnegie.artwork,
    "walters": walters.artwork,
}


class _Unmappable(Exception):
    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


def read_lines(source: Source, day: str) -> Iterator[str]:
    """The source's lines as they were received, at most `source.limit`; `{date}` in its path is the day.

    Bytes that are no UTF-8 become replacement characters. Raises `MissingInput` where the file is not there or is cut
    off.
    """
    lines = demo.lines() if source.kind == "demo" else _file_lines(source, day)
    for line in islice(lines, source.limit):
        yield line.rstrip(b"\r\n").decode("utf-8", errors="replace")


def _file_lines(source: Source, day: str) -> Iterator[bytes]:
    path = str(source.path).replace("{date}", day)
    try:
        file: IO[bytes] = fsspec.open(path, "rb").open()
    except (FileNotFoundError, IsADirectoryError):
        raise MissingInput(
            f"source {source.name}: there is no file {path}; put it there, or correct `path` in the recipe"
        ) from None
    with closing(file):
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield from gzip.GzipFile(fileobj=file) if packed else file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise MissingInput(
                f"source {source.name}: {path} is cut off or damaged ({error}); fetch it again"
            ) from error


def mapping_of(source: Source) -> Mapping:
    """The function that turns one record of this source into our columns; it raises `ValueError` where it cannot."""
    return jsonl.mapping(source.fields) if source.kind == "jsonl" else _MUSEUMS[source.kind]


def to_artworks(source: Source, raw: pl.DataFrame) -> Mapped:
    """Raw lines (RAW) as artworks: each line ends in exactly one of `rows` (LINE + ARTWORK) and `unmapped`."""
    mapping = mapping_of(source)
    chunks = [_chunk(source, mapping, raw.slice(start, CHUNK)) for start in range(0, raw.height, CHUNK)]
    if not chunks:
        return Mapped(empty_frame({LINE: pl.Int64(), **ARTWORK}), empty_frame(QUARANTINE))
    return Mapped(pl.concat([one.rows for one in chunks]), pl.concat([one.unmapped for one in chunks]))


def _chunk(source: Source, mapping: Mapping, raw: pl.DataFrame) -> Mapped:
    rows: list[dict[str, Any]] = []
    refused: list[_Unmappable | None] = []
    for record in raw[RECORD]:
        try:
            rows.append(_row(source, mapping, record))
            refused.append(None)
        except _Unmappable as reason:
            refused.append(reason)
    lines = raw.with_columns(
        pl.Series(RULE, [one and one.rule for one in refused], pl.String),
        pl.Series(REASON, [one and one.reason for one in refused], pl.String),
    )
    kept = lines.filter(pl.col(RULE).is_null())
    fields = frame(rows, {name: dtype for name, dtype in ARTWORK.items() if name not in (SOURCE, CRAWLED_AT)})
    artworks = with_content_hash(fields.with_columns(kept[SOURCE], kept[CRAWLED_AT], kept[LINE]))
    out = lines.filter(pl.col(RULE).is_not_null())
    return Mapped(
        artworks.select(LINE, *ARTWORK), quarantined("artworks", out, rule=pl.col(RULE), reason=pl.col(REASON))
    )


def _row(source: Source, mapping: Mapping, line: str | None) -> dict[str, Any]:
    record = _record(line)
    try:
        fields = checked(mapping(record))
        fields[ARTWORK_ID] = _identifier(fields.get(ARTWORK_ID))
    except (ValueError, RecursionError) as error:
        raise _Unmappable(MAPPABLE, str(error) or "the record is nested too deeply") from None
    except Exception as error:
        # A slip of our own must not stop the night: the line is set aside with what went wrong.
        raise _Unmappable(MAPPABLE, f"{type(error).__name__}: {error}") from None
    artwork_id = fields.get(ARTWORK_ID)
    fields[ARTWORK_ID] = None if artwork_id is None else f"{source.name}:{artwork_id}"
    fields[MUSEUM] = fields.get(MUSEUM) or source.museum
    fields[LICENCE] = fields.get(LICENCE) or source.licence
    return fields


def _identifier(value: str | None) -> str | None:
    try:
        return identifier(value)
    except ValueError as error:
        raise ValueError(f"{ARTWORK_ID} {error}") from None


def _record(line: str | None) -> Record:
    if line is None or not line.strip():
        raise _Unmappable(IS_JSON, "the line is empty")
    try:
        value = json.loads(line.removeprefix("\ufeff"))
    except RecursionError:
        raise _Unmappable(IS_JSON, "the JSON is nested too deeply to be read") from None
    except ValueError as error:
        raise _Unmappable(IS_JSON, f"the line is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _Unmappable(IS_RECORD, f"the line holds {kind_of(value)}, not a record")
    return value
