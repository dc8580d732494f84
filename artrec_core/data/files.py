"""Reading of the files that a recipe names: JSONL, CSV and Parquet, each row as JSON text."""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any

import fsspec
import polars as pl
import polars.selectors as cs

from artrec_core.errors import MissingInput
from artrec_core.stores import StoreAddress, explain_errors

_PARQUET_ROWS = 50_000
# In characters. A cell may hold a long text, but a quote that is never closed must not make the rest of the file a cell.
csv.field_size_limit(10_000_000)

# The key under which the record of a faulty CSV row describes the fault. No file is expected to have such a column.
MALFORMED = "(malformed)"


def path_for_day(path: str, day: str) -> str:
    """The path with `{date}` replaced by the run date."""
    return path.replace("{date}", day)


def file_digest(name: str, path: str) -> str:
    """The sha256 of a file. Raises `MissingInput`, which names the source, if the file does not exist."""
    digest = hashlib.sha256()
    with closing(open_input(name, path)) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_records(name: str, path: str) -> Iterator[str]:
    """Read every row of a file as JSON text, in the order of the file.

    Parameters
    ----------
    name : name of the source, for messages
    path : path or URL of a Parquet, CSV, TSV or JSONL file; text files may be gzipped

    A line of JSONL is returned unchanged, even if it is not JSON. Bytes that are not UTF-8 become replacement
    characters. A row of CSV becomes an object: column name -> text. If the row is faulty, the object says why (`csv_fault`).

    Raises
    ------
    MissingInput
        If the file does not exist, is cut off or damaged, or is of another kind.
    """
    file_name = path.removesuffix(".gz").lower()
    if file_name.endswith((".jsonl", ".ndjson", ".json")):
        return read_text_lines(name, path)
    if file_name.endswith((".csv", ".tsv")):
        return _csv_records(name, path, "\t" if file_name.endswith(".tsv") else ",")
    if file_name.endswith((".parquet", ".pq")):
        return _parquet_records(name, path)
    raise MissingInput(
        f"{name}: {path} is of an unknown kind; give it a name that ends in .parquet, .csv, .tsv or .jsonl"
    )


def read_text_lines(name: str, path: str, *, keep_ends: bool = False) -> Iterator[str]:
    """Read the lines of a text file, which may be gzipped; errors are as in `read_records`.

    `keep_ends` keeps the line ends.
    """
    for number, line in enumerate(read_byte_lines(name, path)):
        text = line.decode("utf-8", errors="replace")
        text = text.removeprefix("\ufeff") if number == 0 else text
        yield text if keep_ends else text.rstrip("\r\n")


def read_byte_lines(name: str, path: str) -> Iterator[bytes]:
    """Read the lines of a file, which may be gzipped, as bytes with their line ends; errors are as in `read_records`."""
    with closing(open_input(name, path)) as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield from gzip.GzipFile(fileobj=file) if is_gzip else file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise MissingInput(f"{name}: {path} is cut off or damaged ({error}); fetch it again") from error


def rows_as_json(frame: pl.DataFrame) -> pl.Series:
    """Every row as JSON text. Times become ISO text, bytes hexadecimal text, NaN null and decimals text."""
    encodable = frame.with_columns(
        cs.binary().bin.encode("hex"),
        cs.categorical().cast(pl.String),
        cs.enum().cast(pl.String),
        # A float cannot hold every digit of an id.
        cs.decimal().cast(pl.String),
    )
    return encodable.select(pl.struct(pl.all()).struct.json_encode()).to_series()


def open_input(name: str, path: str) -> IO[bytes]:
    """Open the file that a source names, in a folder or at a URL.

    Raises `MissingInput`, which names the source, where it is not there.
    """
    with explain_errors(StoreAddress(f"{name}: the file", path, "its `path`")):
        try:
            file: IO[bytes] = fsspec.open(path, "rb").open()
        except (FileNotFoundError, IsADirectoryError):
            raise MissingInput(
                f"{name}: there is no file {path}; put it there, or correct `path` in the recipe"
            ) from None
        return file


