"""The night's date. The first task of a run resolves it once and passes it to all other tasks."""

from datetime import UTC, date, datetime
from typing import Any

from airflow.sdk import Param, get_current_context, task

from artrec_core.errors import ArtrecError


def resolve_date(requested: str | None, logical_date: datetime | None, queued: datetime) -> str:
    """The date of the night.

    Parameters
    ----------
    requested
        The parameter `date` of the run; None or empty if it was left empty.
    logical_date
        The run's logical date; None for a run that was triggered without one.
    queued
        When the run was queued.

    Returns
    -------
    str
        YYYY-MM-DD: the requested date, else the day of the logical date, else the day on which the run was queued. In UTC.

    Raises
    ------
    ArtrecError
        If the requested text is not a date in the form YYYY-MM-DD.
    """
    if requested:
        return _check_date(requested)
    return (logical_date or queued).astimezone(UTC).date().isoformat()


def _check_date(text: str) -> str:
    try:
        canonical = date.fromisoformat(text).isoformat()
    except ValueError:
        canonical = ""
    if canonical != text:
        raise ArtrecError(f"{text!r} is not a date; write it as YYYY-MM-DD, for example 2026-03-30")
    return text


def date_param() -> Param:
    """The field `date` of a DAG's form; an empty field means the run's own date."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Night",
        description="The night to run, YYYY-MM-DD. If empty: the run's logical date, else the day on which it was queued.",
    )


@task
def night() -> str:
    """The date that all other tasks get. A run that is triggered without a date may have no logical date."""
    context: Any = get_current_context()
    return resolve_date(context["params"].get("date"), context.get("logical_date"), context["dag_run"].run_after)
