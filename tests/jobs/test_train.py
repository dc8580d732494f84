"""The step train on a small night: a tiny random text tower, in one process."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError, GateFailed
from artrec_core.evaluation.task import EvaluationTask
from artrec_core.lake import Lake
from artrec_core.model.registry import Registry
from artrec_core.model.training_split import read_training_split
from jobs import embed, train
from jobs.step import run_step
from jobs.training.stages import stages_of
from tests.artrec_core.model.worlds import tiny_settings
from tests.conftest import ROOT
from tests.jobs.small_night import DAY, NEXT, commit_night, with_seed


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load(ROOT / "infra" / "recipes" / "demo.toml", tiny_settings(tmp_path))


def test_training_registers_one_version_measured_beside_the_baselines(recipe: Recipe):
    commit_night(recipe, DAY)
    manifest = run_step(train.STEP, recipe, DAY)
    assert manifest.figures["version"] == manifest.figures["champion"] == "1"
    for name in ("model", "popularity", "als", "ease"):
        assert 0 <= manifest.figures[name]["ndcg@10"] <= 1
    run_step(train.STEP, recipe, DAY)
    versions = Registry(recipe.store).versions()
    assert [version.name for version in versions] == ["1"]
    (promotion,) = Registry(recipe.store).promotions()
    assert (promotion.version, promotion.by, promotion.why) == ("1", "train", train.FIRST_CHAMPION)
    assert {"seed", "data", "code_version", "fingerprint"} <= versions[0].tags.keys()
    note = json.loads(Lake(recipe.store.lake).read_note(train.NOTE, DAY) or b"")
    assert {"loss", "validation"} <= set(next(line for line in note["lines"] if "epoch" in line))
    last = [stage.text.split(", loss")[0] for stage in stages_of(note["lines"])]
    assert last[0] == "text tower epoch 1 of 1, step 1 of 1"
    assert last[1] == "user tower epoch 2 of 2"


def test_a_night_with_a_champion_does_not_train(recipe: Recipe):
    commit_night(recipe, DAY)
    run_step(train.IF_NEEDED, recipe, DAY)
    commit_night(recipe, NEXT, changed="w03")
    assert run_step(train.IF_NEEDED, recipe, NEXT).figures == {"champion": "1", "trained": 0}


def test_a_training_killed_before_it_is_registered_leaves_no_version_and_goes_on(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    commit_night(recipe, DAY)
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "register", _die)
        with pytest.raises(KeyboardInterrupt):
            run_step(train.IF_NEEDED, recipe, DAY)
    assert Registry(recipe.store).versions() == []
    manifest = run_step(train.IF_NEEDED, recipe, DAY)
    assert manifest.figures["version"] == "1"
    assert Lake(recipe.store.lake).read_note(train.NOTE, DAY) is not None


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_challenger_is_registered_and_nothing_is_promoted(recipe: Recipe):
    commit_night(recipe, DAY)
    challenger = run_step(train.CHALLENGER, recipe, DAY)
    registry = Registry(recipe.store)
    assert registry.champion() is None
    assert [version.aliases for version in registry.versions()] == [("challenger",)]
    # The night needs a champion: the same version becomes it, without another training.
    again = run_step(train.IF_NEEDED, recipe, DAY)
    assert (challenger.figures["version"], again.figures["champion"]) == ("1", "1")
    assert again.seconds < challenger.seconds
    assert len(registry.versions()) == 1


def test_a_training_killed_between_registering_and_promoting_goes_on(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    commit_night(recipe, DAY)
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "promote", _die)
        with pytest.raises(KeyboardInterrupt):
            run_step(train.IF_NEEDED, recipe, DAY)
    assert run_step(train.IF_NEEDED, recipe, DAY).figures["champion"] == "1"


def test_a_broken_model_is_never_registered(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    from artrec_core.model.two_tower import TwoTower

    commit_night(recipe, DAY)
    with monkeypatch.context() as broken:
        broken.setattr(TwoTower, "artwork_vectors", lambda self, text, rows: torch.ones(len(rows), self.shape.dim))
        with pytest.raises(GateFailed, match="not registered, because it gives every artwork the same score"):
            run_step(train.IF_NEEDED, recipe, DAY)
    load = TwoTower.load

    def load_broken(folder: Path) -> TwoTower:
        tower = load(folder)
        for weight in tower.parameters():
            weight.data.fill_(torch.nan)
        return tower

    with monkeypatch.context() as broken:
        broken.setattr(TwoTower, "load", load_broken)
        with pytest.raises(GateFailed, match="not registered, because the vectors of 8 of 8 users are not finite"):
            run_step(train.IF_NEEDED, recipe, DAY)
    assert Registry(recipe.store).versions() == []


def test_without_a_holdout_all_events_are_trained_on_and_nothing_is_measured(recipe: Recipe):
    commit_night(recipe, DAY)
    with_holdout = run_step(train.STEP, recipe, DAY).figures
    without_holdout = recipe.model_copy(update={"train": recipe.train.model_copy(update={"holdout": False})})
    figures = run_step(train.STEP, without_holdout, DAY).figures
    assert (figures["version"], figures["people_tested"]) == ("2", 0)
    assert "model" not in figures
    # As many epochs as validated best with a holdout.
    assert figures["epochs"] == with_holdout["epochs"]
    version = Registry(recipe.store).versions()[-1]
    assert (version.tags["holdout"], version.aliases) == ("false", ("challenger",))
    note = json.loads(Lake(recipe.store.lake).read_note(train.NOTE, DAY) or b"")
    assert not any("validation" in line for line in note["lines"])


def test_without_a_holdout_the_workers_get_every_event(recipe: Recipe):
    commit_night(recipe, DAY)
    lake = Lake(recipe.store.lake)
    with_holdout, without_holdout = (read_training_split(lake, DAY, holdout=holdout) for holdout in (True, False))
    assert (
        len(with_holdout.test_users),
        len(without_holdout.test_users),
        without_holdout.held_out.validation.shape,
    ) == (
        8,
        0,
        (0, 2),
    )
    histories = Lake(recipe.store.lake).read("histories", DAY)
    assert without_holdout.held_out.train.equals(histories)
    assert len(EvaluationTask.from_split(without_holdout).before_test_sequences.artworks) == histories.height
    assert len(EvaluationTask.from_split(with_holdout).before_test_sequences.artworks) < histories.height


def test_a_version_whose_files_are_gone_is_trained_again(recipe: Recipe, capsys: pytest.CaptureFixture[str]):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    shutil.rmtree(recipe.store.artifacts)
    with pytest.raises(ArtrecError, match=f"train again with `artrec train --date {DAY}`"):
        run_step(embed.STEP, recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    assert "unchanged" not in capsys.readouterr().out
    assert [version.aliases for version in Registry(recipe.store).versions()] == [("champion",)]
    assert run_step(embed.STEP, recipe, DAY).figures["model_version"] == "1"


def test_a_new_version_serves_where_the_champions_files_are_gone(recipe: Recipe):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    registry = Registry(recipe.store)
    shutil.rmtree(registry.fetch(registry.version("1")))
    manifest = run_step(train.STEP, with_seed(recipe, 1), DAY)
    assert (manifest.figures["version"], manifest.figures["champion"]) == ("2", "2")
    assert registry.promotions()[-1].why == "the files of version 1 are gone; there was nothing to compare it with"
    # A retrain leaves it to the gate, and trains what is gone.
    assert run_step(train.CHALLENGER, recipe, DAY).figures["version"] == "1"
    assert registry.has_files(registry.version("1"))
