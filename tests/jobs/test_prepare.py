"""`prepare`: the last known state of artworks, events and users, whatever days and parts they arrived in."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import (
    ARTWORK_ID,
    CONSENT,
    CONTENT_HASH,
    DOCUMENT,
    EVENT_ID,
    LAKE,
    SOURCE,
    TITLE,
    USER_ID,
    conform,
)
from artrec_core.config import Recipe
from artrec_core.errors import GateFailed, MissingPartition
from artrec_core.lake import Lake
from jobs.prepare import STEP
from jobs.step import StepManifest, run_step

MONDAY, TUESDAY = "2026-03-02", "2026-03-03"


def small_recipe(folder: Path, **sections: object) -> Recipe:
    store = {name: str(folder / name) for name in ("lake", "warehouse", "mlflow", "artifacts", "work")}
    sources = [{"name": "demo", "kind": "demo"}]
    return Recipe.model_validate(
        {"name": "small", "store": store, "sources": sources, "prepare": {"min_artworks": 1}, **sections}
    )


def work(artwork_id: str, title: str) -> dict[str, Any]:
    return {"artwork_id": artwork_id, "source": "demo", "title": title, "content_hash": title}


def event(event_id: str, day: int, **values: Any) -> dict[str, Any]:
    usual = {"user_id": "ann", "artwork_id": "demo:1", "kind": "like", "simulated": False}
    return {**usual, "event_id": event_id, "occurred_at": datetime(2026, 3, day, 12, tzinfo=UTC), **values}


def commit(recipe: Recipe, day: str, **tables: list[list[dict[str, Any]]]) -> None:
    """Commit a day of the checked tables; each table is a list of parts, and the users' answers are the consents."""
    lake = Lake(recipe.store.lake)
    consents = [[row | {"source": "demo"} for row in part if "consent" in row] for part in tables.get("users", [])]
    for name, table in (
        ("artworks", "artworks_checked"),
        ("events", "events_checked"),
        ("users", "users_checked"),
        ("consents", "consents"),
    ):
        table_parts = consents if name == "consents" else tables.get(name, [])
        frames = [pl.DataFrame(rows, infer_schema_length=None) for rows in table_parts if rows]
        parts = [lake.write_part(table, day, conform(frame, LAKE[table])) for frame in frames]
        lake.commit(table, day, {"demo": parts}, fingerprint="f", code_version="c")


def rows(recipe: Recipe, table: str, day: str) -> pl.DataFrame:
    return Lake(recipe.store.lake).read(table, day)


def prepare(recipe: Recipe, day: str) -> StepManifest:
    return run_step(STEP, recipe, day)


def two_days(recipe: Recipe) -> None:
    first = [work("demo:1", "Sunflowers"), work("demo:2", "The Scream")]
    commit(
        recipe,
        MONDAY,
        artworks=[first],
        events=[[event("e1", 1), event("e2", 2, user_id="bob")]],
        users=[[{"user_id": "bob", "consent": False}, {"user_id": "eve", "interests": "the sea"}]],
    )
    commit(
        recipe,
        TUESDAY,
        artworks=[[work("demo:2", "The Scream of Nature"), work("demo:3", "The Great Wave")]],
        events=[[event("e1", 1), event("e2", 2, user_id="bob")], [event("e3", 3, artwork_id="demo:3")]],
        users=[[{"user_id": "bob", "consent": True}]],
    )


