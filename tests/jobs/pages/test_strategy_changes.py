"""What filters and constraints change: the score step's figures on the page, with names from records escaped."""

from pathlib import Path
from typing import Any

from artrec_core.config import Recipe
from jobs.pages.strategy_changes import ShareChange, strategy_changes
from jobs.report import STEP
from jobs.step import Night, run_step
from tests.artrec_core.recs.scoring_worlds import DAY
from tests.jobs.scored_world import recipe_in, scored, write_world
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
    figures = {
        "changes": [CHANGE, {**CHANGE, "strategy": "b", "what": "caps", "floors": {}}],
        "works_blocked": {"main": 2},
    }
    changes = strategy_changes(night_of(recipe_in(tmp_path), **figures, lists_that_gave_way={"main": {"floors": 1}}))
    assert [strategy.strategy for strategy in changes] == ["b", "main"]
    main = changes[1]
    assert main.floors == [ShareChange("gender:female", 0.0, 0.4)]
    assert (main.blocked_artworks, list(main.relaxed_counts.values())) == (2, [1])
    assert (main.sections[0].section, main.sections[0].diversity, main.sections[0].artworks) == (
        "floors",
        (0.25, 0.5),
        (4, 6),
    )


def test_a_strategy_without_constraints_has_no_changes(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    assert strategy_changes(Night(recipe, DAY)) == []
    assert strategy_changes(night_of(recipe)) == []


def test_the_page_shows_what_each_section_changes_and_escapes_names(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    scored(tmp_path)
    night = night_of(recipe, changes=[CHANGE], works_blocked={"main": 2}, lists_that_gave_way={"main": {"floors": 1}})
    run_step(STEP, recipe, DAY)
    page = (night.lake.read_note("report.html", DAY) or b"").decode()
    text = text_of(page)
    assert "Measured on 3 visitors: each section alone." in text
    assert (
        "Block lists exclude 2 artworks from every list. In 1 list: fewer artworks of a group than its floor asks for"
        in text
    )
    assert "floors 87.5 % 50.0 % 0.250 → 0.500 4 → 6" in text
    assert "gender:female 0 % 40.0 %" in text
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_the_changes_of_a_real_night_are_on_its_page(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, strategies=[{"name": "main", "diversity": {"mmr_lambda": 0.5}, "caps": {"source": 2}}])
    write_world(Night(recipe, DAY).lake)
    scored(tmp_path, strategies=recipe.model_dump()["strategies"])
    run_step(STEP, recipe, DAY)
    text = text_of((Night(recipe, DAY).lake.read_note("report.html", DAY) or b"").decode())
    assert (
        "What filters and constraints of “main” change Measured on 3 visitors: each section alone, then all together."
        in text
    )
    for section in ("caps", "diversity", "all of these"):
        assert f" {section} " in text
