"""The night's date: resolved once, by the first task of a run, and passed on."""

from datetime import UTC, date, datetime
from typing import Any

from airflow.sdk import Param, get_current_context, task

from artrec_core.errors import ArtrecError


def night_of(asked: str | None, logical_date: datetime | None, queued: datetime) -> str:
    """The night (YYYY-MM-DD, UTC): as asked for, else the logical date's, else the one the run was queued in.

    Raises `ArtrecError` where what is asked for is not a date.
    """
    if asked:
        return _checked(asked)
    return (logical_date or queued).astimezone(UTC).date().isoformat()


def _checked(text: str) -> str:
    try:
        written = date.fromisoformat(text).isoformat()
    except ValueError:
        written = ""
    if written != text:
        raise ArtrecError(f"{text!r} is not a date; write it as YYYY-MM-DD, for example 2026-03-30")
    return text


def date_param() -> Param:
    """The field of a form that asks for the night; empty means the run's own date."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Night",
        description="The night to run, YYYY-MM-DD. Left empty: the run's logical date, else the day it was queued.",
    )


@task
def night() -> str:
    """The night every other task is told; a run triggered without a date has no logical date."""
    context: Any = get_current_context()
    return night_of(context["params"].get("date"), context.get("logical_date"), context["dag_run"].run_after)
