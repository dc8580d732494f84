"""`publish`: a sound night is served whole; otherwise the tables served before stay served and the failure is recorded."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError, GateFailed, MissingPartition, ValidatorBroke
from artrec_core.lake import Lake
from artrec_core.warehouse import Warehouse, open_warehouse
from expectations.verdict import Validation
from jobs import publish
from jobs.step import run_step
from tests.conftest import ROOT
from tests.jobs.published_world import DAY, NEXT_DAY, WORKS, recipe_in, write_day

SERVED = "SELECT DISTINCT run_date, model_version FROM artrec.recommendations_current"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    demo = recipe_in(tmp_path)
    write_day(demo)
    return demo


def warehouse_of(recipe: Recipe) -> Warehouse:
    return open_warehouse(recipe.store.warehouse)


def test_a_night_is_published_with_its_figures(recipe: Recipe) -> None:
    figures = run_step(publish.STEP, recipe, DAY).figures
    assert figures["recommendations"] == 9
    assert figures["artworks"] == len(WORKS)
    assert (figures["people"], figures["rows"], figures["simulated"]) == (3, 9 + 6 + 1 + 1 + 2, True)
    entry = warehouse_of(recipe).publications().row(0, named=True)
    assert (entry["run_date"], entry["status"], entry["simulated"]) == (DAY, "published", True)
    assert entry["checksum"] == figures["checksum"]


def test_what_did_not_change_is_not_published_again(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    run_step(publish.STEP, recipe, DAY)
    run_step(publish.STEP, recipe, DAY)
    assert "unchanged" in capsys.readouterr().out
    assert warehouse_of(recipe).publications().height == 1


def test_a_warehouse_that_was_lost_is_published_again(recipe: Recipe) -> None:
    first = run_step(publish.STEP, recipe, DAY).figures
    Path(recipe.store.warehouse).unlink()
    assert run_step(publish.STEP, recipe, DAY).figures == first
    assert warehouse_of(recipe).query(SERVED).rows() == [(DAY, "1")]


def test_a_rerun_with_another_model_replaces_the_day(recipe: Recipe) -> None:
    first = run_step(publish.STEP, recipe, DAY).figures
    write_day(recipe, model_version="2")
    assert run_step(publish.STEP, recipe, DAY).figures["checksum"] != first["checksum"]
    assert warehouse_of(recipe).query(SERVED).rows() == [(DAY, "2")]


def test_a_failed_audit_keeps_yesterday_and_is_recorded(recipe: Recipe) -> None:
    run_step(publish.STEP, recipe, DAY)
    write_day(recipe, NEXT_DAY, "2", show_seen=True)
    with pytest.raises(GateFailed, match="seen_works_are_out"):
        run_step(publish.STEP, recipe, NEXT_DAY)
    warehouse = warehouse_of(recipe)
    assert warehouse.query(SERVED).rows() == [(DAY, "1")]
    assert warehouse.query("SELECT attempted_run_date, stale FROM artrec.freshness").rows() == [(NEXT_DAY, True)]
    validation = Validation.from_json(Lake(recipe.store.lake).read_note(publish.AUDIT_NOTE, NEXT_DAY) or b"")
    assert validation.verdict == "stopped"


def test_a_day_put_right_is_published_after_it_failed(recipe: Recipe) -> None:
    run_step(publish.STEP, recipe, DAY)
    write_day(recipe, model_version="2", show_seen=True)
    with pytest.raises(GateFailed):
        run_step(publish.STEP, recipe, DAY)
    write_day(recipe)
    # The very rows that are served still: the failure since must not stand as the last word on the day.
    run_step(publish.STEP, recipe, DAY)
    assert warehouse_of(recipe).query("SELECT stale FROM artrec.freshness").rows() == [(False,)]


def test_an_audit_that_breaks_is_another_error_than_a_failed_audit(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expectations import runner

    def fail(*arguments: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(runner, "_validate", fail)
    with pytest.raises(ValidatorBroke, match="no space"):
        run_step(publish.STEP, recipe, DAY)
    assert warehouse_of(recipe).publications().get_column("status").to_list() == ["failed"]


def test_tables_of_two_model_versions_are_not_published(recipe: Recipe) -> None:
    lake = Lake(recipe.store.lake)
    other_version = lake.read("popular_artworks", DAY).with_columns(pl.lit("2").alias("model_version"))
    part = lake.write_part("popular_artworks", DAY, other_version)
    lake.commit("popular_artworks", DAY, {"all": [part]}, fingerprint="f", code_version="c")
    with pytest.raises(GateFailed, match=r"several model versions \(1, 2\)"):
        run_step(publish.STEP, recipe, DAY)


def test_tables_of_a_score_that_was_killed_halfway_are_not_published(recipe: Recipe) -> None:
    lake = Lake(recipe.store.lake)
    # Of another model, perhaps, that its registry calls version 1 as well.
    parts = lake.manifest("popular_artworks", DAY).parts
    lake.commit("popular_artworks", DAY, {"all": parts}, fingerprint="g", code_version="c")
    with pytest.raises(ArtrecError, match=f"several runs of score; run `artrec score --date {DAY}` again"):
        run_step(publish.STEP, recipe, DAY)


def test_a_warehouse_or_an_audit_that_is_gone_is_made_again(recipe: Recipe, tmp_path: Path) -> None:
    run_step(publish.STEP, recipe, DAY)
    Path(recipe.store.warehouse).unlink()
    run_step(publish.STEP, recipe, DAY)
    assert warehouse_of(recipe).publications().get_column("status").to_list() == ["published"]
    lake = Lake(recipe.store.lake)
    Path(lake.note_address(publish.AUDIT_NOTE, DAY)).unlink()
    run_step(publish.STEP, recipe, DAY)
    assert lake.read_note(publish.AUDIT_NOTE, DAY) is not None


def test_a_night_that_was_not_scored_says_what_to_run(recipe: Recipe) -> None:
    with pytest.raises(MissingPartition, match=f"artrec score --date {NEXT_DAY}"):
        run_step(publish.STEP, recipe, NEXT_DAY)


def test_keep_days_removes_what_is_older(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, "publish.keep_days=1")
    for day in (DAY, NEXT_DAY):
        write_day(recipe, day)
    assert run_step(publish.STEP, recipe, DAY).figures["removed"] == 0
    assert run_step(publish.STEP, recipe, NEXT_DAY).figures["removed"] == 1
    # A removed day is not there: asked for again, it is published again.
    run_step(publish.STEP, recipe, DAY)
    assert warehouse_of(recipe).query(SERVED).rows() == [(NEXT_DAY, "1")]
    days = warehouse_of(recipe).query("SELECT DISTINCT run_date FROM artrec.artworks_v1 ORDER BY 1")
    assert days.rows() == [(DAY,), (NEXT_DAY,)]


DYING = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from jobs import publish
from jobs.step import run_step
from tests.jobs.published_world import DAY, recipe_in
publish.audit = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
run_step(publish.STEP, recipe_in({store!r}), DAY)
"""


def test_a_killed_step_run_again_publishes_the_same_rows(tmp_path: Path) -> None:
    killed, undisturbed = recipe_in(tmp_path / "killed"), recipe_in(tmp_path / "undisturbed")
    for recipe in (killed, undisturbed):
        write_day(recipe)
    code = DYING.format(folder=str(ROOT), store=str(tmp_path / "killed"))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert warehouse_of(killed).publications().height == 0
    figures = [run_step(publish.STEP, recipe, DAY).figures for recipe in (killed, undisturbed)]
    assert figures[0] == figures[1]
