"""Records of events: reading them from files, sequences or the simulator, and mapping them to EVENT."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import polars as pl

from artrec_core.columns import (
    ARTWORK_ID,
    CRAWLED_AT,
    EVENT,
    EVENT_ID,
    INTERESTS,
    KEY,
    KIND,
    LINE,
    OCCURRED_AT,
    RAW,
    REASON,
    RECORD,
    RULE,
    SIMULATED,
    SOURCE,
    USER_ID,
    Schema,
    conform,
)
from artrec_core.config import EventSource
from artrec_core.data.demo.visitors import Simulation, simulate
from artrec_core.data.files import csv_fault, path_for_day, read_records, read_text_lines, rows_as_json
from artrec_core.data.mapped_rows import IS_JSON, IS_RECORD, MAPPABLE, MappedRows, quarantine_rows
from artrec_core.data.values import boolean, excerpt, identifier, number, statement, text, timestamp
from artrec_core.errors import ArtrecError, ConfigError

# Rows of a chunk.
CHUNK = 50_000

# Turns a value of a record into a value of a column; raises `ValueError` if it cannot.
ValueReader = Callable[[Any], Any]

# The reader of a column is chosen by the column's name, else by its type.
_READ_COLUMN: dict[str, ValueReader] = {
    EVENT_ID: identifier,
    USER_ID: identifier,
    ARTWORK_ID: identifier,
    INTERESTS: statement,
}
_READ_TYPE: dict[type[pl.DataType], ValueReader] = {
    pl.String: text,
    pl.Float64: number,
    pl.Boolean: boolean,
    pl.Datetime: timestamp,
}


def read_raw_events(
    source: EventSource, day: str, artworks: pl.DataFrame | None, simulation: Simulation | None = None
) -> Iterator[pl.DataFrame]:
    """Read the source's records as received, in chunks of RAW rows.

    Parameters
    ----------
    source : source of events
    day : run date
        It replaces `{date}` in the source's path. Simulated events after its end (UTC) are left out. They are sorted by
        time, so that the rows of the next run date begin with the same rows.
    artworks : frame of ARTWORK that simulated visitors look at
    simulation : a simulation of this source, if there is one already

    The column `crawled_at` is null; the caller fills it. Raises `MissingInput` if the file does not exist.
    """
    match source.kind:
        case "file":
            return raw_rows(source.name, read_records(source.name, path_for_day(str(source.path), day)))
        case "sequences":
            return raw_rows(source.name, _sequence_records(source, day))
    events = (simulation or simulate_source(source, artworks)).events
    return raw_rows(source.name, rows_as_json(events.filter(pl.col(OCCURRED_AT) < end_of_day(day))))


def simulate_source(source: EventSource, artworks: pl.DataFrame | None) -> Simulation:
    """Simulate the visitors of a source of kind `simulated` on these artworks (ARTWORK)."""
    if artworks is None:
        raise ArtrecError(f"events {source.name}: simulated visitors need the day's artworks; crawl the sources first")
    return simulate(
        artworks, users=source.users, events=source.events, days=source.days, ends=source.ends, seed=source.seed
    )


def end_of_day(day: str) -> datetime:
    """Midnight at the end of the day (UTC): the first time that no longer belongs to it."""
    start = date.fromisoformat(day)
    return datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=1)


def raw_rows(name: str, records: Iterable[str]) -> Iterator[pl.DataFrame]:
    """The records of the source `name` as chunks of RAW rows, with LINE counted from 1."""
    remaining = iter(records)
    first = 1
    while chunk := list(islice(remaining, CHUNK)):
        yield pl.DataFrame(
            {
                SOURCE: pl.repeat(name, len(chunk), eager=True),
                LINE: pl.int_range(first, first + len(chunk), eager=True),
                RECORD: pl.Series(chunk, dtype=pl.String),
                CRAWLED_AT: pl.repeat(None, len(chunk), dtype=RAW[CRAWLED_AT], eager=True),
            }
        )
        first += len(chunk)


def to_events(source: EventSource, raw: pl.DataFrame) -> MappedRows:
    """Map raw rows (RAW) to events: each row ends in exactly one of `rows` (LINE + EVENT) and `unmapped`.

    The recipe's `fields` may give a column another name in the records. Numbers may be text. Artwork ids get the prefix
    `artwork_source`, event ids the name of the source, so that ids of two sources never collide. An event without an id
    gets one that is a hash of its content. An event is not simulated unless the record says so.

    A row with a value of the wrong type is unmapped, and the reason names the field. Whether a value is plausible is
    decided later, by the gates.
    """
    mapping = map_rows("events", EVENT, source.fields, raw, key=EVENT_ID)
    rows = mapping.rows
    if rows[EVENT_ID].null_count():
        rows = rows.with_columns(pl.col(EVENT_ID).fill_null(_content_ids(rows)))
    artwork_prefix = "" if source.artwork_source is None else f"{source.artwork_source}:"
    rows = rows.with_columns(
        (artwork_prefix + pl.col(ARTWORK_ID)).alias(ARTWORK_ID),
        (f"{source.name}:" + pl.col(EVENT_ID)).alias(EVENT_ID),
        pl.col(SIMULATED).fill_null(False),
    )
    return MappedRows(rows, mapping.unmapped)


def map_rows(table: str, schema: Schema, fields: Mapping[str, str], raw: pl.DataFrame, *, key: str) -> MappedRows:
    """Map raw rows (RAW) to rows of LINE + `schema`.

    Parameters
    ----------
    table : name of the table, for messages and the quarantine
    schema : columns to read
    fields : column -> its name in the records; a column that is not listed has the same name there
    raw : frame of RAW
    key : column whose value is shown as KEY in the quarantine

    A row is unmapped, with the reason, if it is not JSON, not an object, or holds a value of the wrong type.

    Raises
    ------
    ConfigError
        If `fields` names a column that `schema` does not have.
    """
    unknown_columns = sorted(fields.keys() - schema.keys())
    if unknown_columns:
        raise ConfigError(f"{table}: `fields` names {unknown_columns[0]!r}; use one of {', '.join(schema)}")
    readers = [
        (name, fields.get(name, name), _READ_COLUMN.get(name, _READ_TYPE[type(dtype)]))
        for name, dtype in schema.items()
    ]
    columns: list[list[Any]] = [[] for _ in readers]
    faults: list[tuple[str | None, str | None, str | None]] = []
    for record in raw[RECORD]:
        values = _values(record, readers, key)
        if isinstance(values, list):
            faults.append((None, None, None))
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        else:
            faults.append(values)
    with_faults = raw.with_columns(
        pl.Series(name, [fault[position] for fault in faults], dtype=pl.String)
        for position, name in enumerate((KEY, RULE, REASON))
    )
    readable = with_faults.filter(pl.col(RULE).is_null())
    rows = pl.DataFrame([readable[LINE], *map(_column, schema, schema.values(), columns)])
    faulty = with_faults.filter(pl.col(RULE).is_not_null())
    unmapped = quarantine_rows(table, faulty, rule=pl.col(RULE), reason=pl.col(REASON), key=pl.col(KEY))
    return MappedRows(conform(rows, {LINE: RAW[LINE], **schema}), unmapped)


def _column(name: str, dtype: pl.DataType, values: list[Any]) -> pl.Series:
    if isinstance(dtype, pl.Datetime):
        return pl.Series(name, values, dtype=pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.Series(name, values, dtype=dtype)


def _values(
    line: str | None, readers: list[tuple[str, str, ValueReader]], key: str
) -> list[Any] | tuple[str | None, str, str]:
    """A record's values in the order of the readers, or (key, rule, reason) if the record cannot be read.

    `readers` are (column, field of the record, reader).
    """
    try:
        record = json.loads(line or "")
    except (ValueError, RecursionError) as error:
        return None, IS_JSON, f"the line is not JSON: {error}" if line else "the line is empty"
    if not isinstance(record, dict):
        return None, IS_RECORD, f"the line holds {excerpt(record)}, not a record"
    fault = csv_fault(record)
    if fault is not None:
        return _key(record, readers, key), IS_RECORD, fault
    values: list[Any] = []
    for _, field, read_value in readers:
        try:
            values.append(read_value(record.get(field)))
        except ValueError as error:
            problem = "is text that cannot be written as UTF-8" if isinstance(error, UnicodeError) else str(error)
            return _key(record, readers, key), MAPPABLE, f"{field} {problem}"
    return values


def _key(record: dict[str, Any], readers: list[tuple[str, str, ValueReader]], key: str) -> str | None:
    key_field = next(field for column, field, _ in readers if column == key)
    try:
        return identifier(record.get(key_field))
    except ValueError:
        return None


def _content_ids(events: pl.DataFrame) -> pl.Series:
    """A hash of each event's content; its own id and its line do not enter it."""
    contents = rows_as_json(events.drop(EVENT_ID, LINE))
    hashes = [hashlib.blake2b(content.encode(), digest_size=10).hexdigest() for content in contents]
    return pl.Series(hashes, dtype=pl.String)


def _sequence_records(source: EventSource, day: str) -> Iterator[str]:
    """One record for each event of a file of sequences: a user and the user's artworks in each line.

    A sequence has no times: a user's events are one second apart, and the last is in the last second of the day `ends`.
    """
    end = end_of_day(source.ends)
    # Times are counted backwards from the end.
    times: list[str] = []
    for line in read_text_lines(source.name, path_for_day(str(source.path), day)):
        user_id, separator, sequence = line.partition(source.separator)
        artwork_ids = sequence.split()
        if not separator or not artwork_ids:
            yield line
            continue
        while len(times) < len(artwork_ids):
            times.append((end - timedelta(seconds=len(times) + 1)).isoformat())
        head = f'{{"{USER_ID}": {json.dumps(user_id, ensure_ascii=False)}, "{KIND}": {json.dumps(source.event_kind)}'
        for position, artwork_id in enumerate(artwork_ids):
            time = times[len(artwork_ids) - 1 - position]
            artwork = json.dumps(artwork_id, ensure_ascii=False)
            yield f'{head}, "{ARTWORK_ID}": {artwork}, "{OCCURRED_AT}": "{time}"}}'
