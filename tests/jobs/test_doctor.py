"""What doctor finds: every store is tried, whatever the others said, and what is wrong ends it with status 1."""

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artrec_core.errors import ArtrecError
from jobs import store_checks
from jobs.doctor import command
from jobs.retrain import check_settings
from jobs.store_checks import Check, check_stores, faults
from tests.jobs.published_world import recipe_in

DEMO = "infra/recipes/demo.toml"


def stores(folder: Path, **addresses: str) -> list[str]:
    """Overrides that put every store into a folder, or where `addresses` say."""
    model = folder / "base"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text("{}")
    every = {
        "store.lake": f"{folder}/lake",
        "store.warehouse": f"{folder}/warehouse.duckdb",
        "store.mlflow": f"sqlite:///{folder}/mlflow.db",
        "store.artifacts": f"{folder}/artifacts",
        "store.models": f"{folder}/models",
        "store.work": f"{folder}/work",
        "model.base": f"folder:{model}",
    } | {f"store.{name}": address for name, address in addresses.items()}
    return [f"{key}={value}" for key, value in every.items()]


def verdicts(out: str) -> dict[str, str]:
    """Check -> ok or wrong."""
    found = (re.match(r"(ok|wrong) +(.+?)  ", line) for line in out.splitlines())
    return {match[2]: match[1] for match in found if match}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of this machine that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


def test_stores_that_are_fit_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(DEMO, stores(tmp_path))
    assert "wrong" not in verdicts(capsys.readouterr().out).values()


def test_every_store_that_is_away_or_shut_is_named_with_advice_and_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    away = {
        "warehouse": "postgresql://u:s3cret@127.0.0.1:9/none",
        "mlflow": "http://u:s3cret@127.0.0.1:9",
        "artifacts": f"{tmp_path}/file/artifacts",
        "models": "/proc/models",
    }
    with pytest.raises(ArtrecError, match=r"4 of .* checks failed"):
        command(DEMO, stores(tmp_path, **away))
    out = capsys.readouterr().out
    wrong = {what for what, verdict in verdicts(out).items() if verdict == "wrong"}
    assert wrong == {"warehouse", "MLflow", "artifacts", "models cache"}
    said = " ".join(out.split())
    for advice in ("store.warehouse", "MLflow at http://***@127.0.0.1:9", "set store.artifacts to another place"):
        assert advice in said
    assert "s3cret" not in out


def test_addresses_that_swallow_packets_are_given_up_together(
    tmp_path: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_checks, "ANSWER_SECONDS", 2.0)
    recipe = recipe_in(
        tmp_path,
        f"store.warehouse=postgresql://u:s3cret@127.0.0.1:{silent_port}/none",
        f"store.mlflow=http://u:s3cret@127.0.0.1:{silent_port}",
        f"store.artifacts={tmp_path}/artifacts",
    )
    checks = store_checks.store_checks(recipe)
    faults([])  # imports MLflow
    begun = time.monotonic()
    found = {check.what: str(fault) for check, fault in zip(checks, faults(checks), strict=True) if fault}
    assert time.monotonic() - begun < 6
    assert found.keys() == {"warehouse", "MLflow"}
    assert "did not answer within 2 s; see that it is up, that store.mlflow names" in found["MLflow"]
    assert "s3cret" not in str(found)


def test_a_check_that_breaks_hides_no_other() -> None:
    def broken() -> None:
        raise KeyError("x")

    def shut() -> None:
        raise ArtrecError("shut")

    first, second = faults([Check("a", "a", "store.a", broken), Check("b", "b", "store.b", shut)])
    assert "KeyError" in str(first)
    assert str(second) == "shut"


def test_an_mlflow_database_in_a_folder_that_is_shut_is_found_before_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recipe = recipe_in(tmp_path, f"store.mlflow=sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(ArtrecError, match=r"set store\.mlflow to another place"):
        check_stores(recipe)


def test_a_retrain_asks_the_same_before_it_trains(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    overrides = [one for one in stores(tmp_path, artifacts=f"{tmp_path}/file/a") if "lake" not in one]
    with pytest.raises(ArtrecError, match=r"set store\.artifacts to another place"):
        check_settings(recipe_in(tmp_path, *overrides))


def test_a_source_that_is_not_there_counts_only_where_it_is_required(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def source(name: str, required: str) -> list[str]:
        return [f"sources.0.{key}={value}" for key, value in {"name": name, "required": required}.items()]

    absent = ["sources.0.kind=tate", f"sources.0.path={tmp_path}/none.jsonl"]
    command(DEMO, [*stores(tmp_path), *absent, *source("tate", "false")])
    with pytest.raises(ArtrecError, match="1 of"):
        command(DEMO, [*stores(tmp_path), *absent, *source("tate", "true")])
    assert "ARTREC_DATA" in capsys.readouterr().out


def test_nothing_is_left_where_stores_were_tried(tmp_path: Path) -> None:
    check_stores(recipe_in(tmp_path, *stores(tmp_path)))
    left = [name for _, _, files in os.walk(tmp_path) for name in files]
    assert left == ["config.json"]