def test_the_catalogue_is_the_last_known_state_of_every_artwork(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    two_days(recipe)
    figures = prepare(recipe, TUESDAY).figures
    catalogue = rows(recipe, "catalogue", TUESDAY)
    assert catalogue.select(ARTWORK_ID, TITLE).rows() == [
        ("demo:1", "Sunflowers"),  # gone from Tuesday's dump
        ("demo:2", "The Scream of Nature"),
        ("demo:3", "The Great Wave"),
    ]
    assert catalogue[DOCUMENT].str.contains("Sunflowers")[0]
    assert figures["catalogue"] == {"rows_in": 4, "kept": 3, "duplicates": 1}


def test_a_part_that_comes_every_night_is_read_once(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    two_days(recipe)
    figures = prepare(recipe, TUESDAY).figures["histories"]
    assert figures == {
        "rows_in": 3,
        "kept": 3,
        "duplicates": 0,
        "later": 0,
        "without_consent": 0,
        "over_max_history": 0,
    }
    assert rows(recipe, "histories", TUESDAY)[EVENT_ID].to_list() == ["e1", "e3", "e2"]


def test_an_earlier_night_knows_nothing_of_later_ones(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    two_days(recipe)
    prepare(recipe, MONDAY)
    assert rows(recipe, "catalogue", MONDAY)[TITLE].to_list() == ["Sunflowers", "The Scream"]
    assert rows(recipe, "histories", MONDAY)[EVENT_ID].to_list() == ["e1"]  # bob had refused
    assert rows(recipe, "people", MONDAY).select(USER_ID, CONSENT).rows() == [
        ("ann", None),
        ("bob", False),
        ("eve", None),
    ]


def test_users_who_are_no_longer_in_the_file_stay_known(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    two_days(recipe)
    figures = prepare(recipe, TUESDAY).figures["people"]
    assert rows(recipe, "people", TUESDAY).select(USER_ID, CONSENT).rows() == [
        ("ann", None),
        ("bob", True),
        ("eve", None),
    ]
    assert figures == {"rows_in": 3, "kept": 2, "duplicates": 1, "without_record": 1}


def test_a_lake_of_an_earlier_version_keeps_its_refusals(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    two_days(recipe)
    lake = Path(recipe.store.lake)
    (lake / "consents" / f"run_date={MONDAY}" / "_manifest.json").unlink()
    commit(recipe, TUESDAY, artworks=[[work("demo:1", "Sunflowers")]], users=[[{"user_id": "bob"}]])
    prepare(recipe, TUESDAY)
    assert rows(recipe, "people", TUESDAY).filter(pl.col(USER_ID) == "bob")[CONSENT].to_list() == [False]


def test_an_artwork_known_only_from_events_gets_a_row_if_the_recipe_keeps_it(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, rules={"unknown_artworks": "keep"})
    commit(recipe, MONDAY, artworks=[[work("demo:1", "Sunflowers")]], events=[[event("e1", 1, artwork_id="demo:9")]])
    figures = prepare(recipe, MONDAY).figures
    catalogue = rows(recipe, "catalogue", MONDAY)
    assert catalogue.select(ARTWORK_ID, SOURCE, TITLE).rows() == [
        ("demo:1", "demo", "Sunflowers"),
        ("demo:9", "demo", None),
    ]
    assert catalogue[CONTENT_HASH].null_count() == 0
    assert figures["catalogue"] == {"rows_in": 1, "kept": 1, "duplicates": 0, "bare": 1}


def test_too_few_artworks_stop_the_night(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, prepare={"min_artworks": 2})
    commit(recipe, MONDAY, artworks=[[work("demo:1", "Sunflowers")]])
    with pytest.raises(GateFailed, match=r"only 1 artworks .*prepare\.min_artworks is 2"):
        prepare(recipe, MONDAY)


def test_a_night_that_was_not_validated_says_what_to_run(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    commit(recipe, MONDAY, artworks=[[work("demo:1", "Sunflowers")]])
    with pytest.raises(MissingPartition, match="artrec validate --date 2026-03-03"):
        prepare(recipe, TUESDAY)


def test_an_unchanged_night_is_done_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = small_recipe(tmp_path)
    two_days(recipe)
    prepare(recipe, TUESDAY)
    prepare(recipe, TUESDAY)
    assert "unchanged" in capsys.readouterr().out


KILLED_AT_PART = """
import os, signal, sys
from artrec_core.config import Recipe
from artrec_core.lake import Lake
from jobs.prepare import STEP
from jobs.step import run_step

write = Lake.write_part
written = 0

def write_and_die(self, *args):
    global written
    part = write(self, *args)
    written += 1
    if written == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return part

Lake.write_part = write_and_die
run_step(STEP, Recipe.model_validate_json(sys.argv[1]), sys.argv[3])
"""


@pytest.mark.parametrize("part", [1, 3])
def test_a_killed_prepare_runs_again_to_the_same_rows(tmp_path: Path, part: int) -> None:
    recipe, whole_recipe = small_recipe(tmp_path / "killed"), small_recipe(tmp_path / "whole")
    two_days(recipe)
    two_days(whole_recipe)
    prepare(whole_recipe, TUESDAY)
    line = [sys.executable, "-c", KILLED_AT_PART, recipe.model_dump_json(), str(part), TUESDAY]
    killed = subprocess.run(line, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert killed.returncode == -9
    assert Lake(recipe.store.lake).find_manifest("catalogue", TUESDAY) is None
    prepare(recipe, TUESDAY)
    for table in STEP.outputs:
        assert rows(recipe, table, TUESDAY).equals(rows(whole_recipe, table, TUESDAY))
