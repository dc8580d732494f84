"""Errors that the user at a terminal can solve: one line that says what to do next."""

from artrec_core.urls import redact


class ArtrecError(Exception):
    """An error that the user can solve. The command line prints its message only, without a traceback.

    User names and passwords are removed from URLs in the message, because it is shown in terminals, logs and Airflow.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class ConfigError(ArtrecError):
    """A recipe cannot be read or is not valid."""


class MissingInput(ArtrecError):
    """A file or service that a recipe names does not exist."""


class MissingPartition(ArtrecError):
    """A table has no committed day."""

    def __init__(self, table: str, day: str, writer: str) -> None:
        super().__init__(f"{table} has no rows for {day}; run `artrec {writer} --date {day}` first")


class GateFailed(ArtrecError):
    """The data fail an expectation that stops the night."""


class ValidatorBroke(ArtrecError):
    """The validator itself failed, so nothing is known about the data."""
