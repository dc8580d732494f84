"""`artrec models`: what it prints, and which versions it does not promote."""

import json
from pathlib import Path

import pytest
import torch

from artrec_core.config import load
from artrec_core.errors import ArtrecError
from artrec_core.evaluation.gate import Criterion, Decision
from artrec_core.model.registry import Registry
from artrec_core.model.two_tower import Shape, TwoTower
from jobs import models
from tests.end_to_end.small_world import small_recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions: the champion, one whose weights are not numbers, and one that the gate found broken."""
    folder = tmp_path_factory.mktemp("models")
    path = small_recipe(folder)
    registry = Registry(load(path).store)
    for name in ("sound", "spoilt", "flat"):
        tower = TwoTower(Shape(8, 2, 8, 1, 1, 4), ["w1", "w2"])
        if name == "spoilt":
            torch.nn.init.constant_(tower.projection.weight, torch.nan)
        tower.save(folder / name)
        figures = {"model": {"ndcg@10": 0.25}, "popularity": {"ndcg@10": 0.125}}
        registry.register(folder / name, figures, {"fingerprint": name, "run_date": "2026-03-30"})
    registry.promote("1", "the first", by="train")
    decision = Decision((Criterion("model", False, "it gives every work the same score"),))
    decision_json = {"verdict": decision.verdict, "against": "1", "decision": decision.to_json()}
    registry.note_decision(registry.version("3"), json.dumps(decision_json))
    return path


def run_models(recipe: Path, capsys: pytest.CaptureFixture[str], *command: str) -> str:
    models.APP(["--config", str(recipe), *command], standalone_mode=False)
    return capsys.readouterr().out


def test_versions_are_listed_with_figures_verdicts_and_promotions(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run_models(recipe, capsys).splitlines()
    assert lines[0].startswith("ndcg@10 on held-out last positive events")
    assert lines[2].split() == ["1", "champion", "2026-03-30", "0.2500", "0.1250"]
    assert lines[4].split() == ["3", "challenger", "2026-03-30", "refused", "0.2500", "0.1250"]
    assert lines[5].endswith("1 promoted by train: the first")
    assert lines[6] == "3 refused: model: it gives every work the same score"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("2", "holds weights that are not finite"),
        ("3", "version 3 must not serve: it gives every work the same score"),
        ("9", "there is no model version '9'"),
        ("x", "there is no model version 'x'"),
    ],
)
def test_a_broken_version_cannot_be_promoted(
    recipe: Path, capsys: pytest.CaptureFixture[str], version: str, message: str
) -> None:
    with pytest.raises(ArtrecError, match=message):
        run_models(recipe, capsys, "promote", version)


def test_the_champion_stays_when_it_is_promoted_again(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_models(recipe, capsys, "promote", "1") == "version 1 is the champion already\n"


def test_the_first_champion_cannot_be_rolled_back(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArtrecError, match="nothing to roll back to"):
        run_models(recipe, capsys, "rollback")
