import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import CONSENT, CONSENTS, INTERESTS, LINE, REASON, SIMULATED, SOURCE, USER, USER_ID
from artrec_core.config import EventSource, UserSource
from artrec_core.data.events import raw_rows
from artrec_core.data.users import consent_answers, read_raw_users, to_users

PEOPLE = UserSource(name="people", path="people.csv")


def answers(*records: object, source: UserSource = PEOPLE) -> list[tuple[Any, ...]]:
    """LINE, USER_ID and CONSENT of what the records say of consent."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    result = consent_answers(source, pl.concat(raw_rows(source.name, lines)))
    assert result.schema == pl.Schema({LINE: pl.Int64(), **CONSENTS})
    assert set(result[SOURCE]) <= {source.name}
    return result.select(LINE, USER_ID, CONSENT).rows()


def test_users_are_read_and_mapped(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    records = [{"id": 1, "interests": "the sea", "consent": True}, {"id": "2", "consent": "maybe"}, {"id": "3"}]
    path.write_text("\n".join(map(json.dumps, records)))
    source = UserSource(name="people", path=str(path), fields={"user_id": "id"})
    [chunk] = read_raw_users(source, "2026-03-01", None)
    result = to_users(source, chunk)
    assert result.rows.schema == pl.Schema({LINE: pl.Int64(), **USER})
    assert result.rows.select(LINE, USER_ID, INTERESTS, CONSENT, SIMULATED).rows() == [
        (1, "1", "the sea", True, False),
        (3, "3", None, None, False),
    ]
    assert result.unmapped[REASON].to_list() == ['consent is "maybe", not true or false']


def test_a_file_of_events_has_no_records_of_users() -> None:
    assert list(read_raw_users(EventSource(name="clicks", kind="file", path="gone"), "2026-03-01", None)) == []


def test_interests_may_be_a_list() -> None:
    record = json.dumps({"user_id": "ann", "interests": ["the sea", " ", "boats"]})
    result = to_users(PEOPLE, pl.concat(raw_rows("people", [record])))
    assert result.rows[INTERESTS].to_list() == ["the sea; boats"]


@pytest.mark.parametrize("answer", [False, "f", "N", "off", "no ", 0, 0.0, "0.0", "FALSE"])
def test_a_refusal_may_be_spelt_in_many_ways(answer: object) -> None:
    assert answers({"user_id": "ann", "consent": answer}) == [(1, "ann", False)]


@pytest.mark.parametrize(
    "record",
    [
        {"user_id": "u3", "locale": "-", "consent": False},
        {"user_id": "u3 ", "interests": {"of": "art"}, "consent": "false"},
        {"user_id": "u3", "simulated": "perhaps", "consent": "no"},
        {"user_id": "u3", "interests": "the\0sea", "consent": 0},
    ],
    ids=str,
)
def test_a_refusal_counts_whatever_else_is_wrong_with_the_row(record: dict[str, Any]) -> None:
    assert answers(record) == [(1, "u3", False)]


@pytest.mark.parametrize("answer", ["maybe", "2026-01-01", [], {}, 2])
def test_an_answer_that_cannot_be_read_is_a_refusal(answer: object) -> None:
    assert answers({"user_id": "ann", "consent": answer}) == [(1, "ann", False)]


@pytest.mark.parametrize("record", [{"user_id": "ann"}, {"user_id": "ann", "consent": " "}, {"consent": False}, [], ""])
def test_a_row_that_without_a_user_or_an_answer_is_left_out(record: object) -> None:
    assert answers(record) == []


def test_ids_of_refusals_are_spelt_as_events_spell_them() -> None:
    source = PEOPLE.model_copy(update={"fields": {"user_id": "id", "consent": "ok"}})
    assert answers({"id": 777.0, "ok": False}, {"id": " Zoe\u0308 ", "ok": "n"}, source=source) == [
        (1, "777", False),
        (2, "Zoë", False),
    ]


@pytest.mark.parametrize(
    ("header", "expected"), [("user_id,interests,consent", [(1, "u3", False)]), ("user_id,interests,locale", [])]
)
def test_a_row_of_csv_with_cells_too_many_is_a_refusal_if_the_file_asks_for_consent(
    header: str, expected: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"{header}\nu3,cats, dogs,true\n")
    source = PEOPLE.model_copy(update={"path": str(path)})
    [chunk] = read_raw_users(source, "2026-03-01", None)
    assert consent_answers(source, chunk).select(LINE, USER_ID, CONSENT).rows() == expected
    assert to_users(source, chunk).unmapped[REASON].to_list() == [
        "line 2 of the file has 4 cells where the header names 3"
    ]
