"""The values of the page, from small tables."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, HISTORY, LAKE, RECOMMENDATION, conform, empty_frame
from artrec_core.config import Recipe
from jobs.pages.exposure import count_exposure
from jobs.pages.night import Headline, coverage, gather, headline, missing_parts
from jobs.pages.training import summarize_training
from jobs.step import Night

DAY = "2026-03-30"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    folder = str(tmp_path)
    store = {name: f"{folder}/{name}" for name in ("lake", "warehouse", "artifacts", "work")} | {"mlflow": "sqlite://"}
    recipe = {"name": "small", "store": store, "sources": [{"name": "a", "kind": "demo"}]}
    return Night(Recipe.model_validate(recipe), DAY)


def write(night: Night, table: str, *rows: dict[str, Any]) -> None:
    part = night.lake.write_part(table, DAY, conform(pl.DataFrame(rows), LAKE[table]))
    night.commit(table, {"all": [part]})


def test_an_empty_night_lacks_every_part_and_has_every_value(night: Night) -> None:
    values = gather(night)
    assert [gap.step for gap in values["missing"]] == [
        "crawl", "validate", "prepare", "prepare", "prepare", "train", "score", "publish",
    ]  # fmt: skip
    assert values["title"] == "30 March 2026"
    assert (values["coverage"], values["headline"], values["simulated"], values["examples"]) == (None, None, None, [])


def test_a_part_that_is_there_is_not_missing(night: Night) -> None:
    values = gather(night)
    assert "the catalogue" in [gap.what for gap in values["missing"]]
    assert "the catalogue" not in [gap.what for gap in missing_parts({**values, "artworks": 6})]


@pytest.mark.parametrize(
    ("flags", "simulated"), [([True, True], "all"), ([True, False], "some"), ([False, False], None)]
)
def test_the_page_says_how_many_users_are_simulated(night: Night, flags: list[bool], simulated: str | None) -> None:
    write(night, "people", *[{"user_id": f"u{number}", "simulated": flag} for number, flag in enumerate(flags)])
    assert gather(night)["simulated"] == simulated


def test_real_users_with_simulated_events_are_some(night: Night) -> None:
    write(night, "people", {"user_id": "u", "simulated": False})
    write(night, "histories", {"user_id": "u", "artwork_id": "a", "simulated": True})
    assert gather(night)["simulated"] == "some"


CATALOGUE_ROWS = conform(
    pl.DataFrame({"artwork_id": ["a", "b", "c", "d"], "source": ["x", "x", "y", "y"], "museum": ["X", "X", "Y", "Y"]}),
    CATALOGUE,
)
# Three of four rows of the strategy `main` are artwork a; `new` recommends every artwork once.
RECOMMENDATIONS = conform(
    pl.DataFrame(
        [("main", user, 1, "a", 2.0, "b") for user in "uvw"]
        + [("main", "u", 2, "b", 1.0, None)]
        + [("new", user, 1, artwork, 1.0, None) for user, artwork in zip("uvwx", "abcd", strict=True)],
        schema=["strategy", "user_id", "rank", "artwork_id", "score", "because_of"],
        orient="row",
    ),
    RECOMMENDATION,
)
LIKES = conform(pl.DataFrame({"artwork_id": ["a", "c"], "positive": [True, True]}), HISTORY)


def test_coverage_is_of_the_default_strategy_and_lists_all() -> None:
    values = coverage(CATALOGUE_ROWS, LIKES, count_exposure([RECOMMENDATIONS], "main"), "main")
    assert (values.main.reached, values.main.artworks, values.main.top_share) == (2, 4, 0.75)
    assert [(row.strategy, row.users, row.rows, row.spread.reached) for row in values.strategies] == [
        ("main", 3, 4, 2),
        ("new", 4, 4, 4),
    ]
    assert values.liked is not None
    assert values.liked.reached == 2
    assert values.reasons == {"an artwork of the visitor's history": 3, "popularity among all visitors": 1}


def test_a_grouping_that_repeats_another_is_left_out() -> None:
    # Each museum is a source of its own, and movements are not known.
    values = coverage(CATALOGUE_ROWS, LIKES, count_exposure([RECOMMENDATIONS], "main"), "main")
    assert list(values.groupings) == ["Museum"]
    assert [(group.name, group.recommended, group.liked) for group in values.groupings["Museum"]] == [
        ("X", 1.0, 0.5),
        ("Y", 0.0, 0.5),
    ]


def test_coverage_without_likes_compares_with_nothing() -> None:
    values = coverage(CATALOGUE_ROWS, empty_frame(HISTORY), count_exposure([RECOMMENDATIONS], "main"), "main")
    assert values.liked is None
    assert "liked by visitors" not in values.lorenz


def test_the_headline_compares_with_the_best_baseline() -> None:
    figures = {"model": {"hr@10": 0.3}, "als": {"hr@10": 0.1}, "ease": {"hr@10": 0.2}, "oracle": {"hr@10": 0.9}}
    summary = summarize_training({"version": "7", "figures": figures}, ["7"])
    assert headline(summary) == Headline("0.300", "Hit rate at 10; the best baseline, EASE, has 0.200")


def test_a_model_without_baselines_has_no_headline() -> None:
    assert headline(None) is None
    assert headline(summarize_training({"version": "7"}, ["7"])) is None
    assert headline(summarize_training({"version": "7", "figures": {"model": {"hr@10": 0.3}}}, ["7"])) is None
