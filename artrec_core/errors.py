"""Errors that a person at a terminal can act on: one line that says what to do next."""

from artrec_core.urls import redacted


class ArtrecError(Exception):
    """Something a person can put right; the command line prints its message alone, without a traceback.

    URLs in the message lose their user names and passwords: it ends up in terminals, logs and Airflow's pages.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class ConfigError(ArtrecError):
    """A recipe cannot be read or does not hold what it must."""


class MissingInput(ArtrecError):
    """A file or service that a recipe names is not there."""


class MissingPartition(ArtrecError):
    """A table has no committed day."""

    def __init__(self, table: str, day: str, writer: str) -> None:
        super().__init__(f"{table} has no rows for {day}; run `artrec {writer} --date {day}` first")


class GateFailed(ArtrecError):
    """Data broke an expectation that stops the night."""


class ValidatorBroke(ArtrecError):
    """The validator itself failed: nothing is said about the data."""
