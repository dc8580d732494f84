"""The curator's page over a small night: six artworks and four users, of whom three get two recommendations each."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import LAKE, PUBLICATION, conform
from artrec_core.config import Recipe
from artrec_core.warehouse import open_warehouse
from expectations.verdict import Counts, TableVerdict, Validation
from jobs.pages.training import training_note
from jobs.report import STEP
from jobs.step import Night, StepManifest, run_step

DAY = "2026-03-30"
ATTACK = "<script>alert(1)</script>"
CREATOR = {
    "name": "Anna & Bo",
    "role": "artist",
    "nationality": "Danish",
    "gender": "female",
    "born": 1860,
    "died": 1930,
}

ARTWORKS = [
    # id, title, original, movement, url
    ("a:1", ATTACK, None, "Romanticism", "javascript:alert(2)"),
    ("a:2", "Fishing in Spring", "富春山居圖", "Ink", "https://example.org/2"),
    ("a:3", "لوحة", None, "Ink", None),
    ("a:4", "Snow", None, "Romanticism", None),
    ("a:5", "Sea", None, None, None),
    ("a:6", "Sun", None, None, None),
]
USERS = [("u:1", None), ("u:2", None), ("u:3", 'rivers "><img src=x onerror=alert(3)>'), ("u:4", "  ")]
EVENTS = [("u:1", "a:1"), ("u:1", "a:2"), ("u:1", "a:3"), ("u:1", "a:4"), ("u:2", "a:5")]
# Four rows have a:5, one a:6, one a:3: half of the artworks are recommended.
RECOMMENDED = [
    ("u:1", 1, "a:5", 2.0, "Because you liked " + ATTACK, "a:1"),
    ("u:1", 2, "a:6", 1.0, "Because you liked Snow", "a:4"),
    ("u:2", 1, "a:5", 1.5, "Many like it", None),
    ("u:2", 2, "a:3", 0.5, "Many like it", None),
    ("u:3", 1, "a:5", 1.2, "You said: rivers", "rivers"),
    ("u:3", 2, "a:5", 1.1, "You said: rivers", "rivers"),
]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    folder = str(tmp_path)
    store = {
        "lake": f"{folder}/lake",
        "warehouse": f"{folder}/w.duckdb",
        "mlflow": "sqlite://",
        "artifacts": folder,
        "work": folder,
    }
    return Recipe.model_validate({"name": "small", "store": store, "sources": [{"name": "a", "kind": "demo"}]})


@pytest.fixture
def night(recipe: Recipe) -> Night:
    """A night on which all steps but `report` have run."""
    night = Night(recipe, DAY)
    artworks = [
        {
            "artwork_id": artwork_id,
            "source": "a",
            "title": title,
            "title_original": original,
            "creators": [CREATOR],
            "movement": movement,
            "url": url,
            "year_from": -12,
        }
        for artwork_id, title, original, movement, url in ARTWORKS
    ]
    noon = datetime(2026, 3, 29, 12, tzinfo=UTC)
    events = [
        {
            "user_id": user_id,
            "artwork_id": artwork_id,
            "event_id": f"e{number}",
            "kind": "like",
            "occurred_at": noon,
            "positive": True,
            "negative": False,
            "seen": True,
            "simulated": True,
        }
        for number, (user_id, artwork_id) in enumerate(EVENTS)
    ]
    users = [{"user_id": user_id, "interests": interests, "simulated": True} for user_id, interests in USERS]
    rows = [
        {
            "strategy": "main",
            "user_id": user_id,
            "rank": rank,
            "artwork_id": artwork_id,
            "score": score,
            "reason": reason,
            "because_of": because_of,
            "run_date": DAY,
            "model_version": "7",
            "simulated": True,
        }
        for user_id, rank, artwork_id, score, reason, because_of in RECOMMENDED
    ]
    write(night, "raw_artworks", {"a": [{"source": "a", "line": line} for line in range(9)]})
    write(night, "catalogue", {"all": artworks})
    write(night, "histories", {"all": events})
    write(night, "people", {"all": users})
    write(night, "recommendations", {"0": rows[:4], "1": rows[4:]})
    gate = TableVerdict(
        table="artworks",
        counts=Counts(received=9, kept=6, quarantined=2, merged=1),
        quarantined={"titled": 2},
        says={"titled": "has a title"},
    )
    note = Validation(recipe="small", run_date=DAY, tables=[gate])
    night.lake.write_note("validation.json", DAY, note.to_json())
    for name, figures in (("crawl", {"artworks": 9}), ("score", {"rows": 6})):
        note_step(night, name, figures)
    return night


def write(night: Night, table: str, writers: dict[str, list[dict[str, Any]]]) -> None:
    schema = LAKE[table]
    parts = {
        name: [night.lake.write_part(table, DAY, conform(pl.DataFrame(rows, infer_schema_length=None), schema))]
        for name, rows in writers.items()
    }
    night.commit(table, parts)


def page_of(recipe: Recipe) -> str:
    run_step(STEP, recipe, DAY)
    raw = Night(recipe, DAY).lake.read_note("report.html", DAY)
    assert raw is not None
    return raw.decode()


def text_of(page: str) -> str:
    """The text of the page, with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL))


