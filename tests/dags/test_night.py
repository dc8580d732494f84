"""The night's date, for every kind of run."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from artrec_core.errors import ArtrecError
from artrec_dags.night import resolve_date

QUEUED = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)


def test_what_is_asked_for_comes_first() -> None:
    assert resolve_date("2026-03-30", datetime(2026, 4, 1, tzinfo=UTC), QUEUED) == "2026-03-30"


def test_a_scheduled_or_backfilled_run_takes_its_logical_date() -> None:
    assert resolve_date(None, datetime(2026, 3, 30, 0, 30, tzinfo=UTC), QUEUED) == "2026-03-30"


def test_a_run_without_a_date_takes_the_day_it_was_queued() -> None:
    assert resolve_date(None, None, QUEUED) == "2026-11-22"


def test_an_empty_field_asks_for_nothing() -> None:
    assert resolve_date("", None, QUEUED) == "2026-11-22"


def test_days_are_utc_days() -> None:
    taipei = timezone(timedelta(hours=8))
    assert resolve_date(None, datetime(2026, 3, 31, 7, 0, tzinfo=taipei), QUEUED) == "2026-03-30"


@pytest.mark.parametrize("requested", ["2026-3-30", "20260330", "2026-02-30", "yesterday", "2026-03-30 ", "2026-W14-1"])
def test_what_is_no_date_says_how_to_write_one(requested: str) -> None:
    with pytest.raises(ArtrecError, match="write it as YYYY-MM-DD"):
        resolve_date(requested, None, QUEUED)
