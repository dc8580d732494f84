"""A step that is killed anywhere can be run again and gives the same table."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from artrec_core.columns import LAKE, PUBLISHED_AT, VOLATILE, WAREHOUSE
from artrec_core.config import Recipe, load
from artrec_core.lake import Lake
from artrec_core.warehouse import open_warehouse
from jobs.steps import STEPS
from tests.conftest import ROOT
from tests.end_to_end.killed import MOMENTS
from tests.end_to_end.small_world import DAY, small_recipe

LAKE_MOMENTS = ("die_after_the_first_part", "die_before_the_manifest", "die_before_the_note")
MOMENTS_OF = {
    "train": (
        "die_before_the_manifest",
        "die_before_the_version_is_registered",
        "die_between_registering_and_promoting",
        "die_before_the_note",
    ),
    "publish": ("die_before_the_note",),  # the middle of a transaction: tests/artrec_core/warehouse
    "report": ("die_before_the_note",),
    "retrain": ("die_before_the_decision_is_kept",),  # no step of the night: test_retrain.py
}


def run(step: str, recipe: Path, *before: str) -> int:
    line = [sys.executable, *before, "--config", str(recipe), "--date", DAY, *STEPS[step]]
    return subprocess.run(line, cwd=ROOT, check=False, capture_output=True).returncode


def run_whole(step: str, recipe: Path) -> None:
    assert run(step, recipe, "-m", f"jobs.{step}") == 0


def run_killed(step: str, moment: str, recipe: Path) -> None:
    assert run(step, recipe, "tests/end_to_end/killed.py", moment, step) == -9, f"{step} was not killed by {moment}"


def tables(recipe: Recipe) -> dict[str, pl.DataFrame]:
    """Every table of the night, in lake and warehouse, times of day aside."""
    lake = Lake(recipe.store.lake)
    found = {table: lake.read_or_empty(table, DAY).drop(VOLATILE, strict=False) for table in LAKE}
    warehouse = open_warehouse(recipe.store.warehouse)
    for table, (_, key) in WAREHOUSE.items():
        found[table] = warehouse.query(f"SELECT * FROM artrec.{table} ORDER BY {', '.join(key)}")
    # A day published again is two publications of one checksum.
    found["publications"] = warehouse.publications().drop(PUBLISHED_AT).unique()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    recipe = small_recipe(tmp_path_factory.mktemp("undisturbed"))
    for step in STEPS:
        run_whole(step, recipe)
    return tables(load(recipe))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_night_whose_every_step_was_killed_gives_the_same_tables(
    undisturbed: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    recipe = small_recipe(tmp_path)
    for step in STEPS:
        for moment in MOMENTS_OF.get(step, LAKE_MOMENTS):
            run_killed(step, moment, recipe)
        run_whole(step, recipe)
    disturbed = tables(load(recipe))
    assert disturbed.keys() == undisturbed.keys()
    assert sum(frame.height > 0 for frame in undisturbed.values()) >= len(undisturbed) - 4
    for table, frame in undisturbed.items():
        assert_frame_equal(disturbed[table], frame)


def test_every_moment_is_used() -> None:
    assert {moment for moments in (LAKE_MOMENTS, *MOMENTS_OF.values()) for moment in moments} == MOMENTS.keys()
