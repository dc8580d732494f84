"""`artrec show`: what it prints of a user, and what it says of users, artworks and nights that are not there."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, OVERALL, conform
from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError, GateFailed
from artrec_core.lake import Lake
from artrec_core.recs.inputs.popularity import popular_artworks
from jobs import publish
from jobs.show import command, open_night, show, show_examples
from jobs.step import run_step
from tests.jobs.published_world import DAY, NEXT_DAY, WORKS, recipe_in, write_day

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def recipe(tmp_path: Path, capsys: Captured) -> Recipe:
    demo = recipe_in(tmp_path)
    write_day(demo)
    run_step(publish.STEP, demo, DAY)
    capsys.readouterr()
    return demo


def test_history_and_recommendations_stand_side_by_side_with_reasons(recipe: Recipe, capsys: Captured) -> None:
    show(recipe, "visitor-2")
    lines = capsys.readouterr().out.splitlines()
    assert any("visitor-2" in line and "SIMULATED" in line for line in lines)
    first = next(line for line in lines if "2026-03-01" in line)
    assert "神奈川沖浪裏" in first
    assert "Night" in first
    assert "because you liked 神奈川沖浪裏" in first


def test_markup_and_control_characters_of_titles_are_shown_not_obeyed(recipe: Recipe, capsys: Captured) -> None:
    show(recipe, "visitor-3")
    out = capsys.readouterr().out
    assert "[bold]Starry[/bold]" in out
    show(recipe, "visitor-1")
    assert "\x1b[31m" not in capsys.readouterr().out


def test_a_user_id_is_spelt_as_the_tables_spell_it(recipe: Recipe, capsys: Captured) -> None:
    show(recipe, " visitor-2 ")
    assert "no user has this id" not in capsys.readouterr().out


def test_stated_interests_are_shown(recipe: Recipe, capsys: Captured) -> None:
    show(recipe, "visitor-3")
    out = capsys.readouterr().out
    assert "stated interests: waves" in out
    assert "no events" in out


def test_an_unknown_user_gets_what_is_popular_overall_and_is_told(recipe: Recipe, capsys: Captured) -> None:
    show(recipe, "nobody")
    out = capsys.readouterr().out
    assert "no user has this id" in out
    assert "Guernica" in out
    assert "Olympia" not in out  # the first of a movement
    assert "popular among SIMULATED users" in out


def test_the_segment_for_unknown_users_is_one_that_the_tables_have() -> None:
    catalogue = conform(pl.DataFrame({"artwork_id": ["a"], "museum": ["Tate"]}), CATALOGUE)
    segments = popular_artworks(catalogue, np.ones(1, np.float32), 1)["segment"].to_list()
    assert segments == ["museum:Tate", OVERALL]


def test_a_user_who_has_seen_every_artwork_is_known_and_told(tmp_path: Path, capsys: Captured) -> None:
    recipe = recipe_in(tmp_path)
    write_day(recipe, seen={"visitor-1": list(WORKS), "visitor-2": ["demo:3"]})
    run_step(publish.STEP, recipe, DAY)
    capsys.readouterr()
    show(recipe, "visitor-1")
    out = capsys.readouterr().out
    assert "nothing left to recommend: the user has seen every artwork that may be shown" in out
    assert "visitor-1  SIMULATED" in out
    assert "the latest 6 of 6 events" in out
    assert "no user has this id" not in out
    assert "popular" not in out


def test_the_warehouse_is_shown_without_its_password(recipe: Recipe, capsys: Captured) -> None:
    night = open_night(recipe)
    store = recipe.store.model_copy(update={"warehouse": "postgresql://u:s3cret@h/db"})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("jobs.show.open_night", lambda *_: night)
        show_examples(recipe.model_copy(update={"store": store}), 1)
    assert capsys.readouterr().out.splitlines()[-1] == "warehouse: postgresql://***@h/db"


def test_an_older_night_can_be_asked_for(recipe: Recipe, capsys: Captured) -> None:
    write_day(recipe, NEXT_DAY, "2")
    run_step(publish.STEP, recipe, NEXT_DAY)
    capsys.readouterr()
    show(recipe, "visitor-1", DAY)
    assert f"night of {DAY}, model 1" in capsys.readouterr().out
    show(recipe, "visitor-1")
    assert f"night of {NEXT_DAY}, model 2" in capsys.readouterr().out


def test_a_later_night_that_failed_is_named(recipe: Recipe, capsys: Captured) -> None:
    write_day(recipe, NEXT_DAY, "2", show_seen=True)
    with pytest.raises(GateFailed):
        run_step(publish.STEP, recipe, NEXT_DAY)
    show(recipe, "visitor-1")
    assert f"the night of {NEXT_DAY} failed" in capsys.readouterr().out


def test_examples_run_from_a_long_history_to_none(recipe: Recipe, capsys: Captured) -> None:
    show_examples(recipe, 3)
    out = capsys.readouterr().out
    assert out.index("visitor-1") < out.index("visitor-2") < out.index("visitor-3")


def test_more_examples_than_users_are_all_users(recipe: Recipe, capsys: Captured) -> None:
    show_examples(recipe, 9)
    assert capsys.readouterr().out.count("SIMULATED") == 3


def test_a_night_that_is_not_published_names_those_that_are(recipe: Recipe) -> None:
    with pytest.raises(ArtrecError, match=f"2026-01-01 is not published; the latest nights are {DAY}"):
        show(recipe, "visitor-1", "2026-01-01")


def test_before_anything_is_published_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtrecError, match="artrec nightly"):
        show(recipe_in(tmp_path), "visitor-1")


def test_a_missing_user_is_an_error() -> None:
    with pytest.raises(ArtrecError, match="say whom to show"):
        command("infra/recipes/demo.toml")


def test_examples_end_with_the_addresses_of_report_and_warehouse(recipe: Recipe, capsys: Captured) -> None:
    page = Lake(recipe.store.lake).write_note("report.html", DAY, b"<html></html>")
    show_examples(recipe, 1)
    assert capsys.readouterr().out.splitlines()[-2:] == [f"report:    {page}", f"warehouse: {recipe.store.warehouse}"]
