"""People's events in: raw records from files, sequences or the simulator, and their mapping to EVENT."""

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
from artrec_core.data.files import as_records, lines, malformed, path_on, records
from artrec_core.data.mapped import IS_JSON, IS_RECORD, MAPPABLE, Mapped, quarantined
from artrec_core.data.values import identifier, moment, number, shown, statement, text, truth
from artrec_core.errors import ArtrecError, ConfigError

CHUNK = 50_000

Reader = Callable[[Any], Any]

# How a column is read: by its name, else by its type.
_READ_COLUMN: dict[str, Reader] = {
    EVENT_ID: identifier,
    USER_ID: identifier,
    ARTWORK_ID: identifier,
    INTERESTS: statement,
}
_READ_TYPE: dict[type[pl.DataType], Reader] = {
    pl.String: text,
    pl.Float64: number,
    pl.Boolean: truth,
    pl.Datetime: moment,
}


def read_raw_events(
    source: EventSource, day: str, artworks: pl.DataFrame | None, simulation: Simulation | None = None
) -> Iterator[pl.DataFrame]:
    """The source's records as received, in chunks of RAW rows; `crawled_at` is left to the caller.

    `artworks` (ARTWORK) is what simulated visitors look at; of their events, those before the end of the day (UTC) are
    given, in order of time, so that the next day's begin with the same rows. A `simulation` made before is not made
    again. Raises `MissingInput` where a file is not there.
    """
    match source.kind:
        case "file":
            return raw_rows(source.name, records(source.name, path_on(str(source.path), day)))
        case "sequences":
            return raw_rows(source.name, _sequence_records(source, day))
    events = (simulation or simulated(source, artworks)).events
    return raw_rows(source.name, as_records(events.filter(pl.col(OCCURRED_AT) < end_of(day))))


def simulated(source: EventSource, artworks: pl.DataFrame | None) -> Simulation:
    """The visitors of a source of kind `simulated` on these artworks (ARTWORK)."""
    if artworks is None:
        raise ArtrecError(f"events {source.name}: simulated visitors need the day's artworks; crawl the sources first")
    return simulate(
        artworks, people=source.people, events=source.events, days=source.days, ends=source.ends, seed=source.seed
    )


def end_of(day: str) -> datetime:
    """The first moment after the day (UTC)."""
    first = date.fromisoformat(day)
    return datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(days=1)


def raw_rows(name: str, received: Iterable[str]) -> Iterator[pl.DataFrame]:
    """Records as RAW rows in chunks, numbered from 1."""
    coming = iter(received)
    first = 1
    while chunk := list(islice(coming, CHUNK)):
        yield pl.DataFrame(
            {
                SOURCE: pl.repeat(name, len(chunk), eager=True),
                LINE: pl.int_range(first, first + len(chunk), eager=True),
                RECORD: pl.Series(chunk, dtype=pl.String),
                CRAWLED_AT: pl.repeat(None, len(chunk), dtype=RAW[CRAWLED_AT], eager=True),
            }
        )
        first += len(chunk)


def to_events(source: EventSource, raw: pl.DataFrame) -> Mapped:
    """Raw rows (RAW) as events: each ends in exactly one of `rows` (LINE + EVENT) and `unmapped`.

    A column may come as another name (`fields`), a number as text. Artwork ids get the prefix of `artwork_source`,
    event ids that of the source, so that the ids of two sources never meet; an event without an id gets one made of
    its content. An event that does not say so is not simulated. A value of the wrong type puts the row aside and says
    which field it was; whether a value makes sense is for the gates to say.
    """
    mapped = mapped_rows("events", EVENT, source.fields, raw, key=EVENT_ID)
    rows = mapped.rows
    if rows[EVENT_ID].null_count():
        rows = rows.with_columns(pl.col(EVENT_ID).fill_null(_content_ids(rows)))
    artworks = "" if source.artwork_source is None else f"{source.artwork_source}:"
    rows = rows.with_columns(
        (artworks + pl.col(ARTWORK_ID)).alias(ARTWORK_ID),
        (f"{source.name}:" + pl.col(EVENT_ID)).alias(EVENT_ID),
        pl.col(SIMULATED).fill_null(False),
    )
    return Mapped(rows, mapped.unmapped)


