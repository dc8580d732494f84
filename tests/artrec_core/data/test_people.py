"""Users merged from what their sources last said of them."""

from typing import Any

import polars as pl
import pytest

from artrec_core.columns import CONSENT, CONSENTS, EVENT, INTERESTS, SIMULATED, SOURCE, USER, USER_ID, conform
from artrec_core.data.people import merge_people, refusing, resolve_consents

NO_EVENTS = pl.DataFrame(schema=EVENT)


def consents(*answers: tuple[str, str, bool]) -> pl.DataFrame:
    return pl.DataFrame(answers, schema=CONSENTS, orient="row")


def states(*rows: dict[str, Any]) -> pl.DataFrame:
    made = [{"source": "form", "simulated": False, **row} for row in rows]
    return conform(pl.DataFrame(made, infer_schema_length=None), {SOURCE: pl.String(), **USER})


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, infer_schema_length=None), EVENT)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_refusal_by_any_source_holds_whatever_the_names_of_the_sources(names: tuple[str, str]) -> None:
    refuses, agrees = names
    found = consents((refuses, "ann", False), (agrees, "ann", True), (agrees, "bob", True))
    assert resolve_consents(found).rows() == [("ann", False), ("bob", True)]
    assert refusing(found).to_list() == ["ann"]


def test_everybody_is_there_once() -> None:
    found = merge_people(
        states({"user_id": "bob", "interests": "the sea"}, {"user_id": "ann", "interests": "the sea"}),
        consents(("form", "bob", False), ("form", "eve", False)),
        events({"user_id": "cat", "simulated": True}, {"user_id": "ann"}, {"user_id": "dan", "simulated": False}),
    )
    assert found.schema == pl.Schema(USER)
    assert found.select(USER_ID, CONSENT, INTERESTS, SIMULATED).rows() == [
        ("ann", None, "the sea", False),
        ("bob", False, None, False),
        ("cat", None, None, True),
        ("dan", None, None, False),
        ("eve", False, None, False),  # known by a row in quarantine alone
    ]


def test_a_source_that_says_nothing_of_a_column_takes_nothing_away() -> None:
    found = merge_people(
        states(
            {"source": "survey", "user_id": "ann", "interests": "the sea", "locale": "en"},
            {"source": "app", "user_id": "ann", "locale": "fr"},
        ),
        consents(),
        NO_EVENTS,
    )
    assert found.select("locale", INTERESTS).rows() == [("fr", "the sea")]


def test_nobody_is_nobody() -> None:
    assert merge_people(states().clear(), consents(), NO_EVENTS).is_empty()
