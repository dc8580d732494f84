"""`artrec mlflow`: a server's page is named, the page of a database is served, and no password is shown."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from jobs.mlflow import command
from tests.conftest import ROOT

RECIPE = str(ROOT / "infra" / "recipes" / "demo.toml")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the command line and the store that a stand-in for Python got; it exits with status 7."""
    call, python = tmp_path / "call", tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" > {call}\necho "$MLFLOW_BACKEND_STORE_URI" >> {call}\nexit 7\n')
    python.chmod(0o755)
    monkeypatch.setattr("jobs.mlflow.sys", SimpleNamespace(executable=str(python)))
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "")  # so that it is restored after the test
    return call


def test_the_page_of_a_server_is_named_without_its_password(call: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(RECIPE, ["store.mlflow=https://u:s3cret@mlflow.example"])
    assert capsys.readouterr().out == "an MLflow server holds the runs; its page is https://***@mlflow.example\n"
    assert not call.exists()


@pytest.mark.slow
def test_the_page_of_a_database_is_served_on_this_machine_and_its_status_is_returned(
    call: Path, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(typer.Exit) as ended:
        command(RECIPE, [f"store.mlflow={store}"], port=5001)
    assert ended.value.exit_code == 7
    line, address = call.read_text().splitlines()
    assert line == "-m mlflow ui --host 127.0.0.1 --port 5001 --workers 1"
    assert address == store
    assert (tmp_path / "mlflow.db").exists()
