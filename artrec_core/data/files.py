"""Rows of the files that a recipe names, each as the JSON text of what was received."""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any

import fsspec
import polars as pl
import polars.selectors as cs

from artrec_core.errors import MissingInput
from artrec_core.stores import Place, advised

_PARQUET_ROWS = 50_000
# A cell of a CSV file may be as long as a page of text, not as the rest of a file whose quote never closes.
csv.field_size_limit(10_000_000)

# The key under which a row of CSV says that it cannot be trusted; no header's name is like it.
MALFORMED = "(malformed)"


def path_on(path: str, day: str) -> str:
    """The path of a night's file: `{date}` in it is replaced by the day."""
    return path.replace("{date}", day)


def file_digest(name: str, path: str) -> str:
    """The sha256 of a file. Raises `MissingInput`, which names the source, where it is not there."""
    digest = hashlib.sha256()
    with closing(opened(name, path)) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def records(name: str, path: str) -> Iterator[str]:
    """Every row of a Parquet, CSV or JSONL file (the latter two may be gzipped) as JSON text, in the file's order.

    A line of JSONL is given as it is, even one that is no JSON; bytes that are no UTF-8 become replacement characters.
    A row of CSV is an object of texts by the header's names; one that cannot be trusted says why (`malformed`). Raises `MissingInput`, which names the source, where the file is not there, cut off or damaged, or of another
    kind.
    """
    plain = path.removesuffix(".gz").lower()
    if plain.endswith((".jsonl", ".ndjson", ".json")):
        return lines(name, path)
    if plain.endswith((".csv", ".tsv")):
        return _csv_records(name, path, "\t" if plain.endswith(".tsv") else ",")
    if plain.endswith((".parquet", ".pq")):
        return _parquet_records(name, path)
    raise MissingInput(
        f"{name}: {path} is of no kind we read; give it a name that ends in .parquet, .csv, .tsv or .jsonl"
    )


def lines(name: str, path: str, *, keep_ends: bool = False) -> Iterator[str]:
    """The lines of a text file, unpacked where it is gzipped; errors as in `records`."""
    with closing(opened(name, path)) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        raw: Iterable[bytes] = gzip.GzipFile(fileobj=file) if packed else file
        try:
            for number, line in enumerate(raw):
                text = line.decode("utf-8", errors="replace")
                text = text.removeprefix("\ufeff") if number == 0 else text
                yield text if keep_ends else text.rstrip("\r\n")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise MissingInput(f"{name}: {path} is cut off or damaged ({error}); fetch it again") from error


def as_records(frame: pl.DataFrame) -> pl.Series:
    """Every row as JSON text; times as ISO text, what JSON has no word for (bytes, NaN) as hex and null."""
    plain = frame.with_columns(
        cs.binary().bin.encode("hex"),
        cs.categorical().cast(pl.String),
        cs.enum().cast(pl.String),
        # As text: a float could not hold every digit of an id.
        cs.decimal().cast(pl.String),
    )
    return plain.select(pl.struct(pl.all()).struct.json_encode()).to_series()


def opened(name: str, path: str) -> IO[bytes]:
    """The file that a source names, in a folder or at a URL. Raises `MissingInput`, which names the source, where it is not there."""
    with advised(Place(f"{name}: the file", path, "its `path`")):
        try:
            file: IO[bytes] = fsspec.open(path, "rb").open()
        except (FileNotFoundError, IsADirectoryError):
            raise MissingInput(
                f"{name}: there is no file {path}; put it there, or correct `path` in the recipe"
            ) from None
        return file


def malformed(record: dict[str, Any]) -> str | None:
    """Why a row of CSV cannot be trusted, or None: its cells may stand under the wrong names."""
    fault = record.get(MALFORMED)
    return str(fault["why"]) if isinstance(fault, dict) and "why" in fault else None


def _csv_records(name: str, path: str, delimiter: str) -> Iterator[str]:
    rows = _csv_rows(lines(name, path, keep_ends=True), delimiter)
    first = next(rows, None)
    if first is None:
        return
    if first.fault is not None:
        raise MissingInput(f"{name}: the header of {path} {first.fault}; correct its first line")
    header = [cell.strip() for cell in first.cells]
    for row in rows:
        record: dict[str, Any] = dict(zip(header, row.cells, strict=False))
        if row.fault is not None:
            record[MALFORMED] = {
                "why": f"line {row.line} of the file {row.fault}",
                "names": header,
                "cells": row.cells,
            }
        if row.cells:
            yield json.dumps(record, ensure_ascii=False)


@dataclass(frozen=True)
class _CsvRow:
    """A row of CSV: the line of the file it begins on, its cells, and why it cannot be trusted, if so."""

    line: int
    cells: list[str]
    fault: str | None = None


def _csv_rows(text: Iterator[str], delimiter: str) -> Iterator[_CsvRow]:
    """The rows of a CSV file, the header first. Of a row that cannot be trusted only its first line is given up.

    The lines behind it are read anew: a quote that is never closed would take them all into its cell.
    """
    ahead, taken = deque[str](), list[str]()

    def take_lines() -> Iterator[str]:
        while (line := ahead.popleft() if ahead else next(text, None)) is not None:
            taken.append(line)
            yield line

    rows = csv.reader(take_lines(), delimiter=delimiter, strict=True)
    line, width = 1, None
    while True:
        taken.clear()
        try:
            cells = next(rows)
            fault = None if width is None else _fault(cells, taken, width, delimiter)
        except StopIteration:
            return
        except csv.Error as error:
            cells, fault = [], _in_words(str(error))
            rows = csv.reader(take_lines(), delimiter=delimiter, strict=True)
        if fault is not None:
            ahead.extendleft(reversed(taken[1:]))
            del taken[1:]
            cells = _cells(taken[0], delimiter)
        yield _CsvRow(line, cells, fault)
        line, width = line + len(taken), len(cells) if width is None else width


def _in_words(error: str) -> str:
    """What Python's reader of CSV says of a line, for the person who wrote it."""
    if error == "unexpected end of data":
        return "opens a quote that is never closed"
    if "expected after" in error:
        return "has a quote inside a quoted cell that is not doubled, or one that is never closed"
    return f"cannot be read: {error}"


def _fault(cells: list[str], taken: list[str], width: int, delimiter: str) -> str | None:
    """Why a row cannot be trusted that was read from the lines `taken` of a file of `width` columns, or None."""
    if not cells:
        return None
    behind = [_cells(line, delimiter) for line in taken[1:]]
    # What closes the quote of a text stands behind the text; here it stands where the next row opens one.
    closed_by_next = bool(behind) and any(cell.startswith('"') for cell in behind[-1])
    if closed_by_next and all(len(row) == width for row in behind):
        return "opens a quote that is closed by a quote of another row"
    return None if len(cells) == width else f"has {len(cells)} cells where the header names {width}"


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line, whatever its quotes are."""
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])


def _parquet_records(name: str, path: str) -> Iterator[str]:
    with closing(opened(name, path)) as file:
        try:
            frame = pl.read_parquet(io.BytesIO(file.read()), hive_partitioning=False)
        except pl.exceptions.PolarsError as error:
            raise MissingInput(f"{name}: {path} cannot be read as Parquet ({error}); fetch it again") from error
    for start in range(0, frame.height, _PARQUET_ROWS):
        yield from as_records(frame.slice(start, _PARQUET_ROWS))
