"""`crawl`: every record is stored as it was received, an unchanged night is done at once, and `--only` gives the same day."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from artrec_core.columns import LINE, RECORD, SOURCE
from artrec_core.config import Recipe
from artrec_core.errors import ConfigError, MissingInput
from artrec_core.lake import Lake
from jobs.crawl import STEP, crawl_only
from jobs.step import StepManifest, run_step

DAY = "2026-03-30"
NEXT_DAY = "2026-03-31"


def small_recipe(folder: Path, **sections: object) -> Recipe:
    store = {name: str(folder / name) for name in ("lake", "warehouse", "mlflow", "artifacts", "work")}
    (folder / "works.jsonl").write_text(
        "".join(json.dumps({"id": at, "title": f"Work {at}"}) + "\n" for at in range(30)) + "null\n"
    )
    works = {"name": "works", "kind": "jsonl", "path": str(folder / "works.jsonl")}
    works["fields"] = {"artwork_id": "id", "title": "title"}  # type: ignore[assignment]
    visitors = {"name": "visitors", "kind": "simulated", "users": 50, "events": 800, "days": 20, "ends": NEXT_DAY}
    return Recipe.model_validate(
        {"name": "small", "store": store, "sources": [works], "events": [visitors], **sections}
    )


def crawl(recipe: Recipe, day: str = DAY) -> StepManifest:
    return run_step(STEP, recipe, day)


def records(recipe: Recipe, table: str, day: str = DAY) -> list[tuple[str, int, str]]:
    return Lake(recipe.store.lake).read(table, day).select(SOURCE, LINE, RECORD).rows()


def test_every_line_is_received_as_it_is(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    figures = crawl(recipe).figures
    rows = records(recipe, "raw_artworks")
    assert rows[0] == ("works", 1, '{"id": 0, "title": "Work 0"}')
    assert rows[-1] == ("works", 31, "null")
    assert figures["artworks"] == {"works": 31}
    assert figures["users"] == {"visitors": 50}
    assert figures["events"] == {"visitors": len(records(recipe, "raw_events"))}


def test_crawling_again_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = small_recipe(tmp_path)
    crawl(recipe)
    before = [records(recipe, table) for table in STEP.outputs]
    crawl(recipe)
    assert "unchanged" in capsys.readouterr().out
    assert [records(recipe, table) for table in STEP.outputs] == before


def test_a_changed_file_is_crawled_again_and_the_visitors_with_it(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    crawl(recipe)
    before = records(recipe, "raw_events")
    (tmp_path / "works.jsonl").write_text('{"id": 1, "title": "One"}\n{"id": 2, "title": "Two"}\n')
    assert crawl(recipe).figures["artworks"] == {"works": 2}
    assert records(recipe, "raw_events") != before


def test_the_next_day_begins_with_the_same_events_and_brings_new_ones(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    crawl(recipe)
    crawl(recipe, NEXT_DAY)
    first, second = records(recipe, "raw_events"), records(recipe, "raw_events", NEXT_DAY)
    assert second[: len(first)] == first
    new = [json.loads(record)["occurred_at"][:10] for _, _, record in second[len(first) :]]
    assert set(new) == {NEXT_DAY}


def test_one_source_at_a_time_gives_the_same_day(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "whole").mkdir()
    recipe, whole_recipe = small_recipe(tmp_path / "one"), small_recipe(tmp_path / "whole")
    crawl(whole_recipe)
    crawl_only(recipe, DAY, "visitors")
    crawl_only(recipe, DAY, "works")
    lake = Lake(recipe.store.lake)
    assert lake.find_manifest("raw_events", DAY) is None
    artworks = tmp_path / "one" / "lake" / "raw_artworks" / f"run_date={DAY}"
    files_before = {path.name: path.stat().st_mtime_ns for path in artworks.iterdir()}
    crawl(recipe)
    files_after = {path.name: path.stat().st_mtime_ns for path in artworks.iterdir()}
    assert files_after == files_before | {"_manifest.json": files_after["_manifest.json"]}
    for table in STEP.outputs:
        assert records(recipe, table) == records(whole_recipe, table)


def test_a_source_that_the_recipe_lacks_is_an_error_that_names_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no source 'tate'; it has visitors, works"):
        crawl_only(small_recipe(tmp_path), DAY, "tate")


def test_an_optional_source_that_is_missing_is_skipped(tmp_path: Path) -> None:
    absent = {"name": "clicks", "kind": "file", "path": str(tmp_path / "gone.csv"), "required": False}
    recipe = small_recipe(tmp_path, events=[absent])
    assert crawl(recipe).figures["skipped"] == 1
    assert records(recipe, "raw_events") == []
    (tmp_path / "gone.csv").write_text("user_id\nann\n")
    assert crawl(recipe).figures["events"] == {"clicks": 1}


def test_a_required_source_that_is_missing_stops_the_night(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, events=[{"name": "clicks", "kind": "file", "path": str(tmp_path / "gone.csv")}])
    with pytest.raises(MissingInput, match=r"clicks: there is no file .*gone\.csv"):
        crawl(recipe)


def test_files_of_events_and_users_are_both_received(tmp_path: Path) -> None:
    (tmp_path / f"clicks-{DAY}.csv").write_text("user_id,artwork_id\nann,1\n")
    (tmp_path / "people.jsonl").write_text('{"user_id": "ann"}\n')
    clicks = {"name": "clicks", "kind": "file", "path": str(tmp_path / "clicks-{date}.csv")}
    recipe = small_recipe(tmp_path, events=[clicks], users=[{"name": "people", "path": str(tmp_path / "people.jsonl")}])
    crawl(recipe)
    assert records(recipe, "raw_events") == [("clicks", 1, '{"user_id": "ann", "artwork_id": "1"}')]
    assert records(recipe, "raw_users") == [("people", 1, '{"user_id": "ann"}')]


KILLED_AT_PART = """
import os, signal, sys
from artrec_core.config import Recipe
from artrec_core.lake import Lake
from jobs.crawl import STEP
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


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_killed_crawl_runs_again_to_the_same_rows(tmp_path: Path, part: int) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    recipe, whole_recipe = small_recipe(tmp_path / "killed"), small_recipe(tmp_path / "whole")
    crawl(whole_recipe)
    line = [sys.executable, "-c", KILLED_AT_PART, recipe.model_dump_json(), str(part), DAY]
    killed = subprocess.run(line, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert killed.returncode == -9
    assert Lake(recipe.store.lake).find_manifest("raw_artworks", DAY) is None
    crawl(recipe)
    for table in STEP.outputs:
        assert records(recipe, table) == records(whole_recipe, table)
