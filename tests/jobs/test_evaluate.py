"""`artrec evaluate` on two tribes of users, with a tiny random text tower."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from artrec_core.errors import ArtrecError
from artrec_core.evaluation.lists import read_lists
from artrec_core.evaluation.ranking import accuracy_of_lists
from artrec_core.lake import Lake
from jobs import evaluate
from jobs.evaluation.tables import LOG_WIDTH, print_evaluation
from jobs.evaluation.task import Protocol
from jobs.evaluation.worker import AMONG_HIDDEN_LISTS, LISTS
from jobs.step import Night
from tests.artrec_core.recs.evaluation_worlds import ARTWORK_IDS, task_of, tribes
from tests.end_to_end.small_world import small_recipe
from tests.jobs.tribes_night import CONFIG, DAY, commit_tribes, recipe_of


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    return commit_tribes(tmp_path)


@pytest.fixture
def night(settings: list[str]) -> Night:
    return Night(recipe_of(settings), DAY, made_from={"histories": "tribes"})


def options_with(**changes: Any) -> dict[str, Any]:
    """The defaults of the command line, with these changes."""
    options = {"models": "ease", "ablations": False, "seeds": "0", "protocol": "leave-one-out", "cold_share": 0.0}
    return {**options, "unseen_museum": [], "out": None, **changes}


def printed(evaluation: dict[str, Any]) -> str:
    console = Console(width=LOG_WIDTH, record=True, file=StringIO())
    print_evaluation(evaluation, console)
    return console.export_text()


def test_the_figures_are_those_of_the_dumped_lists(night: Night, settings: list[str]):
    evaluation = evaluate.evaluate_models(night, CONFIG, settings, ["popularity", "ease"], [0])
    held_out = task_of(tribes())[1]
    for model in ("popularity", "ease"):
        lists = Path(evaluation["folder"]) / f"{model}-seed0" / LISTS
        ids = read_lists(lists, held_out.test["user_id"].to_list(), ARTWORK_IDS, 20)
        targets = np.array([ARTWORK_IDS.index(artwork) for artwork in held_out.test["artwork_id"]])
        figures = evaluation["models"][model]["accuracy"]["everyone"]
        assert figures["ndcg@10"] == pytest.approx(accuracy_of_lists(ids, targets)["ndcg@10"].mean(), abs=1e-6)
        run = evaluation["models"][model]["runs"][0]
        assert set(run["seconds"]) == {"choose", "fit", "score"}
        assert run["peak_memory_mb"] > 50
        seen = pl.concat([held_out.before_test.select("user_id", "artwork_id"), held_out.test.clear()])
        assert pl.read_parquet(lists).join(seen, on=["user_id", "artwork_id"]).height == 0
    # EASE knows the tribes; the popular list does not.
    assert (
        evaluation["models"]["ease"]["accuracy"]["everyone"]["hr@5"]
        > evaluation["models"]["popularity"]["accuracy"]["everyone"]["hr@5"]
    )
    text = printed(evaluation)
    assert "16 users, 24 artworks ranked, seen artworks excluded" in text
    assert "users with < 10 events: 16 users" in text
    assert "test artworks unseen in training" not in text  # another user has an event with every test artwork


def test_an_answer_that_stands_is_not_made_again_and_the_lake_is_only_read(night: Night, settings: list[str]):
    first = evaluate.evaluate_models(night, CONFIG, settings, ["popularity"], [0])
    lists = Path(first["folder"]) / "popularity-seed0" / LISTS
    written = lists.stat().st_mtime_ns
    assert evaluate.evaluate_models(night, CONFIG, settings, ["popularity"], [0]) == first
    assert lists.stat().st_mtime_ns == written
    assert night.lake.find_manifest("text_vectors", DAY) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": "popularity,sasrec"}, "--models takes some of .*text-lora.* not sasrec"),
        ({"seeds": "0,x"}, "--seeds takes whole numbers"),
        ({"protocol": "random"}, "there is no protocol 'random'; use one of leave-one-out, time-split"),
        ({"cold_share": 0.1, "unseen_museum": ["tate"]}, "two ways to hide artworks"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(changes: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(ArtrecError, match=message):
        evaluate.command(str(small_recipe(tmp_path)), DAY, [], **options_with(**changes))
    assert not (tmp_path / "lake").exists()


def test_a_museum_that_no_model_saw_is_all_that_is_tested(night: Night, settings: list[str]):
    evaluation = evaluate.evaluate_models(
        night, CONFIG, settings, ["popularity", "ease"], [0], Protocol(unseen_museums=("south",))
    )
    held_out = task_of(tribes())[1].test
    south = held_out.filter(pl.col("artwork_id").is_in(ARTWORK_IDS[12:]))
    assert 0 < south.height < held_out.height
    assert evaluation["counts"]["hidden_artworks"] == 12
    assert {
        evaluation["counts"]["asked"][name] for name in ("everyone", "unseen_artworks", "among_hidden_artworks")
    } == {south.height}
    folder = Path(evaluation["folder"])
    for name in ("train", "validation", "before_test"):
        assert set(pl.read_parquet(folder / "question" / f"{name}.parquet")["artwork_id"]) <= set(ARTWORK_IDS[:12])
    hidden_lists = pl.read_parquet(folder / "ease-seed0" / AMONG_HIDDEN_LISTS)
    assert set(hidden_lists["artwork_id"]) <= set(ARTWORK_IDS[12:])
    assert set(hidden_lists["user_id"]) == set(south["user_id"])
    # Lists hold no more than the 12 hidden artworks.
    assert hidden_lists.group_by("user_id").len()["len"].max() <= 12
    text = printed(evaluation)
    assert "all 12 artworks of south hidden from training, and only they are tested" in text
    assert "among hidden artworks alone" in text
    assert "test artworks unseen in training" not in text


def test_the_parts_of_the_model_are_ablations_only_beside_others():
    assert evaluate._ablation_descriptions([*evaluate.BASELINES, *evaluate.OWN_MODELS]) == {}
    descriptions = evaluate._ablation_descriptions(["ease", "full", "text-only", "text-frozen"])
    assert descriptions == {"text-only": "no id vectors", "text-frozen": "the text tower without fine-tuning"}


@pytest.mark.slow
def test_ablations_are_printed_beside_the_full_model(night: Night, settings: list[str]):
    models = ["full", "text-frozen", "no-matching", "no-interests", "no-transformer", "text-lora"]
    evaluation = evaluate.evaluate_models(night, CONFIG, settings, models, [0])
    assert list(evaluation["ablations"]) == models[1:]
    assert set(evaluation["differences"]) == {f"full - {model}" for model in models[1:]}
    text = printed(evaluation)
    assert "each part's effect" in text
    assert "no text-to-artwork matching" in text
    mean = evaluation["differences"]["full - no-interests"]["everyone"]["ndcg@10"]["mean"]
    assert f"{0.0 - mean:+.4f} [" in text


@pytest.mark.slow
def test_every_model_with_hidden_works_and_several_seeds(night: Night, settings: list[str]):
    models = [*evaluate.BASELINES, *evaluate.OWN_MODELS]
    evaluation = evaluate.evaluate_models(night, CONFIG, settings, models, [0, 1], Protocol(cold_share=0.25))
    assert list(evaluation["models"]) == models
    assert [len(figures["runs"]) for figures in evaluation["models"].values()] == [1, 1, 1, 2, 2, 2]
    assert evaluation["counts"]["hidden_artworks"] == 6
    for name in ("full", "text-only"):
        figures = evaluation["models"][name]
        assert {"everyone", "hidden_artworks", "among_hidden_artworks", "hidden_events"} <= set(figures["accuracy"])
        assert figures["sd"]["everyone"]["ndcg@10"] >= 0
        assert 0 <= figures["runs"][0]["validation"] <= 1
    assert set(evaluation["differences"]) == {f"full - {model}" for model in models if model != "full"}
    assert "all hidden artworks of a user's history" in printed(evaluation)


@pytest.mark.slow
def test_the_command_runs_what_is_missing_and_writes_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out" / "figures.json"
    config = str(small_recipe(tmp_path))
    evaluate.command(config, DAY, [], **options_with(models="popularity,als", protocol="time-split", out=out))
    note = Lake(str(tmp_path / "lake")).read_note("evaluation-time-split.json", DAY)
    assert note == out.read_bytes()
    assert json.loads(note)["models"]["als"]["runs"][0]["chosen"]["factors"] > 0
    assert "accuracy at 5, 10, 20" in capsys.readouterr().out