def test_the_sum_of_a_table_is_shown_with_the_rules(recipe: Recipe, night: Night) -> None:
    text = text_of(page_of(recipe))
    assert "9 in = 6 kept + 2 in quarantine + 1 merged" in text
    assert "✓ the sum is right" in text
    assert "has a title titled artworks 2" in text


def test_a_sum_that_does_not_add_up_is_shown(recipe: Recipe, night: Night) -> None:
    gate = TableVerdict(table="events", counts=Counts(received=9, kept=6, quarantined=2, merged=0))
    night.lake.write_note("validation.json", DAY, Validation(recipe="s", run_date=DAY, tables=[gate]).to_json())
    text = text_of(page_of(recipe))
    assert "✗ 1 records are unaccounted for" in text
    assert "The checks: validator broke." in text


def test_the_sum_of_what_prepare_did_is_shown(recipe: Recipe, night: Night) -> None:
    figures = {"histories": {"rows_in": 9, "kept": 5, "duplicates": 0, "later": 3, "without_consent": 1}}
    note_step(night, "prepare", figures)
    assert "9 in = 5 kept + 3 after the end of the day + 1 of visitors who refuse consent" in text_of(page_of(recipe))


def test_the_version_that_serves_the_night_is_the_one_shown(recipe: Recipe, night: Night) -> None:
    # Version 8 was trained later, but version 7 serves. On the day of its training, the catalogue was another one.
    catalogue = night.lake.read("catalogue", DAY)
    earlier = Night(recipe, "2026-03-29")
    earlier.commit("catalogue", {"all": [earlier.lake.write_part("catalogue", earlier.day, catalogue)]})
    note_training(earlier, "7", 0.3)
    note_training(night, "8", 0.4)
    scored = night.lake.manifest("recommendations", DAY)
    night.commit("recommendations", scored.writers, model_version="7")
    text = text_of(page_of(recipe))
    assert "Version 7 was trained on the night of 2026-03-29" in text
    assert "measured on 2 visitors: the last artwork that each liked was held out from training" in text
    assert "0.300 Hit rate at 10; the best baseline, popularity, has 0.100" in text


def note_step(night: Night, name: str, figures: dict[str, Any]) -> None:
    step = StepManifest(
        step=name,
        run_date=DAY,
        fingerprint="f",
        made_from={},
        figures=figures,
        seconds=2.0,
        peak_memory_mb=300,
        code_version="c",
    )
    night.lake.write_note(f"{name}.json", DAY, step.model_dump_json().encode())


def note_training(night: Night, version: str, hit_rate: float) -> None:
    figures = {"people_tested": 2, "model": {"hr@10": hit_rate}, "popularity": {"hr@10": 0.1}, "seconds": {"text": 3.0}}
    lines = [{"phase": "user", "epoch": 1, "loss": 2.0, "validation": 0.1}]
    note = {"version": version, "figures": figures, "lines": lines, "tags": {"run_date": night.day}}
    night.lake.write_note("training.json", night.day, json.dumps(note).encode())


def test_coverage_counts_the_recommended_artworks(recipe: Recipe, night: Night) -> None:
    text = text_of(page_of(recipe))
    assert "3 of 6 artworks (50.0 %) are recommended to at least one visitor" in text
    assert "The most recommended 1 % (1 artwork) gets 66.7 % of all recommendations" in text


def test_visitors_are_shown_with_histories_and_recommendations(recipe: Recipe, night: Night) -> None:
    text = text_of(page_of(recipe))
    for kind, user in (
        ("A long history", "u:1"),
        ("A typical history", "u:2"),
        ("Interests only", "u:3"),
        ("Nothing known", "u:4"),
    ):
        assert f"{kind} {user}" in text
    assert "This visitor gets no recommendations" in text
    assert "富春山居圖" in text
    assert "12 BC" in text


def test_simulated_visitors_are_marked(recipe: Recipe, night: Night) -> None:
    assert "A program made up all visitors, events and tastes on this page" in page_of(recipe)


def test_real_visitors_are_not_marked_as_simulated(recipe: Recipe, night: Night) -> None:
    for table in ("people", "histories", "recommendations"):
        rows = night.lake.read(table, DAY).with_columns(pl.lit(False).alias("simulated"))
        night.commit(table, {"all": [night.lake.write_part(table, DAY, rows)]})
    assert "imulated" not in text_of(page_of(recipe))


def test_markup_in_records_is_inert(recipe: Recipe, night: Night) -> None:
    page = page_of(recipe)
    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_of_an_empty_lake_says_what_to_run(recipe: Recipe) -> None:
    text = text_of(page_of(recipe))
    for step in ("crawl", "validate", "prepare", "train", "score", "publish"):
        assert f"artrec {step} --date {DAY}" in text


