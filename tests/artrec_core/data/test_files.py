"""Rows of CSV: a faulty row affects no other row, and its message names its line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from artrec_core.data.files import csv_fault, read_byte_lines, read_records, read_text_lines
from artrec_core.errors import MissingInput

HEADER = "user_id,artwork_id,kind,at,text"


def received(folder: Path, *lines: str, name: str = "events.csv") -> list[dict[str, Any]]:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [json.loads(record) for record in read_records("app", str(path))]


def good(count: int) -> list[str]:
    return [f"u{number},{number},like,2026-03-01,fine" for number in range(count)]


def users(rows: list[dict[str, Any]]) -> list[str]:
    return [row["user_id"] for row in rows if csv_fault(row) is None]


def faults(rows: list[dict[str, Any]]) -> list[str]:
    return [fault for row in rows if (fault := csv_fault(row)) is not None]


def test_a_quote_that_is_never_closed_takes_no_other_line(tmp_path: Path) -> None:
    rows = received(tmp_path, HEADER, 'bad,5,like,2026-03-01,"oops', *good(29))
    assert users(rows) == [f"u{number}" for number in range(29)]
    assert faults(rows) == ["line 2 of the file opens a quote that is never closed"]


def test_a_quote_that_a_later_row_would_close_takes_no_other_line(tmp_path: Path) -> None:
    rows = received(
        tmp_path, HEADER, 'bad,5,like,2026-03-01,"oops', *good(3), 'fine,5,like,2026-03-01,"x, y"', *good(2)
    )
    assert users(rows) == ["u0", "u1", "u2", "fine", "u0", "u1"]
    assert len(faults(rows)) == 1


def test_a_quote_that_a_faulty_row_closes_takes_no_other_line(tmp_path: Path) -> None:
    rows = received(tmp_path, HEADER, 'bad,5,like,2026-03-01,"oops', *good(2), 'worse,5,like,2026-03-01,"', *good(2))
    assert users(rows) == ["u0", "u1", "u0", "u1"]
    assert [fault.split(" opens ")[0] for fault in faults(rows)] == ["line 2 of the file", "line 5 of the file"]


def test_text_of_several_lines_stays_whole(tmp_path: Path) -> None:
    rows = received(tmp_path, HEADER, 'ann,5,like,2026-03-01,"two, or\nmore, or, many, more\nlines ""here"""', *good(1))
    assert [row["text"] for row in rows] == ['two, or\nmore, or, many, more\nlines "here"', "fine"]


def test_cells_too_few_or_too_many_are_reported_and_the_cells_kept(tmp_path: Path) -> None:
    rows = received(tmp_path, HEADER, "ann,5", *good(1), "", "bob,5,like,2026-03-01,well, well")
    assert users(rows) == ["u0"]
    assert faults(rows) == [
        "line 2 of the file has 2 cells where the header names 5",
        "line 5 of the file has 6 cells where the header names 5",
    ]
    assert rows[2]["(malformed)"]["cells"][-2:] == ["well", " well"]


def test_a_quote_in_the_middle_of_a_cell_is_a_mark_of_inches(tmp_path: Path) -> None:
    rows = received(tmp_path, "user_id\ttext", 'ann\t12" x 10"', name="events.tsv")
    assert rows == [{"user_id": "ann", "text": '12" x 10"'}]


def test_a_header_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"app: the header of .*events\.csv opens a quote"):
        received(tmp_path, 'user_id,"text', *good(3))


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes(b"")
    assert list(read_records("app", str(tmp_path / "events.csv"))) == []


@pytest.mark.parametrize("is_gzip", [False, True])
def test_byte_lines_keep_their_ends_and_text_lines_lose_the_mark_of_their_encoding(
    tmp_path: Path, is_gzip: bool
) -> None:
    lines = [b"\xef\xbb\xbffirst\r\n", b"\n", b"\xff last"]
    path = tmp_path / "lines"
    path.write_bytes(gzip.compress(b"".join(lines)) if is_gzip else b"".join(lines))
    assert list(read_byte_lines("app", str(path))) == lines
    assert list(read_text_lines("app", str(path))) == ["first", "", "\ufffd last"]
    assert list(read_text_lines("app", str(path), keep_ends=True)) == ["first\r\n", "\n", "\ufffd last"]


def test_a_damaged_file_is_an_error_that_names_the_source(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(b"null\n" * 1000)[:20])
    for read_file in (read_byte_lines, read_text_lines, read_records):
        with pytest.raises(MissingInput, match=r"^app: .*cut.jsonl.gz is cut off or damaged .*; fetch it again"):
            list(read_file("app", str(path)))
