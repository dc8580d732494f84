"""One evaluation: training, report page, gate and `artrec evaluate` show the same numbers for the same models."""

import json
from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.lake import Lake
from artrec_core.model.registry import Registry
from jobs import evaluate, train
from jobs.pages import figure_text
from jobs.pages.training import summarize_training
from jobs.step import Night, run_step
from jobs.training.comparison import compare_versions
from jobs.training.tags import BASELINE_SETTINGS
from tests.jobs.tribes_night import CONFIG, DAY, commit_tribes

# Models by their names in `train` and in `evaluate`.
MODELS = {"model": "full", "popularity": "popularity", "als": "als", "ease": "ease"}
METRICS = ("hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr@10", "ndcg@20")


@pytest.mark.slow  # four models, each in a process of its own
@pytest.mark.timeout(900)
def test_page_gate_and_evaluate_show_the_same_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = commit_tribes(tmp_path)
    recipe = load(CONFIG, settings)
    lake = Lake(recipe.store.lake)
    registered = run_step(train.STEP, recipe, DAY).figures
    printed = capsys.readouterr().out
    note = json.loads(lake.read_note(train.NOTE, DAY) or b"")
    page = summarize_training(note, served_versions=["1"])
    night = Night(recipe, DAY, made_from={"histories": "tribes"})
    evaluated = evaluate.evaluate_models(night, CONFIG, settings, list(MODELS.values()), [recipe.train.seed])
    registry = Registry(recipe.store)
    gate = compare_versions(night, registry, registry.versions()[0])

    values_on_page = {
        (metric.metric, score.name): score.value
        for metric in (*page.main_metrics, *page.other_metrics)
        for score in metric.scores
    }
    names_on_page = {"model": "artrec's model", "popularity": "popularity", "als": "ALS", "ease": "EASE"}
    for name, evaluated_name in MODELS.items():
        accuracy = evaluated["models"][evaluated_name]["accuracy"]["everyone"]
        for metric in METRICS:
            assert registered[name][metric] == accuracy[metric], (name, metric)
            assert values_on_page[metric, names_on_page[name]] == accuracy[metric], (name, metric)
        assert f"ndcg@10 {figure_text(accuracy['ndcg@10'])}" in printed
        if name != "model":
            chosen = evaluated["models"][evaluated_name]["runs"][0]["chosen"]
            assert registered[BASELINE_SETTINGS][name] == chosen
    assert "popularity (positive events); ALS (positive events, alpha " in page.text
    assert gate.figures["ndcg@10"] == pytest.approx(registered["model"]["ndcg@10"], abs=1e-6)
    assert gate.figures["popularity"] == pytest.approx(registered["popularity"]["ndcg@10"], abs=1e-6)
