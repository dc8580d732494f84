import json
from pathlib import Path

import polars as pl

from artrec_core.columns import CONSENT, INTERESTS, LINE, REASON, SIMULATED, USER, USER_ID
from artrec_core.config import EventSource, UserSource
from artrec_core.data.users import read_raw_users, to_users


def test_people_are_read_and_mapped(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    records = [{"id": 1, "interests": "the sea", "consent": True}, {"id": "2", "consent": "maybe"}, {"id": "3"}]
    path.write_text("\n".join(map(json.dumps, records)))
    source = UserSource(name="people", path=str(path), fields={"user_id": "id"})
    [chunk] = read_raw_users(source, "2026-03-01", None)
    found = to_users(source, chunk)
    assert found.rows.schema == pl.Schema({LINE: pl.Int64(), **USER})
    assert found.rows.select(LINE, USER_ID, INTERESTS, CONSENT, SIMULATED).rows() == [
        (1, "1", "the sea", True, False),
        (3, "3", None, None, False),
    ]
    assert found.unmapped[REASON].to_list() == ['consent is "maybe", not true or false']


def test_a_file_of_events_tells_nothing_of_people() -> None:
    assert list(read_raw_users(EventSource(name="clicks", kind="file", path="gone"), "2026-03-01", None)) == []
