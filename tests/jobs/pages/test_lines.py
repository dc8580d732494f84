"""What the page says of the lines of a strategy: figures as the score step left them, names from records made harmless."""

from pathlib import Path
from typing import Any

from artrec_core.config import Recipe
from jobs.pages.lines import Moved, lines
from jobs.report import STEP
from jobs.step import Night, run_step
from tests.jobs.scored_world import DAY, recipe_in, scored, write_world
from tests.jobs.test_report import text_of

CHANGE = {
    "strategy": "main", "what": "floors", "people": 3, "score_kept": 0.875, "overlap": 0.5, "diversity": [0.25, 0.5],
    "works": [4, 6], "exposure": {"gender": {"<b>x</b>": [0.2, 0.4], "not known": [0.8, 0.6]}}, "floors": {"gender:female": [0.0, 0.4]},
}  # fmt: skip


def night_of(recipe: Recipe, **figures: Any) -> Night:
    night = Night(recipe, DAY)
    rows = night.lake.read_or_empty("recommendations", DAY)
    night.commit("recommendations", {"all": [night.lake.write_part("recommendations", DAY, rows)]}, figures)
    return night


def test_figures_are_gathered_by_strategy(tmp_path: Path) -> None:
    told = {
        "changes": [CHANGE, {**CHANGE, "strategy": "b", "what": "caps", "floors": {}}],
        "works_blocked": {"main": 2},
    }
    found = lines(night_of(recipe_in(tmp_path), **told, lists_that_gave_way={"main": {"floors": 1}}))
    assert [one.strategy for one in found] == ["b", "main"]
    main = found[1]
    assert main.floors == [Moved("gender:female", 0.0, 0.4)]
    assert (main.blocked, list(main.gave_way.values())) == (2, [1])
    assert (main.lines[0].what, main.lines[0].diversity, main.lines[0].works) == ("floors", (0.25, 0.5), (4, 6))


def test_a_night_without_lines_says_nothing(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    assert lines(Night(recipe, DAY)) == []
    assert lines(night_of(recipe)) == []


def test_the_page_shows_what_each_line_changed_and_escapes_names(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    scored(tmp_path)
    night = night_of(recipe, changes=[CHANGE], works_blocked={"main": 2}, lists_that_gave_way={"main": {"floors": 1}})
    run_step(STEP, recipe, DAY)
    page = (night.lake.read_note("report.html", DAY) or b"").decode()
    text = text_of(page)
    assert "Measured on 3 people, each line by itself." in text
    assert (
        "Block lists keep 2 works out of every list. In 1 of all lists: fewer works of a floor group than asked" in text
    )
    assert "floors 87.5 % 50.0 % 0.250 → 0.500 4 → 6" in text
    assert "gender:female 0 % 40.0 %" in text
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_the_lines_of_a_real_night_are_on_its_page(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, strategies=[{"name": "main", "diversity": {"mmr_lambda": 0.5}, "caps": {"source": 2}}])
    write_world(Night(recipe, DAY).lake)
    scored(tmp_path, strategies=recipe.model_dump()["strategies"])
    run_step(STEP, recipe, DAY)
    text = text_of((Night(recipe, DAY).lake.read_note("report.html", DAY) or b"").decode())
    assert (
        "What “main” changes in the lists of best scores Measured on 3 people, each line by itself and all together."
        in text
    )
    for line in ("caps", "diversity", "all of these"):
        assert f" {line} " in text
