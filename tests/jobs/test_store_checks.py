"""Checks of stores: each store is tried, a fault names the setting and no password, and nothing is left behind."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artrec_core.errors import ArtrecError
from jobs import store_checks
from jobs.retrain import check_settings
from jobs.store_checks import Check, check_stores, find_faults
from tests.jobs.published_world import recipe_in, store_overrides


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of this machine that accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


def test_addresses_that_never_answer_are_given_up_together(
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
    find_faults([])  # imports MLflow
    started = time.monotonic()
    faults = {check.name: str(fault) for check, fault in zip(checks, find_faults(checks), strict=True) if fault}
    assert time.monotonic() - started < 6
    assert faults.keys() == {"warehouse", "MLflow"}
    assert "did not answer within 2 s; check that it is up, that store.mlflow names" in faults["MLflow"]
    assert "s3cret" not in str(faults)


def test_an_unexpected_error_of_one_check_does_not_hide_another_fault() -> None:
    def raise_unexpected() -> None:
        raise KeyError("x")

    def raise_advice() -> None:
        raise ArtrecError("shut")

    first, second = find_faults(
        [Check("a", "a", "store.a", raise_unexpected), Check("b", "b", "store.b", raise_advice)]
    )
    assert "KeyError" in str(first)
    assert str(second) == "shut"


def test_an_mlflow_database_whose_folder_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recipe = recipe_in(tmp_path, f"store.mlflow=sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(ArtrecError, match=r"set store\.mlflow to another path"):
        check_stores(recipe)


def test_retrain_checks_the_stores_before_it_trains(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    every_store = store_overrides(tmp_path, artifacts=f"{tmp_path}/file/a")
    overrides = [override for override in every_store if "lake" not in override]
    with pytest.raises(ArtrecError, match=r"set store\.artifacts to another path"):
        check_settings(recipe_in(tmp_path, *overrides))


def test_checks_leave_no_file_behind(tmp_path: Path) -> None:
    check_stores(recipe_in(tmp_path, *store_overrides(tmp_path)))
    files_after = [name for _, _, files in os.walk(tmp_path) for name in files]
    assert files_after == ["config.json"]
