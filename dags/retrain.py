"""
### Retrain artrec's model

Trains a model version on everything known at the end of the night's day, and measures it beside popularity, ALS and EASE. It
runs by itself every Monday with the recipe's own settings, and whenever somebody fills in the form; a field left empty means what the
recipe says.

| task | what it does |
|---|---|
| `night` | resolves the date once: the `date` parameter, else the logical date, else the day the run was queued |
| `crawl`, `validate`, `prepare` | make sure that the day's catalogue and histories are there; nothing to do when they are |
| `choices` | the form's answers as `--set` options |
| `train` | trains and registers the version; with **promote** it becomes champion if it ranks held-out events better than the popular list |

`artrec models` lists the versions with their figures.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, chain, get_current_context, task

from artrec_dags.night import date_param, night
from artrec_dags.operator import DEFAULTS, JobOperator
from artrec_dags.recipes import RECIPE, read, shipped

# What the form asks for and the recipe's key that each answer overrides.
KEYS = {"base_model": "model.base", "epochs": "train.text_epochs", "learning_rate": "train.text_learning_rate"}


def train_arguments(params: Mapping[str, Any]) -> list[str]:
    """What `jobs.train` is told: an override for each field that was filled in, and whether to promote."""
    overrides = [f"{key}={params[field]}" for field, key in KEYS.items() if params.get(field) is not None]
    told = [word for override in overrides for word in ("--set", override)]
    return [*told, "--promote" if params["promote"] else "--no-promote"]


read(RECIPE)  # a recipe that cannot be read is an import error of this file, with its key named

with DAG(
    dag_id="retrain",
    description="Trains a model version and, if asked, promotes it.",
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
        "promote": Param(
            True,
            type="boolean",
            title="Promote",
            description="Make the version champion if it passes the gate. Off: it is registered and nothing else changes.",
        ),
    },
):
    RECIPE_PARAM = "{{ params.recipe }}"

    @task(execution_timeout=timedelta(minutes=5))
    def choices() -> list[str]:
        """The form's answers as the options of `jobs.train`."""
        context: Any = get_current_context()
        return train_arguments(context["params"])

    date = night.override(execution_timeout=timedelta(minutes=5))()
    catalogue = [
        JobOperator(task_id=job, job=job, config=RECIPE_PARAM, date=date) for job in ("crawl", "validate", "prepare")
    ]
    train = JobOperator(
        task_id="train",
        job="train",
        config=RECIPE_PARAM,
        date=date,
        arguments=choices(),
        execution_timeout=timedelta(hours=24),
    )
    chain(*catalogue, train)