def csv_fault(record: dict[str, Any]) -> str | None:
    """What is wrong with the CSV row of a record, or None. The cells of a faulty row may be under the wrong names."""
    fault = record.get(MALFORMED)
    return str(fault["why"]) if isinstance(fault, dict) and "why" in fault else None


def _csv_records(name: str, path: str, delimiter: str) -> Iterator[str]:
    rows = _csv_rows(read_text_lines(name, path, keep_ends=True), delimiter)
    header = next(rows, None)
    if header is None:
        return
    if header.fault is not None:
        raise MissingInput(f"{name}: the header of {path} {header.fault}; correct its first line")
    column_names = [cell.strip() for cell in header.cells]
    for row in rows:
        record: dict[str, Any] = dict(zip(column_names, row.cells, strict=False))
        if row.fault is not None:
            record[MALFORMED] = {
                "why": f"line {row.line} of the file {row.fault}",
                "names": column_names,
                "cells": row.cells,
            }
        if row.cells:
            yield json.dumps(record, ensure_ascii=False)


@dataclass(frozen=True)
class _CsvRow:
    """A CSV row: the line of the file on which it begins, its cells, and what is wrong with it (None: nothing)."""

    line: int
    cells: list[str]
    fault: str | None = None


def _csv_rows(text: Iterator[str], delimiter: str) -> Iterator[_CsvRow]:
    """The rows of a CSV file, the header first.

    A faulty row covers its first line only, and the lines after it are read again. Otherwise a quote that is never
    closed would take all later lines into its cell.
    """
    # `pending` lines are read again before the file goes on; `row_lines` are the lines of the current row.
    pending, row_lines = deque[str](), list[str]()

    def next_lines() -> Iterator[str]:
        while (line := pending.popleft() if pending else next(text, None)) is not None:
            row_lines.append(line)
            yield line

    rows = csv.reader(next_lines(), delimiter=delimiter, strict=True)
    line_number, width = 1, None
    while True:
        row_lines.clear()
        try:
            cells = next(rows)
            fault = None if width is None else _find_fault(cells, row_lines, width, delimiter)
        except StopIteration:
            return
        except csv.Error as error:
            cells, fault = [], _reword_error(str(error))
            rows = csv.reader(next_lines(), delimiter=delimiter, strict=True)
        if fault is not None:
            pending.extendleft(reversed(row_lines[1:]))
            del row_lines[1:]
            cells = _cells(row_lines[0], delimiter)
        yield _CsvRow(line_number, cells, fault)
        line_number, width = line_number + len(row_lines), len(cells) if width is None else width


def _reword_error(error: str) -> str:
    """The message of Python's CSV reader in the words of the person who wrote the file."""
    if error == "unexpected end of data":
        return "opens a quote that is never closed"
    if "expected after" in error:
        return "has a quote inside a quoted cell that is not doubled, or a quote that is never closed"
    return f"cannot be read: {error}"


def _find_fault(cells: list[str], row_lines: list[str], width: int, delimiter: str) -> str | None:
    """What is wrong with a row that was read from `row_lines` of a file with `width` columns, or None."""
    if not cells:
        return None
    later_lines = [_cells(line, delimiter) for line in row_lines[1:]]
    # A closing quote comes after its text. Here it is at the start of a cell, where another row opens a quote.
    closed_by_next = bool(later_lines) and any(cell.startswith('"') for cell in later_lines[-1])
    if closed_by_next and all(len(row) == width for row in later_lines):
        return "opens a quote that is closed by a quote of another row"
    return None if len(cells) == width else f"has {len(cells)} cells where the header names {width}"


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line, with quotes read as ordinary characters."""
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])


def _parquet_records(name: str, path: str) -> Iterator[str]:
    with closing(open_input(name, path)) as file:
        try:
            frame = pl.read_parquet(io.BytesIO(file.read()), hive_partitioning=False)
        except pl.exceptions.PolarsError as error:
            raise MissingInput(f"{name}: {path} cannot be read as Parquet ({error}); fetch it again") from error
    for start in range(0, frame.height, _PARQUET_ROWS):
        yield from rows_as_json(frame.slice(start, _PARQUET_ROWS))
