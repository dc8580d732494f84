"""Errors for the user: one line, without passwords, that says what to do."""

import pytest

from artrec_core.errors import ArtrecError, ConfigError, GateFailed, MissingInput, MissingPartition, ValidatorBroke


@pytest.mark.parametrize("kind", [ArtrecError, ConfigError, MissingInput, GateFailed, ValidatorBroke])
def test_no_message_shows_the_password_of_a_url(kind: type[ArtrecError]) -> None:
    error = kind("cannot reach postgresql://u:s3cret@h/db; start it")
    assert str(error) == "cannot reach postgresql://***@h/db; start it"
    assert "s3cret" not in repr(error)


def test_a_missing_day_names_the_command_that_writes_it() -> None:
    error = MissingPartition("catalogue", "2026-01-05", writer="prepare")
    assert str(error) == "catalogue has no rows for 2026-01-05; run `artrec prepare --date 2026-01-05` first"


def test_the_command_line_catches_all_of_them_as_one_kind() -> None:
    with pytest.raises(ArtrecError):
        raise MissingPartition("histories", "2026-01-05", "prepare")
    assert not issubclass(GateFailed, ValidatorBroke)
    assert not issubclass(ValidatorBroke, GateFailed)
