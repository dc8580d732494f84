"""What a retrain does with the gate's decision, in a registry of tiny versions; nothing is trained."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artrec_core.config import Recipe, load
from artrec_core.errors import ConfigError, GateFailed
from artrec_core.evaluation.gate import Criterion, Decision
from artrec_core.model.registry import Registry
from artrec_core.model.two_tower import Shape, TwoTower
from jobs import retrain
from tests.artrec_core.model.worlds import tiny_settings
from tests.conftest import ROOT

DAY = "2026-03-30"
FIGURES = {"ndcg@10": 0.25, "popularity": 0.125, "people": 8.0}
ACCEPTED = Decision((Criterion("popularity", True, "it is better"),), FIGURES)
DOUBTFUL = Decision((Criterion("holdout", None, "it was not measured"),), FIGURES)
REFUSED = Decision((Criterion("popularity", False, "it is worse"),), FIGURES)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Version 1 is the champion, version 2 a challenger; the gate has not decided about version 3."""
    folder = tmp_path_factory.mktemp("retrain")
    recipe = load(ROOT / "infra" / "recipes" / "demo.toml", tiny_settings(folder))
    registry = Registry(recipe.store)
    for name in ("first", "second", "third"):
        TwoTower(Shape(8, 2, 8, 1, 1, 4), ["w1", "w2", name]).save(folder / name)
        registry.register(folder / name, {}, {"fingerprint": name, "run_date": DAY})
    registry.promote("1", "the first", by="train")
    return recipe


@pytest.fixture
def recipe(registered: Recipe) -> Iterator[Recipe]:
    """The registry, in which version 1 is the champion again after a test that promoted another."""
    yield registered
    if champion(registered) != "1":
        Registry(registered.store).promote("1", "the next test", by="test")


def store_decision(recipe: Recipe, decision: Decision, against: str = "1") -> None:
    registry = Registry(recipe.store)
    note = {"night": DAY, "against": against, "verdict": decision.verdict, "decision": decision.to_json()}
    registry.note_decision(registry.version("2"), json.dumps(note))


def champion(recipe: Recipe) -> str:
    version = Registry(recipe.store).champion()
    assert version is not None
    return version.name


def conclude(recipe: Recipe, decision: Decision | None, promote: bool | None = None) -> int:
    return retrain._conclude(recipe, "r.toml", DAY, Registry(recipe.store).version("2"), decision, promote)


def test_an_accepted_version_becomes_the_champion(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    store_decision(recipe, ACCEPTED)
    assert conclude(recipe, ACCEPTED) == 0
    assert champion(recipe) == "2"
    assert "version 2 is champion now in the place of version 1, by gate: NDCG@10 0.2500" in capsys.readouterr().out
    assert Registry(recipe.store).promotions()[-1].why.startswith(f"night of {DAY}: NDCG@10 0.2500")


@pytest.mark.parametrize(
    ("decision", "promote", "status", "message"),
    [
        (REFUSED, None, retrain.REFUSED, "registered but not promoted, the champion stays as it was: popularity: it is worse"),
        (REFUSED, True, retrain.REFUSED, "registered but not promoted"),
        (DOUBTFUL, None, retrain.WAITING, "waits for a person: holdout: it was not measured. To make it champion: artrec"),
        (DOUBTFUL, False, 0, "doubtful by the gate (holdout: it was not measured); nothing was promoted"),
        (ACCEPTED, False, 0, "accepted by the gate; nothing was promoted"),
        (None, None, 0, "version 2 is the champion already"),
    ],
)  # fmt: skip
def test_otherwise_the_champion_stays_and_the_reason_is_printed(
    recipe: Recipe,
    capsys: pytest.CaptureFixture[str],
    decision: Decision | None,
    promote: bool | None,
    status: int,
    message: str,
) -> None:
    if decision is not None:
        store_decision(recipe, decision)
    assert conclude(recipe, decision, promote) == status
    output = capsys.readouterr()
    assert message in output.out + output.err
    assert champion(recipe) == "1"


def test_a_person_can_accept_a_doubtful_version_beforehand(recipe: Recipe) -> None:
    store_decision(recipe, DOUBTFUL)
    assert conclude(recipe, DOUBTFUL, promote=True) == 0
    promotion = Registry(recipe.store).promotions()[-1]
    assert promotion.by.startswith("shell:")
    assert "asked for with --promote; in doubt: holdout: it was not measured" in promotion.why


@pytest.mark.parametrize(
    ("decision", "against", "by", "message"),
    [
        (ACCEPTED, "7", "gate", "compared version 2 with version 7, but version 1 is champion now"),
        (DOUBTFUL, "1", "gate", "did not accept version 2: holdout"),
        (REFUSED, "1", "person:Ann", "did not accept version 2: popularity"),
    ],
)
def test_a_promotion_that_the_decision_does_not_allow_fails(
    recipe: Recipe, decision: Decision, against: str, by: str, message: str
) -> None:
    store_decision(recipe, decision, against)
    with pytest.raises(GateFailed, match=message):
        retrain.promote_version(recipe, "2", by, "")
    assert champion(recipe) == "1"


def test_without_a_decision_of_the_gate_nothing_is_promoted(recipe: Recipe) -> None:
    with pytest.raises(GateFailed, match="the gate has not decided about version 3"):
        retrain.promote_version(recipe, "3", "gate", "")


def test_the_answer_for_the_dag_has_the_outcome_and_the_table(recipe: Recipe) -> None:
    answer: dict[str, Any] = retrain._answer(recipe, Registry(recipe.store).version("2"), DOUBTFUL, None)
    assert (answer["version"], answer["outcome"]) == ("2", "wait")
    assert answer["against"] == "holdout: it was not measured"
    assert answer["place"] == " in the place of version 1"
    assert answer["table"].splitlines()[-1] == "| holdout | ? | it was not measured |"
    assert retrain._answer(recipe, Registry(recipe.store).version("1"), None, None)["outcome"] == "keep"


def test_settings_that_cannot_work_are_refused_before_anything_starts(recipe: Recipe, tmp_path: Path) -> None:
    odd = recipe.model_copy(update={"model": recipe.model.model_copy(update={"heads": 3})})
    with pytest.raises(ConfigError, match=r"must be a multiple of model\.heads 3"):
        retrain.check_settings(odd)
    file = tmp_path / "deepspeed.json"
    file.write_text("{stage: 2}")
    train = recipe.train.model_copy(update={"launcher": "ray", "deepspeed": str(file)})
    with pytest.raises(ConfigError, match="is not JSON"):
        retrain.check_settings(recipe.model_copy(update={"train": train}))
