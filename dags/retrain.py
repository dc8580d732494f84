"""
### Retrain artrec's model

Trains a model version on everything known at the end of the night's day, holds it against the champion on the same held-out
works, and promotes it if the gate, or a person, says so. It runs by itself every Monday with the recipe's own settings, and
whenever somebody fills in the form; a field left empty means what the recipe says.

| task | what it does |
|---|---|
| `night` | resolves the date once: the `date` parameter, else the logical date, else the day the run was queued |
| `choices` | the form's answers as options of the jobs |
| `settings` | checks the recipe, the base model, the DeepSpeed file, registry and warehouse before anything starts |
| `crawl`, `validate`, `prepare` | make sure that the day's catalogue and histories are there; nothing to do when they are |
| `train` | trains and registers the version, the challenger |
| `gate` | reads champion and that version on the same future and decides, criterion by criterion |
| `decision` | what follows: `promotion` where the challenger is accepted, `approval` where the recipe's `gate.ask` wants a person, nothing where **promote** is off; it fails where the gate refused |
| `approval` | asks a person, with the gate's table; unanswered for three days is a no |
| `promotion`, `promote` | make the version champion and keep why and by whom |

`artrec models` lists the versions; `artrec models promote V` and `artrec models rollback` do from a shell what is done here.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, TriggerRule, chain, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from artrec_dags.night import date_param, night
from artrec_dags.operator import DEFAULTS, JobOperator, log
from artrec_dags.recipes import RECIPE, read, shipped

# What the form asks for and the recipe's key that each answer overrides.
KEYS = {
    "base_model": "model.base",
    "epochs": "train.text_epochs",
    "learning_rate": "train.text_learning_rate",
    "holdout": "train.holdout",
}
PARTS = ("settings", "train", "gate", "promote")
# A switch that may also be left alone looks switched off: what has three answers is a list of them.
AS_RECIPE = "as the recipe says"
YES_OR_NO = {"yes": True, "no": False}


def arguments(params: Mapping[str, Any], part: str) -> list[str]:
    """What `jobs.retrain` is told for one of its parts: an override for each field that was filled in."""
    answers = {**params, "holdout": YES_OR_NO.get(params["holdout"])}
    overrides = [f"{key}={_toml(answers[field])}" for field, key in KEYS.items() if answers.get(field) is not None]
    told = [word for override in overrides for word in ("--set", override)]
    return [*told, *([] if params["promote"] else ["--no-promote"]), "--only", part]


def _toml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def next_task(answer: Mapping[str, Any]) -> str | None:
    """The task that follows from what the gate answered. Raises `AirflowFailException` where it refused: trying again changes nothing."""
    if answer["outcome"] == "refuse":
        raise AirflowFailException(f"the gate refused version {answer['version']}: {answer['against']}")
    return {"promote": "promotion", "wait": "approval"}.get(answer["outcome"])


def promotion_arguments(answer: Mapping[str, Any], approved: Mapping[str, Any] | None) -> list[str]:
    """Which version `jobs.retrain` promotes, by whose word and why."""
    if approved is None:
        return ["--version", answer["version"], "--by", "gate"]
    who = (approved.get("responded_by_user") or {}).get("name") or "unknown"
    why = str((approved.get("params_input") or {}).get("why") or "approved in Airflow")
    return ["--version", answer["version"], "--by", f"person:{who}", "--why", why]


read(RECIPE)  # a recipe that cannot be read is an import error of this file, with its key named

with DAG(
    dag_id="retrain",
    description="Trains a model version, compares it with the champion and promotes it if it passes the gate.",
    doc_md=__doc__,
    # Fires for the day that just ended, as `nightly` does, and after it.
    schedule=CronTriggerTimetable("0 6 * * 1", timezone="UTC", interval=timedelta(days=1)),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["artrec", "training"],
    params={
        "recipe": Param(RECIPE, type="string", enum=shipped(), title="Recipe"),
        "date": date_param(),
        "base_model": Param(
            None,
            type=["null", "string"],
            pattern=r"^(package|folder|hub):\S+$",
            title="Base model",
            description="`package:NAME`, `folder:PATH` or `hub:ORG/NAME@REVISION`; empty: the recipe's.",
        ),
        "epochs": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=1000,
            title="Epochs",
            description="Passes of the text tower's phase; empty: the recipe's.",
        ),
        "learning_rate": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=1,
            title="Learning rate",
            description="Of the text tower's phase; empty: the recipe's.",
        ),
        "holdout": Param(
            AS_RECIPE,
            type="string",
            enum=[AS_RECIPE, *YES_OR_NO],
            title="Hold out a test",
            description="No: train on all there is; nothing is measured, so a person decides.",
        ),
        "promote": Param(
            True,
            type="boolean",
            title="Promote",
            description="Make the version champion if it passes the gate. Off: it is registered and compared, and nothing else changes.",
        ),
    },
):
    RECIPE_PARAM = "{{ params.recipe }}"

    @task(multiple_outputs=True, execution_timeout=timedelta(minutes=5))
    def choices() -> dict[str, list[str]]:
        """The form's answers as the options of each part of `jobs.retrain`."""
        context: Any = get_current_context()
        return {part: arguments(context["params"], part) for part in PARTS}

    @task.branch(execution_timeout=timedelta(minutes=5))
    def decision(answer: dict[str, Any]) -> str | None:
        """What follows from the gate's answer."""
        if answer["outcome"] == "refuse":
            # Airflow's page shows what is raised at the edge of a traceback: the reasons stand above it, a line each.
            for reason in answer["against"].split("; "):
                log.error("refused, the champion stays: %s", reason)
        return next_task(answer)

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, execution_timeout=timedelta(minutes=5))
    def promotion(told: list[str], answer: dict[str, Any]) -> list[str]:
        """Which version is promoted, by whose word and why."""
        context: Any = get_current_context()
        approved = context["ti"].xcom_pull("approval") if answer["outcome"] == "wait" else None
        return [*told, *promotion_arguments(answer, approved)]

    date = night.override(execution_timeout=timedelta(minutes=5))()
    # Results of tasks stand for what they will be: typed by nothing yet.
    told: Any = choices()

    def part(name: str, options: Any, **care: Any) -> JobOperator:
        """A part of the job `retrain`."""
        return JobOperator(task_id=name, job="retrain", config=RECIPE_PARAM, date=date, arguments=options, **care)

    settings = part("settings", told["settings"], execution_timeout=timedelta(minutes=30))
    catalogue = [
        JobOperator(task_id=job, job=job, config=RECIPE_PARAM, date=date) for job in ("crawl", "validate", "prepare")
    ]
    train = part("train", told["train"], execution_timeout=timedelta(hours=24))
    version = "{{ ti.xcom_pull('train')['version'] }}"
    gate = part("gate", [told["gate"], "--version", version], execution_timeout=timedelta(hours=6))
    answer: Any = gate.output
    approval = ApprovalOperator(
        task_id="approval",
        subject="Shall version {{ ti.xcom_pull('gate')['version'] }} become champion{{ ti.xcom_pull('gate')['place'] }}?",
        body="{{ ti.xcom_pull('gate')['against'] or 'The gate has no doubt; the recipe wants a person to decide.' }}\n\n"
        "{{ ti.xcom_pull('gate')['told'] }}\n\n{{ ti.xcom_pull('gate')['table'] }}",
        params={"why": Param("", type="string", title="Why", description="Of a version that is approved, it is kept.")},
        defaults=ApprovalOperator.REJECT,
        # The next Monday's run waits for this one.
        response_timeout=timedelta(days=3),
    )
    chosen = promotion(told["promote"], answer)
    promote = part("promote", chosen, execution_timeout=timedelta(minutes=30))
    decided = decision(answer)
    chain(settings, *catalogue, train, gate, decided, approval, chosen)
    chain(decided, chosen)
