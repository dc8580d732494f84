"""Users merged from what their sources last said of them."""

from typing import Any

import polars as pl
import pytest

from artrec_core.columns import CONSENT, CONSENTS, EVENT, INTERESTS, SIMULATED, SOURCE, USER, USER_ID, conform
from artrec_core.data.people import merge_users, refusing_users, resolve_consents

NO_EVENTS = pl.DataFrame(schema=EVENT)


def consents(*answers: tuple[str, str, bool]) -> pl.DataFrame:
    return pl.DataFrame(answers, schema=CONSENTS, orient="row")


def states(*rows: dict[str, Any]) -> pl.DataFrame:
    records = [{"source": "form", "simulated": False, **row} for row in rows]
    return conform(pl.DataFrame(records, infer_schema_length=None), {SOURCE: pl.String(), **USER})


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, infer_schema_length=None), EVENT)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_refusal_by_any_source_holds_whatever_the_names_of_the_sources(names: tuple[str, str]) -> None:
    refuses, agrees = names
    answers = consents((refuses, "ann", False), (agrees, "ann", True), (agrees, "bob", True))
    assert resolve_consents(answers).rows() == [("ann", False), ("bob", True)]
    assert refusing_users(answers).to_list() == ["ann"]


def test_every_user_has_one_row() -> None:
    result = merge_users(
        states({"user_id": "bob", "interests": "the sea"}, {"user_id": "ann", "interests": "the sea"}),
        consents(("form", "bob", False), ("form", "eve", False)),
        events({"user_id": "cat", "simulated": True}, {"user_id": "ann"}, {"user_id": "dan", "simulated": False}),
    )
    assert result.schema == pl.Schema(USER)
    assert result.select(USER_ID, CONSENT, INTERESTS, SIMULATED).rows() == [
        ("ann", None, "the sea", False),
        ("bob", False, None, False),
        ("cat", None, None, True),
        ("dan", None, None, False),
        ("eve", False, None, False),  # known from a quarantined row alone
    ]


def test_a_source_that_leaves_out_a_column_removes_no_value() -> None:
    result = merge_users(
        states(
            {"source": "survey", "user_id": "ann", "interests": "the sea", "locale": "en"},
            {"source": "app", "user_id": "ann", "locale": "fr"},
        ),
        consents(),
        NO_EVENTS,
    )
    assert result.select("locale", INTERESTS).rows() == [("fr", "the sea")]


def test_no_records_give_no_users() -> None:
    assert merge_users(states().clear(), consents(), NO_EVENTS).is_empty()
