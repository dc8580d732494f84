"""Sources of artworks: reading the raw lines of museums and mapping them to ARTWORK.

Whatever a line holds, it becomes a row or goes to the quarantine with a reason.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

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
from artrec_core.data.artwork import build_frame, check_types, with_content_hash
from artrec_core.data.files import path_for_day, read_byte_lines
from artrec_core.data.mapped_rows import IS_JSON, IS_RECORD, MAPPABLE, MappedRows, quarantine_rows
from artrec_core.data.sources import carnegie, demo, jsonl, tate, walters
from artrec_core.data.text import Record, type_in_words
from artrec_core.data.values import named_identifier

# Maps a record of a source to the columns of ARTWORK; raises `ValueError` if it cannot.
RecordMapper = Callable[[Record], dict[str, Any]]

# Lines mapped at once. A mapped record takes about 4 KB as Python objects, and a tenth of that in polars.
CHUNK = 8192

_MUSEUMS: dict[str, RecordMapper] = {
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
    """Read the source's lines as they were received, at most `source.limit` of them.

    `{date}` in the source's path is replaced by the run date `day`. Bytes that are not UTF-8 become replacement
    characters. Raises `MissingInput` if the file does not exist or is cut off.
    """
    if source.kind == "demo":
        lines = demo.raw_lines()
    else:
        lines = read_byte_lines(f"source {source.name}", path_for_day(str(source.path), day))
    for line in islice(lines, source.limit):
        yield line.rstrip(b"\r\n").decode("utf-8", errors="replace")


def record_mapper(source: Source) -> RecordMapper:
    """The function that maps a record of this source to the columns of ARTWORK."""
    return jsonl.build_mapper(source.fields) if source.kind == "jsonl" else _MUSEUMS[source.kind]


def to_artworks(source: Source, raw: pl.DataFrame) -> MappedRows:
    """Map raw lines (RAW) to artworks: each line ends in exactly one of `rows` (LINE + ARTWORK) and `unmapped`."""
    mapper = record_mapper(source)
    chunks = [_map_chunk(source, mapper, raw.slice(start, CHUNK)) for start in range(0, raw.height, CHUNK)]
    if not chunks:
        return MappedRows(empty_frame({LINE: pl.Int64(), **ARTWORK}), empty_frame(QUARANTINE))
    return MappedRows(pl.concat([chunk.rows for chunk in chunks]), pl.concat([chunk.unmapped for chunk in chunks]))


def _map_chunk(source: Source, mapper: RecordMapper, raw: pl.DataFrame) -> MappedRows:
    rows: list[dict[str, Any]] = []
    faults: list[_Unmappable | None] = []
    for record in raw[RECORD]:
        try:
            rows.append(_row(source, mapper, record))
            faults.append(None)
        except _Unmappable as fault:
            faults.append(fault)
    with_faults = raw.with_columns(
        pl.Series(RULE, [fault and fault.rule for fault in faults], pl.String),
        pl.Series(REASON, [fault and fault.reason for fault in faults], pl.String),
    )
    mappable = with_faults.filter(pl.col(RULE).is_null())
    fields = build_frame(rows, {name: dtype for name, dtype in ARTWORK.items() if name not in (SOURCE, CRAWLED_AT)})
    artworks = with_content_hash(fields.with_columns(mappable[SOURCE], mappable[CRAWLED_AT], mappable[LINE]))
    faulty = with_faults.filter(pl.col(RULE).is_not_null())
    return MappedRows(
        artworks.select(LINE, *ARTWORK),
        quarantine_rows("artworks", faulty, rule=pl.col(RULE), reason=pl.col(REASON)),
    )


def _row(source: Source, mapper: RecordMapper, line: str | None) -> dict[str, Any]:
    record = _record(line)
    try:
        fields = check_types(mapper(record))
        fields[ARTWORK_ID] = named_identifier(fields.get(ARTWORK_ID), ARTWORK_ID)
    except (ValueError, RecursionError) as error:
        raise _Unmappable(MAPPABLE, str(error) or "the record is nested too deeply") from None
    except Exception as error:
        # An error in artrec's own code must not stop the run: the line goes to the quarantine with the error.
        raise _Unmappable(MAPPABLE, f"{type(error).__name__}: {error}") from None
    artwork_id = fields.get(ARTWORK_ID)
    fields[ARTWORK_ID] = None if artwork_id is None else f"{source.name}:{artwork_id}"
    fields[MUSEUM] = fields.get(MUSEUM) or source.museum
    fields[LICENCE] = fields.get(LICENCE) or source.licence
    return fields


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
        raise _Unmappable(IS_RECORD, f"the line holds {type_in_words(value)}, not a record")
    return value