@pytest.mark.parametrize("table", ["raw_artworks", "catalogue", "histories", "people", "recommendations"])
def test_any_table_may_be_missing(recipe: Recipe, night: Night, table: str, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "lake" / table)
    assert "What this page could not show" in page_of(recipe)


def test_the_same_night_gives_the_same_page(recipe: Recipe, night: Night, tmp_path: Path) -> None:
    first = page_of(recipe)
    (tmp_path / "lake" / "_notes" / f"run_date={DAY}" / "report.json").unlink()
    assert page_of(recipe) == first


def test_a_skipped_step_makes_no_new_page(recipe: Recipe, night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    page_of(recipe)
    score = night.step_manifest("score")
    assert score is not None
    night.lake.write_note("score.json", DAY, score.model_copy(update={"unchanged": True}).model_dump_json().encode())
    page_of(recipe)
    assert f"report {DAY}: unchanged" in capsys.readouterr().out


def test_a_new_publication_makes_a_new_page(recipe: Recipe, night: Night) -> None:
    assert "not published" in text_of(page_of(recipe))
    row = {"run_date": DAY, "strategy": "main", "model_version": "7", "rows": 6, "people": 3, "checksum": "abc"}
    row |= {"status": "published", "simulated": True, "published_at": datetime(2026, 3, 31, 2, 5, tzinfo=UTC)}
    open_warehouse(recipe.store.warehouse).record(conform(pl.DataFrame([row]), PUBLICATION))
    text = text_of(page_of(recipe))
    assert "published 2026-03-31 02:05 UTC" in text
    assert "Applications read this night from the warehouse" in text


def test_old_parts_that_no_manifest_names_are_swept(recipe: Recipe, night: Night, tmp_path: Path) -> None:
    stray = night.lake.write_part("catalogue", DAY, pl.DataFrame({"artwork_id": ["a:9"]}))
    path = tmp_path / "lake" / "catalogue" / f"run_date={DAY}" / f"part-{stray.digest}.parquet"
    os.utime(path, (0, 0))
    named = sorted(path.parent.glob("part-*"))
    assert len(named) == 2
    page_of(recipe)
    assert not path.exists()
    assert len(sorted(path.parent.glob("part-*"))) == 1


@dataclass(frozen=True)
class BrowserRun:
    """What a browser did with a page: the document it built, its log, and the addresses that the page requested."""

    document: str
    log: str
    requests: list[str]


def open_in_browser(page: Path, tmp_path: Path) -> BrowserRun:
    """Open a file in a real browser; the test is skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in names if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("there is no chromium on this machine to open the page with")
    network = tmp_path / "network.json"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    # A browser sends requests of its own. No name resolves here, and only requests of the page have an origin.
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={network}", "--enable-logging=stderr"]
    process = subprocess.run(
        [chromium, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    params = [event.get("params", {}) for event in json.loads(network.read_text())["events"]]
    urls = [
        event["url"]
        for event in params
        if event.get("initiator", "not an origin") != "not an origin" and "url" in event
    ]
    return BrowserRun(process.stdout, process.stderr, [url for url in urls if url.startswith(("http", "ws", "ftp"))])


def test_a_browser_opens_the_page_without_script_network_or_error(recipe: Recipe, night: Night, tmp_path: Path) -> None:
    page_of(recipe)
    run = open_in_browser(Path(night.lake.note_address("report.html", DAY)), tmp_path)
    assert "Fishing in Spring" in run.document
    # The script of a record is text in the document, so it does not run.
    assert "&lt;script&gt;alert(1)" in run.document
    assert "<script" not in run.document
    assert "CONSOLE" not in run.log
    assert run.requests == []


def test_the_browser_reports_scripts_requests_and_errors(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://pictures.example/1.png'><script>document.title = 'ran'; missing()</script>")
    run = open_in_browser(page, tmp_path)
    assert "<title>ran</title>" in run.document
    assert "CONSOLE" in run.log
    assert run.requests == ["http://pictures.example/1.png"]


def test_curves_of_another_model_of_the_same_name_are_not_shown(recipe: Recipe) -> None:
    earlier, night = Night(recipe, "2026-03-29"), Night(recipe, DAY)
    for day in (earlier, night):
        day.commit("catalogue", {})
    night.made_from = {"champion": "digest of the model"}
    night.commit("item_vectors", {}, model_version="1")
    night.commit("recommendations", {}, model_version="1")
    notes = [(earlier, "digest of the model"), (night, "digest of version 1 in another registry")]
    for day, model in notes:
        note = {"version": "1", "model": model, "figures": {}, "tags": {}}
        day.lake.write_note("training.json", day.day, json.dumps(note).encode())
    shown = training_note(night)
    assert shown is not None
    assert shown["model"] == "digest of the model"
