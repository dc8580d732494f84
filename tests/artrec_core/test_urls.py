"""What is shown of a URL, well formed or not."""

import pytest

from artrec_core.errors import ArtrecError, ConfigError
from artrec_core.urls import redact


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:s3cret@h:5432/db?sslmode=require", "postgresql://***@h:5432/db?sslmode=require"),
        ("postgresql+psycopg://u:s3cret@h/db", "postgresql+psycopg://***@h/db"),
        ("https://t0ken@h/mlflow", "https://***@h/mlflow"),
        ("postgresql:///db?host=/tmp&user=u&password=s3cret", "postgresql:///db?host=/tmp&user=***&password=***"),
        ("postgresql://h/db?sslpassword=s3cret&sslmode=require", "postgresql://h/db?sslpassword=***&sslmode=require"),
        ("https://h/x?token=t0ken&page=2", "https://h/x?token=***&page=2"),
        ("https://h/x?X-Amz-Signature=5ig&api_key=k3y", "https://h/x?X-Amz-Signature=***&api_key=***"),
        ("host=h password='s3 cret' dbname=db", "host=h password=*** dbname=db"),
    ],
)
def test_logins_and_secret_parameters_are_left_out(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret%zz@h/db",
        "postgresql://u:p@s3cret/w:d@h/db",
        "postgresql://u:a s3cret@h/db",
        "postgresql://u:it's3cret@h/db",
        "postgresql://u:s3cret@[::1/db",
        "postgresql:/u:s3cret@h/db",
        "://u:s3cret@h",
        "http://u:s3#cret@h/x?password=s3cret",
    ],
)
def test_a_malformed_url_shows_no_password_either(url: str) -> None:
    assert "cret" not in redact(url)
    assert "cret" not in redact(f"cannot reach '{url.replace(' ', '')}': no route")


@pytest.mark.parametrize(
    "text",
    [
        "s3://art/lake/a@b",
        "/data/a@b/lake",
        "sqlite:////data/a@b/mlflow.db",
        "http://127.0.0.1:5000/api",
        "https://example.org/a@b?page=2",
        "hub:org/name@abc123",
        "--set encode.batch_tokens=2048 --set model.max_tokens=64",
        "09:30:01 INFO embed documents: 96 of 120; mail a@b.org",
    ],
)
def test_what_holds_no_login_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_every_url_in_a_text_is_redacted() -> None:
    text = "from http://a:s3cret@h to postgresql://b:s3cret@g/db, --set store.mlflow=http://c:s3cret@i"
    assert redact(text) == "from http://***@h to postgresql://***@g/db, --set store.mlflow=http://***@i"


@pytest.mark.parametrize(
    ("message", "url"),
    [
        ('invalid percent-encoded token: "s3c%zzret"', "postgresql://u:s3c%zzret@h/db"),
        ("failed to resolve host 's3cret@h'", "postgresql://u:p@s3cret@h/db"),
        ("bad password s3c/ret or s3c%2Fret", "postgresql://u:s3c%2Fret@h/db"),
        ('invalid value "s3cret"', "postgresql://h/db?sslpassword=s3cret"),
    ],
)
def test_a_driver_that_quotes_a_piece_of_the_password_is_not_repeated(message: str, url: str) -> None:
    shown = redact(message, url)
    assert "***" in shown
    assert "cret" not in shown
    assert "zzret" not in shown
    assert shown.split()[0] == message.split()[0]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["a" * 100_000, "a:/" * 30_000, "a://b:" * 10_000, "password" * 20_000, "x.y-" * 30_000]
)
def test_a_long_line_is_read_in_a_moment(text: str) -> None:
    assert redact(text) == text


def test_no_error_for_a_person_quotes_a_password() -> None:
    assert str(ArtrecError("MLflow at http://u:s3cret@h cannot be read")) == "MLflow at http://***@h cannot be read"
    assert "s3cret" not in str(ConfigError("--set takes section.key=value, not 'postgresql://u:s3cret@h/db'"))
