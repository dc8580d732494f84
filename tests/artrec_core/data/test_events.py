import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.columns import (
    ARTWORK_ID,
    DWELL_SECONDS,
    EVENT,
    EVENT_ID,
    KEY,
    KIND,
    LINE,
    OCCURRED_AT,
    QUARANTINE,
    REASON,
    RECORD,
    RULE,
    SIMULATED,
    USER_ID,
    VALUE,
)
from artrec_core.config import EventSource
from artrec_core.data.events import raw_rows, read_raw_events, to_events
from artrec_core.errors import ArtrecError, ConfigError, MissingInput

CLICKS = EventSource(name="clicks", kind="file", path="clicks.jsonl")
LIKE = {"event_id": "7", "user_id": "ann", "artwork_id": "a", "kind": "like", "occurred_at": "2026-03-01T10:00:00Z"}


def raw(*records: str) -> pl.DataFrame:
    return pl.concat(raw_rows("clicks", records))


def map_one(record: dict[str, Any], source: EventSource = CLICKS) -> dict[str, Any]:
    """The one row of a record that can be mapped."""
    result = to_events(source, raw(json.dumps(record)))
    assert result.unmapped.is_empty(), result.unmapped[REASON].to_list()
    return result.rows.to_dicts()[0]


def fault_of(record: object) -> tuple[str, str]:
    """The rule and the reason of a record that cannot be mapped."""
    result = to_events(CLICKS, raw(record if isinstance(record, str) else json.dumps(record)))
    assert result.rows.is_empty()
    return result.unmapped[RULE].item(), result.unmapped[REASON].item()


def received_records(source: EventSource, day: str = "2026-03-02") -> list[str]:
    return [record for chunk in read_raw_events(source, day, None) for record in chunk[RECORD]]


def test_an_event_is_mapped() -> None:
    row = map_one(LIKE)
    assert row[EVENT_ID] == "clicks:7"
    assert (row[USER_ID], row[ARTWORK_ID], row[KIND]) == ("ann", "a", "like")
    assert row[OCCURRED_AT] == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert row[SIMULATED] is False
    assert row[VALUE] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01 10:00:00.25", datetime(2026, 3, 1, 10, 0, 0, 250000, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        (978300760, datetime(2000, 12, 31, 22, 12, 40, tzinfo=UTC)),
        ("978300760", datetime(2000, 12, 31, 22, 12, 40, tzinfo=UTC)),
        (None, None),
        ("", None),
    ],
)
def test_times_come_in_many_forms(value: object, expected: datetime | None) -> None:
    assert map_one(LIKE | {"occurred_at": value})[OCCURRED_AT] == expected


def test_numbers_may_come_as_text() -> None:
    row = map_one(LIKE | {"value": "4.5", "dwell_seconds": "", "simulated": "true", "user_id": 12})
    assert (row[VALUE], row[DWELL_SECONDS], row[SIMULATED], row[USER_ID]) == (4.5, None, True, "12")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("value", "abc", 'value is "abc", not a number'),
        ("value", True, "value is true, not a number"),
        ("value", float("nan"), "value is NaN, not a number"),
        ("value", 10**400, "value is 1000"),
        ("dwell_seconds", [3], "dwell_seconds is [3], not a number"),
        ("occurred_at", "yesterday", 'occurred_at is "yesterday", not a date or time'),
        ("occurred_at", "2026-02-30", 'occurred_at is "2026-02-30", not a date or time'),
        ("occurred_at", 1e30, "occurred_at is 1e+30, not a date or time"),
        ("user_id", {"id": 1}, 'user_id is {"id": 1}, not an id'),
        ("user_id", 1.5, "user_id is 1.5, not an id"),
        ("user_id", "u\0", 'user_id is "u\\u0000", not an id'),
        ("artwork_id", "a" * 5000, "artwork_id is an id of 5,000 characters"),
        ("text", "no\0thing", 'text is "no\\u0000thing": no database stores a NUL'),
        ("simulated", "perhaps", 'simulated is "perhaps", not true or false'),
        ("text", "\ud800", "text is text that cannot be written as UTF-8"),
    ],
)
def test_a_value_of_the_wrong_type_names_its_field(field: str, value: object, reason: str) -> None:
    rule, message = fault_of(LIKE | {field: value})
    assert rule == "mappable"
    assert message.startswith(reason)


