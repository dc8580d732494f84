"""
### Retrain artrec's model

Trains a model version on everything that is known at the end of the night's day, compares it with the champion on the same
held-out artworks, and promotes it if the gate accepts it or a user approves it. It runs every Monday with the recipe's
settings, and whenever a user fills in the form. An empty field means the recipe's value.

| task | what it does |
|---|---|
| `night` | resolves the date once: the `date` parameter, else the logical date, else the day the run was queued |
| `choices` | turns the form's answers into options of the jobs |
| `settings` | checks the recipe, the base model, the DeepSpeed file and the stores before training starts |
| `crawl`, `validate`, `prepare` | make the day's catalogue and histories; they end at once if these are already there |
| `train` | trains the version and registers it as the challenger |
| `gate` | evaluates the champion and the challenger on the same held-out split and decides, criterion by criterion |
| `decision` | chooses what follows: `promotion` if the challenger is accepted, `approval` if the recipe's `gate.ask` wants a user to decide, nothing if **promote** is off; it fails if the gate refused |
| `approval` | asks a user and shows the gate's table; no answer within three days means no |
| `promotion`, `promote` | make the version the champion and store the reason and who decided |

`artrec models` lists the versions. `artrec models promote V` and `artrec models rollback` change the champion from a shell.
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
from artrec_dags.recipes import RECIPE, read_recipe, recipe_paths

# Field of the form -> the recipe's key that its answer overrides.
KEYS = {
    "base_model": "model.base",
    "epochs": "train.text_epochs",
    "learning_rate": "train.text_learning_rate",
    "holdout": "train.holdout",
}
PARTS = ("settings", "train", "gate", "promote")
# A switch has no third state for "as the recipe says": Airflow would show it as off. So this field is a list of answers.
AS_RECIPE = "as the recipe says"
YES_OR_NO = {"yes": True, "no": False}


def arguments(params: Mapping[str, Any], part: str) -> list[str]:
    """The options of `jobs.retrain` for one of its parts, with an override for each field that was filled in.

    Parameters
    ----------
    params
        The answers of the form, by field; None for an empty field.
    part
        One of PARTS.

    Returns
    -------
    list of str
        Words of the command line.
    """
    answers = {**params, "holdout": YES_OR_NO.get(params["holdout"])}
    overrides = [f"{key}={_as_toml(answers[field])}" for field, key in KEYS.items() if answers.get(field) is not None]
    options = [word for override in overrides for word in ("--set", override)]
    return [*options, *([] if params["promote"] else ["--no-promote"]), "--only", part]


def _as_toml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def next_task(answer: Mapping[str, Any]) -> str | None:
    """The task that follows the gate's answer; None if nothing follows.

    Parameters
    ----------
    answer
        The JSON value that the job `retrain --only gate` answered.

    Raises
    ------
    AirflowFailException
        If the gate refused. Airflow does not retry the task: the gate would refuse again.
    """
    if answer["outcome"] == "refuse":
        raise AirflowFailException(f"the gate refused version {answer['version']}: {answer['against']}")
    return {"promote": "promotion", "wait": "approval"}.get(answer["outcome"])


def promotion_arguments(answer: Mapping[str, Any], approval: Mapping[str, Any] | None) -> list[str]:
    """The options of `jobs.retrain --only promote`: the version, who decided, and why.

    Parameters
    ----------
    answer
        The gate's answer.
    approval
        The result of the task `approval`; None if the gate decided.

    Returns
    -------
    list of str
        Words of the command line.
    """
    if approval is None:
        return ["--version", answer["version"], "--by", "gate"]
    user = (approval.get("responded_by_user") or {}).get("name") or "unknown"
    why = str((approval.get("params_input") or {}).get("why") or "approved in Airflow")
    return ["--version", answer["version"], "--by", f"person:{user}", "--why", why]


read_recipe(RECIPE)  # Airflow shows an invalid recipe as an import error of this file, with the key

with DAG(
    dag_id="retrain",
    description="Trains a model version, compares it with the champion and promotes it if it passes the gate.",
    doc_md=__doc__,
    # For the day that has just ended, as `nightly`, but some hours later.
    schedule=CronTriggerTimetable("0 6 * * 1", timezone="UTC", interval=timedelta(days=1)),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["artrec", "training"],
    params={
        "recipe": Param(RECIPE, type="string", enum=recipe_paths(), title="Recipe"),
        "date": date_param(),
        "base_model": Param(
            None,
            type=["null", "string"],
            pattern=r"^(package|folder|hub):\S+$",
            title="Base model",
            description="`package:NAME`, `folder:PATH` or `hub:ORG/NAME@REVISION`. Empty: the recipe's value.",
        ),
        "epochs": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=1000,
            title="Epochs",
            description="Number of epochs in which the text tower is trained. Empty: the recipe's value.",
        ),
        "learning_rate": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=1,
            title="Learning rate",
            description="Learning rate of the text tower. Empty: the recipe's value.",
        ),
        "holdout": Param(
            AS_RECIPE,
            type="string",
            enum=[AS_RECIPE, *YES_OR_NO],
            title="Hold out a test split",
            description="No: train on all events. Then the gate has no metrics, and a user decides.",
        ),
        "promote": Param(
            True,
            type="boolean",
            title="Promote",
            description="Make the version the champion if it passes the gate. Off: it is registered and compared, and nothing else changes.",
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
        """The task that follows the gate's answer."""
        if answer["outcome"] == "refuse":
            # Airflow's page shows an exception only below its traceback. So each reason is also logged, as a line of its own.
            for reason in answer["against"].split("; "):
                log.error("refused, the champion stays: %s", reason)
        return next_task(answer)

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, execution_timeout=timedelta(minutes=5))
    def promotion(options: list[str], answer: dict[str, Any]) -> list[str]:
        """The options of `promote`: the form's, the version, who decided, and why."""
        context: Any = get_current_context()
        approval = context["ti"].xcom_pull("approval") if answer["outcome"] == "wait" else None
        return [*options, *promotion_arguments(answer, approval)]

    date = night.override(execution_timeout=timedelta(minutes=5))()
    # Airflow's placeholder for the result of a task has no type.
    options: Any = choices()

    def part(name: str, arguments: Any, **task_options: Any) -> JobOperator:
        """The task of one part of the job `retrain`."""
        return JobOperator(
            task_id=name, job="retrain", config=RECIPE_PARAM, date=date, arguments=arguments, **task_options
        )

    settings = part("settings", options["settings"], execution_timeout=timedelta(minutes=30))
    catalogue = [
        JobOperator(task_id=job, job=job, config=RECIPE_PARAM, date=date) for job in ("crawl", "validate", "prepare")
    ]
    train = part("train", options["train"], execution_timeout=timedelta(hours=24))
    version = "{{ ti.xcom_pull('train')['version'] }}"
    gate = part("gate", [options["gate"], "--version", version], execution_timeout=timedelta(hours=6))
    answer: Any = gate.output
    approval = ApprovalOperator(
        task_id="approval",
        subject="Shall version {{ ti.xcom_pull('gate')['version'] }} become champion{{ ti.xcom_pull('gate')['place'] }}?",
        body="{{ ti.xcom_pull('gate')['against'] or 'The gate has no objection; the recipe wants a user to decide.' }}\n\n"
        "{{ ti.xcom_pull('gate')['told'] }}\n\n{{ ti.xcom_pull('gate')['table'] }}",
        params={
            "why": Param(
                "",
                type="string",
                title="Why",
                description="The reason; it is stored with the version if you approve it.",
            )
        },
        defaults=ApprovalOperator.REJECT,
        # Runs take turns: next Monday's run waits until this one has ended.
        response_timeout=timedelta(days=3),
    )
    promotion_options = promotion(options["promote"], answer)
    promote = part("promote", promotion_options, execution_timeout=timedelta(minutes=30))
    next_branch = decision(answer)
    chain(settings, *catalogue, train, gate, next_branch, approval, promotion_options)
    chain(next_branch, promotion_options)