def mapped_rows(table: str, schema: Schema, fields: Mapping[str, str], raw: pl.DataFrame, *, key: str) -> Mapped:
    """Raw rows (RAW) as rows (LINE + `schema`), each column read under its own name or the one in `fields`.

    A row that is no JSON, no object, or holds a value of another type than its column is put aside with the reason.
    Raises `ConfigError` where `fields` names a column that there is not.
    """
    unknown = sorted(fields.keys() - schema.keys())
    if unknown:
        raise ConfigError(f"{table}: `fields` names {unknown[0]!r}, which is none of {', '.join(schema)}")
    readers = [
        (name, fields.get(name, name), _READ_COLUMN.get(name, _READ_TYPE[type(dtype)]))
        for name, dtype in schema.items()
    ]
    columns: list[list[Any]] = [[] for _ in readers]
    refused: list[tuple[str | None, str | None, str | None]] = []
    for record in raw[RECORD]:
        found = _values(record, readers, key)
        if isinstance(found, list):
            refused.append((None, None, None))
            for column, value in zip(columns, found, strict=True):
                column.append(value)
        else:
            refused.append(found)
    lines_of = raw.with_columns(
        pl.Series(name, [one[at] for one in refused], dtype=pl.String) for at, name in enumerate((KEY, RULE, REASON))
    )
    kept = lines_of.filter(pl.col(RULE).is_null())
    rows = pl.DataFrame([kept[LINE], *map(_column, schema, schema.values(), columns)])
    out = lines_of.filter(pl.col(RULE).is_not_null())
    aside = quarantined(table, out, rule=pl.col(RULE), reason=pl.col(REASON), key=pl.col(KEY))
    return Mapped(conform(rows, {LINE: RAW[LINE], **schema}), aside)


def _column(name: str, dtype: pl.DataType, values: list[Any]) -> pl.Series:
    if isinstance(dtype, pl.Datetime):
        return pl.Series(name, values, dtype=pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.Series(name, values, dtype=dtype)


def _values(
    record: str | None, readers: list[tuple[str, str, Reader]], key: str
) -> list[Any] | tuple[str | None, str, str]:
    """One record's values in the readers' order, or (key, rule, reason) why it cannot be read."""
    try:
        found = json.loads(record or "")
    except (ValueError, RecursionError) as error:
        return None, IS_JSON, f"the line is not JSON: {error}" if record else "the line is empty"
    if not isinstance(found, dict):
        return None, IS_RECORD, f"the line holds {shown(found)}, not a record"
    fault = malformed(found)
    if fault is not None:
        return _key(found, readers, key), IS_RECORD, fault
    values: list[Any] = []
    for name, theirs, read in readers:
        try:
            values.append(read(found.get(theirs)))
        except ValueError as error:
            what = "is text that cannot be written" if isinstance(error, UnicodeError) else str(error)
            return _key(found, readers, key), MAPPABLE, f"{name if name == theirs else theirs} {what}"
    return values


def _key(found: dict[str, Any], readers: list[tuple[str, str, Reader]], key: str) -> str | None:
    theirs = next(theirs for name, theirs, _ in readers if name == key)
    try:
        return identifier(found.get(theirs))
    except ValueError:
        return None


def _content_ids(events: pl.DataFrame) -> pl.Series:
    """A stable id of each event's content, whatever id it has and wherever it stood."""
    content = as_records(events.drop(EVENT_ID, LINE))
    return pl.Series([hashlib.blake2b(one.encode(), digest_size=10).hexdigest() for one in content], dtype=pl.String)


def _sequence_records(source: EventSource, day: str) -> Iterator[str]:
    """One record an event; a person's works are a second apart, the last in the last second of the day `ends`."""
    ends = end_of(source.ends)
    times: list[str] = []
    for line in lines(source.name, path_on(str(source.path), day)):
        person, separator, works_text = line.partition(source.separator)
        works = works_text.split()
        if not separator or not works:
            yield line
            continue
        while len(times) < len(works):
            times.append((ends - timedelta(seconds=len(times) + 1)).isoformat())
        head = f'{{"{USER_ID}": {json.dumps(person, ensure_ascii=False)}, "{KIND}": {json.dumps(source.event_kind)}'
        for at, work in enumerate(works):
            occurred = times[len(works) - 1 - at]
            artwork = json.dumps(work, ensure_ascii=False)
            yield f'{head}, "{ARTWORK_ID}": {artwork}, "{OCCURRED_AT}": "{occurred}"}}'
