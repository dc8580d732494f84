"""A refusal of consent reaches the histories, whatever else is wrong with its row or its file."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from artrec_core.columns import CONSENT, INTERESTS, USER_ID
from artrec_core.config import Recipe
from artrec_core.lake import Lake
from jobs import crawl, prepare, validate
from jobs.step import run_step

FIRST, SECOND = "2026-03-01", "2026-03-02"
ARTWORK_IDS = [str(number) for number in range(5)]


def write(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))


def small_recipe(folder: Path, *user_sources: str) -> Recipe:
    store = {name: str(folder / name) for name in ("lake", "warehouse", "mlflow", "artifacts", "work")}
    fields = {"artwork_id": "id", "title": "title"}
    artworks = {"name": "gallery", "kind": "jsonl", "path": str(folder / "artworks.jsonl"), "licence": "CC0"}
    values = {
        "name": "small",
        "store": store,
        "sources": [{**artworks, "fields": fields}],
        "events": [{"name": "app", "kind": "file", "path": str(folder / "events.jsonl"), "artwork_source": "gallery"}],
        "users": [{"name": name, "path": str(folder / f"{name}-{{date}}.jsonl")} for name in user_sources],
        "rules": {"min_rows": 0, "max_quarantine_share": 1.0, "max_duplicate_share": 1.0, "max_volume_drop": 1.0},
        "prepare": {"min_artworks": 1},
    }
    write(folder / "artworks.jsonl", [{"id": number, "title": f"Work {number}"} for number in ARTWORK_IDS])
    event = {"kind": "like", "occurred_at": "2026-02-27T10:00:00Z"}
    write(
        folder / "events.jsonl",
        [event | {"user_id": user, "artwork_id": work} for user in ("u1", "u3", 777) for work in ARTWORK_IDS],
    )
    return Recipe.model_validate(values)


def night(recipe: Recipe, day: str, folder: Path, **users: list[Any]) -> set[str]:
    """Crawl, validate and prepare a day on which these user files came; the users who have a history."""
    for source in recipe.users:
        write(folder / f"{source.name}-{day}.jsonl", users.get(source.name, []))
    for step in (crawl.STEP, validate.STEP, prepare.STEP):
        run_step(step, recipe, day)
    return set(Lake(recipe.store.lake).read("histories", day)[USER_ID])


@pytest.mark.parametrize(
    ("row", "user"),
    [
        ({"user_id": "u3", "locale": "-", "consent": False}, "u3"),
        ({"user_id": "u3", "consent": "f"}, "u3"),
        ({"user_id": "u3", "consent": "N"}, "u3"),
        ({"user_id": "u3", "consent": "off"}, "u3"),
        ({"user_id": "u3", "consent": "nix"}, "u3"),
        ({"user_id": "u3", "consent": False, "interests": ["the sea"]}, "u3"),
        ({"user_id": "u3", "consent": False, "interests": {"of": "art"}}, "u3"),
        ({"user_id": "u3", "consent": False, "interests": "the\0sea"}, "u3"),
        ({"user_id": "u3 ", "consent": False}, "u3"),
        ({"user_id": "777.0", "consent": False}, "777"),
        ({"user_id": 777.0, "consent": False}, "777"),
    ],
    ids=str,
)
def test_a_refusal_is_obeyed_whatever_its_row_looks_like(row: dict[str, Any], user: str, tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, "people")
    rows = [row, {"user_id": "u1", "consent": True}]
    assert night(recipe, FIRST, tmp_path, people=rows) == {"u1", "u3", "777"} - {user}
    people = Lake(recipe.store.lake).read("people", FIRST)
    assert people.filter(pl.col(USER_ID) == user).select(CONSENT, INTERESTS).rows() == [(False, None)]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_source_that_only_brings_interests_lifts_no_refusal(names: tuple[str, str], tmp_path: Path) -> None:
    refuses, tells = names
    recipe = small_recipe(tmp_path, *sorted(names))
    files = {refuses: [{"user_id": "u3", "consent": False}], tells: [{"user_id": "u3", "interests": "the sea"}]}
    assert night(recipe, FIRST, tmp_path, **files) == {"u1", "777"}
    files = {tells: [{"user_id": "u3", "interests": "boats", "consent": True}]}
    assert night(recipe, SECOND, tmp_path, **files) == {"u1", "777"}


@pytest.mark.parametrize(
    "row", [{"user_id": "u3"}, {"user_id": "u3", "consent": ""}, {"user_id": "u3", "consent": "?"}]
)
def test_a_later_row_without_an_answer_lifts_no_refusal(row: dict[str, Any], tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, "people")
    night(recipe, FIRST, tmp_path, people=[{"user_id": "u3", "consent": False}])
    assert night(recipe, SECOND, tmp_path, people=[row]) == {"u1", "777"}


def test_a_row_without_an_answer_behind_the_refusal_lifts_nothing(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, "people")
    rows = [{"user_id": "u3", "consent": False}, {"user_id": "u3", "interests": "the sea"}]
    assert night(recipe, FIRST, tmp_path, people=rows) == {"u1", "777"}


def test_a_user_who_agrees_later_has_a_history_again(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, "people")
    night(recipe, FIRST, tmp_path, people=[{"user_id": "u3", "consent": False}])
    assert night(recipe, SECOND, tmp_path, people=[{"user_id": "u3", "consent": "yes"}]) == {"u1", "u3", "777"}


def test_an_agreement_in_quarantine_lifts_no_refusal(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, "people")
    night(recipe, FIRST, tmp_path, people=[{"user_id": "u3", "consent": False}])
    assert night(recipe, SECOND, tmp_path, people=[{"user_id": "u3", "locale": "-", "consent": True}]) == {"u1", "777"}


def test_a_user_who_was_never_asked_has_a_history(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, "people")
    assert night(recipe, FIRST, tmp_path, people=[{"user_id": "u3"}]) == {"u1", "u3", "777"}
