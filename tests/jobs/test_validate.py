"""The step: raw records in, checked tables and quarantine out, or a night that stops with one line that says why."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import RAW, conform
from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError, GateFailed, ValidatorBroke
from expectations import gate
from expectations.rules import Rule, TableRule
from expectations.verdict import Counts, Result, TableVerdict, Validation
from jobs.step import Night, StepManifest, run_step
from jobs.validate import STEP

DAY = "2026-03-30"
NEXT_DAY = "2026-03-31"
TABLES = ("artworks_checked", "events_checked", "users_checked", "quarantine")
FIELDS = {
    "artwork_id": "id",
    "title": "title",
    "year_from": "year",
    "year_to": "year",
    "url": "url",
    "image_url": "image",
}


def recipe_of(store: Path, **rules: Any) -> Recipe:
    at = str(store)
    return Recipe.model_validate(
        {
            "name": "small",
            "store": {"lake": f"{at}/lake", "warehouse": f"{at}/w", "mlflow": "", "artifacts": at, "work": at},
            "sources": [
                {"name": name, "kind": "jsonl", "path": "none", "licence": "CC0", "museum": name, "fields": FIELDS}
                for name in ("north", "south")
            ],
            "events": [{"name": "visits", "kind": "file", "path": "none"}],
            "users": [{"name": "people", "path": "none"}],
            "rules": {"min_rows": 3, "max_unknown_artwork_share": 0.2, **rules},
        }
    )


def works(count: int, **changes: Any) -> list[str]:
    """Lines of good works; the second is changed."""
    lines = []
    for number in range(count):
        work = {"id": number, "title": f"Work {number}", "year": 1900, "url": "http://a.org"}
        lines.append(json.dumps({**work, **(changes if number == 1 else {})}))
    return lines


def visits(count: int, **changes: Any) -> list[str]:
    lines = []
    for number in range(count):
        visit = {"event_id": f"e{number}", "user_id": f"u{number % 3}", "artwork_id": f"north:{number % 10}"}
        visit |= {"kind": "like", "occurred_at": "2026-03-30T10:00:00Z"}
        lines.append(json.dumps({**visit, **(changes if number == 1 else {})}))
    return lines


PEOPLE = [json.dumps({"user_id": f"u{number}", "interests": "rivers"}) for number in range(3)]


def crawl(recipe: Recipe, day: str = DAY, **sources: Iterable[str]) -> None:
    """Commit the raw tables as `crawl` would, in parts of seven lines."""
    night = Night(recipe, day, fingerprint="crawled")
    lines = {"north": works(10), "south": works(10), "visits": visits(20), "people": PEOPLE, **sources}
    for table, names in (("raw_artworks", ("north", "south")), ("raw_events", ("visits",)), ("raw_users", ("people",))):
        writers = {}
        for name in names:
            frame = pl.DataFrame({"record": list(lines[name])}, schema={"record": pl.String}).with_row_index("line", 1)
            frame = conform(frame.with_columns(pl.lit(name).alias("source")), RAW)
            writers[name] = [night.lake.write_part(table, day, part) for part in frame.iter_slices(7)]
        night.commit(table, writers)


def validate(recipe: Recipe, day: str = DAY) -> tuple[StepManifest, Validation]:
    manifest = run_step(STEP, recipe, day)
    return manifest, note(recipe, day)


def note(recipe: Recipe, day: str = DAY) -> Validation:
    raw = Night(recipe, day).lake.read_note("validation.json", day)
    assert raw is not None
    return Validation.from_json(raw)


def table_of(validation: Validation, name: str) -> TableVerdict:
    (verdict,) = [verdict for verdict in validation.tables if verdict.table == name]
    return verdict


def rows(recipe: Recipe, day: str = DAY) -> dict[str, pl.DataFrame]:
    lake = Night(recipe, day).lake
    return {name: lake.read(name, day).drop("crawled_at", strict=False) for name in TABLES}


def committed(recipe: Recipe, day: str = DAY) -> list[str]:
    lake = Night(recipe, day).lake
    return [name for name in TABLES if lake.find_manifest(name, day) is not None]


def test_a_night_is_kept_quarantined_and_merged_without_loss(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, max_quarantine_share=0.5, max_null_share={"title": 0.5})
    bad = ["null", "[1]", "{", "", *works(10, title="")[1:2]]
    crawl(recipe, north=[*works(10), *bad, *works(2)], visits=[*visits(20, kind="stare"), "null"])
    manifest, validation = validate(recipe)
    artworks = table_of(validation, "artworks")
    assert artworks.counts == Counts(received=27, kept=20, quarantined=5, merged=2)
    assert artworks.sources["north"] == Counts(received=17, kept=10, quarantined=5, merged=2)
    assert sum(artworks.quarantined.values()) == 5
    assert artworks.quarantined["has_title"] == 1
    assert table_of(validation, "events").counts == Counts(received=21, kept=19, quarantined=2)
    assert table_of(validation, "users").counts == Counts(received=3, kept=3)
    assert validation.verdict == "passed"
    assert manifest.figures["artworks"] == 20
    tables = rows(recipe)
    assert {name: table.height for name, table in tables.items()} == {
        "artworks_checked": 20,
        "events_checked": 19,
        "users_checked": 3,
        "quarantine": 7,
    }
    assert sorted(Night(recipe, DAY).lake.manifest("artworks_checked", DAY).writers) == ["north", "south"]


def test_quarantine_holds_every_record_as_it_was_received(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    untitled = works(10, title=" ")
    crawl(recipe, north=untitled, south=[*works(10), "null"])
    validate(recipe)
    quarantine = rows(recipe)["quarantine"].select("table", "source", "line", "record").rows()
    assert quarantine[:2] == [("artworks", "north", 2, untitled[1]), ("artworks", "south", 11, "null")]
    # The visits to the work without a title.
    second, twelfth = visits(20)[1::10]
    assert quarantine[2:] == [("events", "visits", 2, second), ("events", "visits", 12, twelfth)]


def test_an_event_of_a_quarantined_work_is_quarantined_too(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, max_null_share={})
    crawl(recipe, north=works(10, title=""))
    validation = validate(recipe)[1]
    assert table_of(validation, "events").quarantined == {"artwork_is_known": 2}


def test_events_may_be_about_works_of_the_catalogue_that_no_longer_arrive(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    night = Night(recipe, "2026-03-29")
    earlier = pl.DataFrame({"artwork_id": ["north:99"], "title": ["Gone"]})
    night.commit("catalogue", {"all": [night.lake.write_part("catalogue", night.day, earlier)]})
    crawl(recipe, visits=visits(20, artwork_id="north:99"))
    assert table_of(validate(recipe)[1], "events").counts.kept == 20


def test_a_stopped_night_says_why_in_one_line_and_commits_nothing(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, max_volume_drop=0.5)
    crawl(recipe)
    validate(recipe)
    crawl(recipe, NEXT_DAY, north=works(4, title=""))
    with pytest.raises(GateFailed) as stopped:
        run_step(STEP, recipe, NEXT_DAY)
    message = str(stopped.value)
    assert "artworks: volume (north) is 4 rows, allowed is at least 5" in message
    assert "\n" not in message
    report = Path(message.rsplit(" ", 1)[1])
    assert "The night was stopped" in report.read_text()
    assert committed(recipe, NEXT_DAY) == []
    assert note(recipe, NEXT_DAY).verdict == "stopped"
    kept_aside = report.with_name("quarantine-stopped.parquet")
    assert pl.read_parquet(kept_aside).get_column("rule").to_list() == ["has_title", *["artwork_is_known"] * 14]


def test_a_stopped_night_is_no_measure_for_the_next(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    crawl(recipe)
    validate(recipe)
    few_lines = works(4)
    for day in ("2026-03-31", "2026-04-01"):
        crawl(recipe, day, north=few_lines, visits=visits(20, artwork_id="north:0"))
        with pytest.raises(GateFailed, match=r"volume \(north\)"):
            run_step(STEP, recipe, day)


def test_a_broken_validator_is_not_bad_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(tmp_path)
    crawl(recipe)
    judge = gate.judge

    def judge_wrong_type(name: str, frame: pl.DataFrame, rules: list[Rule | TableRule]) -> list[Result]:
        # A number cannot be compared with text: Great Expectations itself raises, and notes it as `exception_info`.
        return judge(name, frame.with_columns(pl.lit("?").alias("price")) if "price" in frame.columns else frame, rules)

    monkeypatch.setattr(gate, "judge", judge_wrong_type)
    with pytest.raises(ValidatorBroke, match="says nothing about the data: artworks: price_is_not_negative") as raised:
        run_step(STEP, recipe, DAY)
    assert not isinstance(raised.value, GateFailed)
    assert note(recipe).verdict == "validator broke"
    assert committed(recipe) == []


def test_again_is_unchanged_and_a_changed_rule_runs_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_of(tmp_path)
    crawl(recipe)
    validate(recipe)
    before = rows(recipe)
    capsys.readouterr()
    validate(recipe)
    assert "unchanged" in capsys.readouterr().out
    validate(recipe_of(tmp_path, max_duplicate_share=0.3))
    assert "unchanged" not in capsys.readouterr().out
    assert all(table.equals(before[name]) for name, table in rows(recipe).items())


def test_records_of_a_source_that_the_recipe_does_not_name_are_an_error(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    crawl(recipe)
    without = recipe.model_copy(update={"sources": recipe.sources[:1]})
    with pytest.raises(ArtrecError, match="'south', which the recipe does not name; run `artrec crawl"):
        run_step(STEP, without, DAY)


def test_a_recipe_without_people_has_empty_tables_of_them(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path).model_copy(update={"events": [], "users": []})
    crawl(recipe)
    validate(recipe)
    assert {name: table.height for name, table in rows(recipe).items()} == {
        "artworks_checked": 20,
        "events_checked": 0,
        "users_checked": 0,
        "quarantine": 0,
    }


KILLED = """
import os, signal, sys
from artrec_core.config import Recipe
from artrec_core.lake import Lake
from jobs.step import run_step
from jobs.validate import STEP

write = Lake.write_part
def write_and_die(*given):
    write(*given)
    os.kill(os.getpid(), signal.SIGKILL)
Lake.write_part = write_and_die
run_step(STEP, Recipe.model_validate_json(sys.argv[1]), sys.argv[2])
"""


def test_killed_after_its_first_part_it_gives_the_same_rows_when_run_again(tmp_path: Path) -> None:
    whole_recipe, killed_recipe = recipe_of(tmp_path / "whole"), recipe_of(tmp_path / "killed")
    for recipe in (whole_recipe, killed_recipe):
        crawl(recipe, north=works(10, title=""), visits=visits(40))
    validate(whole_recipe)
    root = Path(__file__).parent.parent.parent
    process = subprocess.run(
        [sys.executable, "-c", KILLED, killed_recipe.model_dump_json(), DAY], cwd=root, check=False, capture_output=True
    )
    assert process.returncode == -9, process.stderr.decode()
    assert committed(killed_recipe) == []
    validate(killed_recipe)
    assert all(table.equals(rows(whole_recipe)[name]) for name, table in rows(killed_recipe).items())
