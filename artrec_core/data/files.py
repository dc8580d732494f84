"""Rows of the files that a recipe names, each as the JSON text of what was received."""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import IO

import fsspec
import polars as pl
import polars.selectors as cs

from artrec_core.errors import MissingInput

_PARQUET_ROWS = 50_000
# A cell of a CSV file may be as long as a page of text, not as the rest of a file whose quote never closes.
csv.field_size_limit(10_000_000)


def path_on(path: str, day: str) -> str:
    """The path of a night's file: `{date}` in it is replaced by the day."""
    return path.replace("{date}", day)


def file_digest(name: str, path: str) -> str:
    """The sha256 of a file. Raises `MissingInput`, which names the source, where it is not there."""
    digest = hashlib.sha256()
    with closing(_opened(name, path)) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def records(name: str, path: str) -> Iterator[str]:
    """Every row of a Parquet, CSV or JSONL file (the latter two may be gzipped) as JSON text, in the file's order.

    A line of JSONL is given as it is, even one that is no JSON; bytes that are no UTF-8 become replacement characters.
    A row of CSV is an object of texts by the header's names, or a list of its cells where they are more or fewer than
    those. Raises `MissingInput`, which names the source, where the file is not there, cut off or damaged, or of another
    kind.
    """
    plain = path.removesuffix(".gz").lower()
    if plain.endswith((".jsonl", ".ndjson", ".json")):
        return lines(name, path)
    if plain.endswith((".csv", ".tsv")):
        return _csv_records(lines(name, path, keep_ends=True), "\t" if plain.endswith(".tsv") else ",")
    if plain.endswith((".parquet", ".pq")):
        return _parquet_records(name, path)
    raise MissingInput(
        f"{name}: {path} is of no kind we read; give it a name that ends in .parquet, .csv, .tsv or .jsonl"
    )


def lines(name: str, path: str, *, keep_ends: bool = False) -> Iterator[str]:
    """The lines of a text file, unpacked where it is gzipped; errors as in `records`."""
    with closing(_opened(name, path)) as file:
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
        cs.decimal().cast(pl.Float64),
    )
    return plain.select(pl.struct(pl.all()).struct.json_encode()).to_series()


def _opened(name: str, path: str) -> IO[bytes]:
    try:
        file: IO[bytes] = fsspec.open(path, "rb").open()
    except (FileNotFoundError, IsADirectoryError):
        raise MissingInput(f"{name}: there is no file {path}; put it there, or correct `path` in the recipe") from None
    return file


def _csv_records(text: Iterator[str], delimiter: str) -> Iterator[str]:
    rows = csv.reader((line.replace("\0", "\ufffd") for line in text), delimiter=delimiter)
    header: list[str] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"not CSV: {error}"
            continue
        if header is None:
            header = [cell.strip() for cell in row]
        elif row:
            whole = len(row) == len(header)
            yield json.dumps(dict(zip(header, row, strict=True)) if whole else row, ensure_ascii=False)


def _parquet_records(name: str, path: str) -> Iterator[str]:
    with closing(_opened(name, path)) as file:
        try:
            frame = pl.read_parquet(io.BytesIO(file.read()), hive_partitioning=False)
        except pl.exceptions.PolarsError as error:
            raise MissingInput(f"{name}: {path} cannot be read as Parquet ({error}); fetch it again") from error
    for start in range(0, frame.height, _PARQUET_ROWS):
        yield from as_records(frame.slice(start, _PARQUET_ROWS))
