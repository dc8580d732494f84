"""What all steps share: fingerprints, skipping, figures, errors without a traceback."""

import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import LAKE, LINE, RECORD, SOURCE, conform
from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from jobs.step import Figures, Night, Step, StepManifest, run_command, run_step
from tests.conftest import ROOT

DAY = "2026-01-05"


def recipe_in(folder: Path, **sections: Any) -> Recipe:
    store = {name: str(folder / name) for name in ("lake", "warehouse", "artifacts", "work")}
    return Recipe.model_validate(
        {
            "name": "small",
            "store": {**store, "mlflow": "sqlite:///none.db"},
            "sources": [{"name": "demo", "kind": "demo"}],
            **sections,
        }
    )


def parts_of(folder: Path, table: str) -> list[Path]:
    return sorted((folder / "lake" / table / f"run_date={DAY}").glob("part-*"))


def counting_step(ran: list[str], made_from: dict[str, str]) -> Step:
    def run(night: Night) -> Figures:
        ran.append(night.day)
        rows = conform(pl.DataFrame({SOURCE: ["a"], LINE: [1], RECORD: ["null"]}), LAKE["raw_artworks"])
        night.commit("raw_artworks", {"a": [night.lake.write_part("raw_artworks", night.day, rows)]})
        return {"rows": 1}

    return Step(
        name="crawl",
        help="Count.",
        outputs=("raw_artworks",),
        inputs=lambda night: dict(made_from),
        settings=lambda recipe: recipe.sources,
        run=run,
    )


def test_a_step_whose_inputs_did_not_change_is_done_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []
    step = counting_step(ran, {"file": "1"})
    first = run_step(step, recipe_in(tmp_path), DAY)
    assert run_step(step, recipe_in(tmp_path), DAY) == first
    assert ran == [DAY]
    assert "unchanged" in capsys.readouterr().out


def test_changed_inputs_settings_or_a_lost_table_make_it_run_again(tmp_path: Path) -> None:
    ran: list[str] = []
    made_from = {"file": "1"}
    step = counting_step(ran, made_from)
    run_step(step, recipe_in(tmp_path), DAY)
    made_from["file"] = "2"
    run_step(step, recipe_in(tmp_path), DAY)
    changed_sources = [{"name": "demo", "kind": "demo", "limit": 3}]
    run_step(step, recipe_in(tmp_path, sources=changed_sources), DAY)
    (tmp_path / "lake" / "raw_artworks" / f"run_date={DAY}" / "_manifest.json").unlink()
    run_step(step, recipe_in(tmp_path, sources=changed_sources), DAY)
    assert len(ran) == 4


def test_a_section_the_step_does_not_depend_on_changes_nothing(tmp_path: Path) -> None:
    ran: list[str] = []
    step = counting_step(ran, {"file": "1"})
    run_step(step, recipe_in(tmp_path), DAY)
    run_step(step, recipe_in(tmp_path, score={"k": 3}), DAY)
    assert len(ran) == 1


def test_the_line_of_figures_is_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = run_step(counting_step([], {"file": "1"}), recipe_in(tmp_path), DAY)
    assert capsys.readouterr().out.startswith("crawl 2026-01-05: rows 1 (")
    assert manifest == Night(recipe_in(tmp_path), DAY).step_manifest("crawl")
    assert (manifest.figures, manifest.made_from) == ({"rows": 1}, {"file": "1"})


def test_figures_are_formatted_for_readers() -> None:
    manifest = StepManifest(
        step="score",
        run_date=DAY,
        fingerprint="f",
        made_from={},
        figures={"rows": 1234567, "by_kind": {"view": 2, "share": 0.123456}, "version": "3"},
        seconds=1.26,
        peak_memory_mb=2048,
        code_version="c",
    )
    assert manifest.line() == (
        "score 2026-01-05: rows 1,234,567, by kind {view 2, share 0.1235}, version 3 (1.3 s, 2,048 MB)"
    )


def test_an_error_that_the_user_can_fix_is_one_line_and_a_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["artrec"])

    def command() -> None:
        raise ArtrecError("put the file there")

    with pytest.raises(SystemExit) as ended:
        run_command(command, "artrec")
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == ["artrec: put the file there"]


def test_a_step_whose_parts_or_notes_are_gone_runs_again(tmp_path: Path) -> None:
    ran: list[str] = []
    step = replace(counting_step(ran, {"file": "1"}), notes=("page.html",))

    def run(night: Night) -> Figures:
        night.lake.write_note("page.html", DAY, b"page")
        return counting_step(ran, {}).run(night)

    step = replace(step, run=run)
    run_step(step, recipe_in(tmp_path), DAY)
    (part,) = parts_of(tmp_path, "raw_artworks")
    part.unlink()
    run_step(step, recipe_in(tmp_path), DAY)
    assert parts_of(tmp_path, "raw_artworks") == [part]
    (tmp_path / "lake" / "_notes" / f"run_date={DAY}" / "page.html").unlink()
    run_step(step, recipe_in(tmp_path), DAY)
    run_step(step, recipe_in(tmp_path), DAY)
    assert len(ran) == 3


def test_of_two_runs_at_the_same_time_the_second_waits_and_finds_nothing_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "artrec")
    ran: list[str] = []
    counting = counting_step(ran, {"file": "1"})

    def run(night: Night) -> Figures:
        # The work takes until the other run waits for it.
        deadline = time.monotonic() + 60
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
        return counting.run(night)

    with ThreadPoolExecutor(2) as pool:
        manifests = list(pool.map(lambda _: run_step(replace(counting, run=run), recipe_in(tmp_path), DAY), range(2)))
    assert ran == [DAY]
    assert manifests[0] == manifests[1]
    assert caplog.messages == [f"crawl {DAY}: another run of this step is using the store; waiting for it"]
    assert "unchanged" in capsys.readouterr().out


def test_a_traceback_and_a_log_line_hold_no_password(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(
        "import logging\n"
        "from jobs.step import run_command\n"
        "def command() -> None:\n"
        "    logging.getLogger('artrec').info('asking %s', 'http://u:s3cret@h')\n"
        "    raise KeyError('postgresql://u:s3cret@h/db')\n"
        "run_command(command, 'broken')\n"
    )
    process = run_script(script)
    assert process.returncode == 1
    assert "INFO asking http://***@h" in process.stderr
    assert "KeyError: 'postgresql://***@h/db'" in process.stderr
    assert "s3cret" not in process.stderr.replace(script.read_text(), "").replace(
        "raise KeyError('postgresql://u:s3cret@h/db')", ""
    )


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    script = tmp_path / "full.py"
    script.write_text(
        "from jobs.step import run_command\n"
        "def command() -> None:\n"
        "    open('/dev/full', 'w').write('x' * 100_000)\n"
        "run_command(command, 'full')\n"
    )
    process = run_script(script)
    assert process.returncode == 1
    assert process.stderr.startswith("artrec: a file cannot be used ([Errno 28] No space left on device): its disk")
    assert process.stderr.count("\n") == 1


def run_script(script: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