@pytest.mark.parametrize("record", ["", "{", "not json", "[" * 100_000])
def test_a_line_that_is_no_json_is_unmapped(record: str) -> None:
    assert fault_of(record)[0] == "is_json"


@pytest.mark.parametrize("record", ["null", "3", '"text"', "[1, 2]", "true"])
def test_a_line_that_is_no_record_is_unmapped(record: str) -> None:
    assert fault_of(record)[0] == "is_record"


def test_a_unmapped_row_keeps_its_line_key_and_record() -> None:
    broken = json.dumps(LIKE | {"value": "abc"})
    result = to_events(CLICKS, raw(json.dumps(LIKE), broken))
    assert result.rows[LINE].to_list() == [1]
    assert result.unmapped.schema == pl.Schema(QUARANTINE)
    assert result.unmapped.select(LINE, KEY, RECORD).rows() == [(2, "7", broken)]


def test_an_event_without_an_id_gets_one_of_its_content() -> None:
    bare = {name: value for name, value in LIKE.items() if name != "event_id"}
    first, second = map_one(bare)[EVENT_ID], map_one(bare | {"artwork_id": "b"})[EVENT_ID]
    assert first == map_one(dict(reversed(bare.items())))[EVENT_ID]
    assert first != second
    assert len(first) == len("clicks:") + 20


def test_columns_may_have_other_names_and_artworks_a_prefix() -> None:
    source = CLICKS.model_copy(update={"fields": {"user_id": "who", "value": "stars"}, "artwork_source": "tate"})
    row = map_one({"who": "bob", "stars": 3, "artwork_id": 9922, "kind": "rating"}, source)
    assert (row[USER_ID], row[VALUE], row[ARTWORK_ID]) == ("bob", 3.0, "tate:9922")


def test_what_the_gate_reads_is_what_is_kept() -> None:
    row = map_one(LIKE | {"kind": "like ", "user_id": " u1 ", "artwork_id": 55.0, "place": " "})
    assert (row[KIND], row[USER_ID], row[ARTWORK_ID], row["place"]) == ("like", "u1", "55", None)


def test_whole_decimals_and_floats_of_parquet_are_ids(tmp_path: Path) -> None:
    path = tmp_path / "clicks.parquet"
    ids = [12345678901234567890, None]
    pl.DataFrame(
        {
            "user_id": pl.Series([777.0, None]),
            "artwork_id": pl.Series(ids, dtype=pl.Decimal(38, 2)),
            "value": pl.Series([4, 5], dtype=pl.Decimal(10, 1)),
        }
    ).write_parquet(path)
    source = EventSource(name="clicks", kind="file", path=str(path))
    [chunk] = read_raw_events(source, "2026-03-02", None)
    result = to_events(source, chunk).rows
    assert result.select(USER_ID, ARTWORK_ID, VALUE).rows() == [("777", "12345678901234567890", 4.0), (None, None, 5.0)]


def test_a_field_that_is_no_column_is_an_error_that_names_it() -> None:
    source = CLICKS.model_copy(update={"fields": {"artwrok_id": "item"}})
    with pytest.raises(ConfigError, match="artwrok_id"):
        to_events(source, raw("{}"))


def test_no_rows_are_no_rows() -> None:
    result = to_events(CLICKS, raw("{}").clear())
    assert result.rows.schema == pl.Schema({LINE: pl.Int64(), **EVENT})
    assert result.unmapped.is_empty()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["2026-03-01", "4", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from([*EVENT]), values, max_size=12) | values, max_size=5))
def test_no_value_crashes_and_every_line_ends_in_one_place(records: list[object]) -> None:
    lines = [json.dumps(record, ensure_ascii=True) for record in records]
    if not lines:
        return
    result = to_events(CLICKS, raw(*lines))
    ends = sorted(result.rows[LINE].to_list() + result.unmapped[LINE].to_list())
    assert ends == list(range(1, len(lines) + 1))


@settings(deadline=None)
@given(st.text())
def test_no_line_crashes(line: str) -> None:
    result = to_events(CLICKS, raw(line.encode(errors="replace").decode()))
    assert result.rows.height + result.unmapped.height == 1


