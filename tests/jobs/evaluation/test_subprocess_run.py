"""A model in a process of its own: its result, and the error if it fails."""

import json
import os
from pathlib import Path

import pytest

from artrec_core.errors import ArtrecError
from jobs.evaluation.subprocess_run import LOG, ModelRun, _resident_bytes
from jobs.evaluation.worker import LISTS, RESULT
from tests.artrec_core.model.worlds import tiny_settings
from tests.artrec_core.recs.evaluation_worlds import task_of, tribes
from tests.jobs.tribes_night import CONFIG


def test_a_model_runs_once_and_its_result_is_kept(tmp_path: Path) -> None:
    task_of(tribes())[0].save(tmp_path / "task")
    settings = tiny_settings(tmp_path)
    run = ModelRun("popularity", 0, tmp_path / "task", tmp_path / "popularity-seed0")
    result = run.run(CONFIG, settings)
    assert (result["model"], result["seed"]) == ("popularity", 0)
    # A Python process with polars takes more than 50 MB.
    assert result["peak_memory_mb"] > 50
    lists = run.folder / LISTS
    written = lists.stat().st_mtime_ns
    assert run.run(CONFIG, settings) == result == json.loads((run.folder / RESULT).read_text())
    assert lists.stat().st_mtime_ns == written


def test_a_model_that_fails_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    run = ModelRun("ease", 0, tmp_path / "nowhere", tmp_path / "results")
    message = r"ease with seed 0 failed \(exit status 1\): FileNotFoundError.*log.txt"
    with pytest.raises(ArtrecError, match=message):
        run.run(CONFIG, tiny_settings(tmp_path))
    assert "Traceback" in (run.folder / LOG).read_text()
    assert not (run.folder / RESULT).exists()


def test_the_memory_of_a_process_that_has_ended_is_zero() -> None:
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    assert _resident_bytes(child) == 0
    assert _resident_bytes(os.getpid()) > 2**20