def test_lines_of_jsonl_are_received_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "clicks-2026-03-02.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a":  1}\r\nnull\n\nbr\xffken\n'))
    source = EventSource(name="clicks", kind="file", path=str(tmp_path / "clicks-{date}.jsonl.gz"))
    assert received_records(source) == ['{"a":  1}', "null", "", "br\ufffdken"]


def test_rows_of_csv_are_texts_by_the_header(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text('\ufeffuser_id,text\nann,"two\nlines"\nbob\n7,007\n', encoding="utf-8")
    result = [
        json.loads(record) for record in received_records(EventSource(name="clicks", kind="file", path=str(path)))
    ]
    assert result[::2] == [{"user_id": "ann", "text": "two\nlines"}, {"user_id": "7", "text": "007"}]
    assert fault_of(result[1]) == ("is_record", "line 4 of the file has 1 cells where the header names 2")


def test_rows_of_parquet_keep_their_types(tmp_path: Path) -> None:
    path = tmp_path / "clicks.parquet"
    moment = datetime(2026, 3, 1, 10, tzinfo=UTC)
    pl.DataFrame(
        {
            "user_id": ["ann"],
            "value": [4.0],
            "occurred_at": [moment],
            "dwell_seconds": [float("nan")],
            "blob": [b"\xff"],
        }
    ).write_parquet(path)
    source = EventSource(name="clicks", kind="file", path=str(path))
    [chunk] = read_raw_events(source, "2026-03-02", None)
    row = to_events(source, chunk).rows.to_dicts()[0]
    assert (row[USER_ID], row[VALUE], row[OCCURRED_AT], row[DWELL_SECONDS]) == ("ann", 4.0, moment, None)


def test_sequences_become_events_whose_order_is_time(tmp_path: Path) -> None:
    path = tmp_path / "sequences.tsv"
    path.write_text("1\t30 10 20\nbroken\n2\t10\n")
    source = EventSource(
        name="ratings", kind="sequences", path=str(path), artwork_source="movies", ends="2026-03-01", event_kind="like"
    )
    [chunk] = read_raw_events(source, "2026-03-02", None)
    result = to_events(source, chunk)
    assert result.rows.select(USER_ID, ARTWORK_ID, OCCURRED_AT).rows() == [
        ("1", "movies:30", datetime(2026, 3, 1, 23, 59, 57, tzinfo=UTC)),
        ("1", "movies:10", datetime(2026, 3, 1, 23, 59, 58, tzinfo=UTC)),
        ("1", "movies:20", datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)),
        ("2", "movies:10", datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)),
    ]
    assert result.rows[EVENT_ID].n_unique() == 4
    assert result.unmapped.select(LINE, RULE, RECORD).rows() == [(4, "is_json", "broken")]


def test_a_missing_file_says_which_source_and_where(tmp_path: Path) -> None:
    source = EventSource(name="clicks", kind="file", path=str(tmp_path / "gone.csv"))
    with pytest.raises(MissingInput, match=r"clicks: there is no file .*gone\.csv"):
        received_records(source)


def test_a_file_cut_off_is_missing_input(tmp_path: Path) -> None:
    path = tmp_path / "clicks.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-12])
    with pytest.raises(MissingInput, match="cut off"):
        received_records(EventSource(name="clicks", kind="file", path=str(path)))


def test_a_file_of_another_kind_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="of an unknown kind"):
        received_records(EventSource(name="clicks", kind="file", path=str(tmp_path / "clicks.xlsx")))


def test_simulated_visitors_need_artworks() -> None:
    with pytest.raises(ArtrecError, match="crawl the sources first"):
        received_records(EventSource(name="visitors", kind="simulated"))


def test_real_sequences_are_mapped(shared_data: Path) -> None:
    source = EventSource(
        name="ratings",
        kind="sequences",
        path=str(shared_data / "movielens-1m" / "sequences.tsv.gz"),
        artwork_source="m",
    )
    chunk = next(read_raw_events(source, "2026-03-31", None))
    result = to_events(source, chunk)
    assert result.rows.height == 50_000
    assert result.rows[ARTWORK_ID].to_list()[:3] == ["m:3186", "m:1270", "m:1721"]
