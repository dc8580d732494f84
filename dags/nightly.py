"""
### The night of artrec

Crawls the records of museums and users, checks them, scores **every user against every artwork** and publishes the day's
tables. It runs at 00:30 UTC for the day that has just ended. So the logical date is the night's date, and the dates of a
backfill are the nights that it runs.

| task | what it does |
|---|---|
| `night` | resolves the date once: the `date` parameter, else the logical date, else the day the run was queued |
| `sources` | lists the recipe's sources |
| `crawl_source` | one task for each source: stores the records of the night as they were received |
| `crawl` | crawls the remaining sources and commits the day |
| `validate` … `report` | the steps of `artrec nightly`, in the same order; `train` does its work only if the registry has no champion yet |

**If a task fails**, the last line of its log says what to do. Then run it again: a step that was killed resumes, and a step
whose inputs are unchanged ends at once. Until `publish` has ended, applications read the day before.

**Backfill** with `airflow backfill create --dag-id nightly --from-date 2026-03-01 --to-date 2026-03-30`: a night that is run
again replaces its own day and no other.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain, task

from artrec_dags.night import date_param, night
from artrec_dags.operator import DEFAULTS, JobOperator
from artrec_dags.recipes import RECIPE, independent_sources, read_recipe

# Step -> (hours after which it counts as stuck, its arguments). A test compares order and arguments with `jobs.steps.STEPS`.
AFTER_CRAWL: dict[str, tuple[float, tuple[str, ...]]] = {
    "validate": (2, ()),
    "prepare": (2, ()),
    "train": (12, ("--if-needed",)),
    "embed": (4, ()),
    "score": (6, ()),
    "publish": (1, ()),
    "report": (1, ()),
}

read_recipe(RECIPE)  # Airflow shows an invalid recipe as an import error of this file, with the key

with DAG(
    dag_id="nightly",
    description="Checks new records, scores every user against every artwork and publishes the tables.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("30 0 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["artrec", "nightly"],
    params={
        "date": date_param(),
        "recipe": Param(RECIPE, type="string", minLength=1, title="Recipe", description="A TOML file."),
    },
):
    RECIPE_PARAM = "{{ params.recipe }}"

    @task(execution_timeout=timedelta(minutes=5))
    def sources(recipe: str) -> list[list[str]]:
        """The arguments of `crawl` for each source."""
        return [["--only", name] for name in independent_sources(read_recipe(recipe))]

    date = night.override(execution_timeout=timedelta(minutes=5))()
    crawl_source = JobOperator.partial(
        task_id="crawl_source",
        job="crawl",
        config=RECIPE_PARAM,
        date=date,
        map_index_template="{{ task.arguments[1] }}",
    ).expand(arguments=sources(RECIPE_PARAM))
    # `max_active_runs` does not hold for a backfill, which may run several nights at once. But a step runs for one night at a
    # time.
    crawl = JobOperator(task_id="crawl", job="crawl", config=RECIPE_PARAM, date=date, max_active_tis_per_dag=1)
    steps = [
        JobOperator(
            task_id=job,
            job=job,
            config=RECIPE_PARAM,
            date=date,
            arguments=arguments,
            execution_timeout=timedelta(hours=hours),
            max_active_tis_per_dag=1,
        )
        for job, (hours, arguments) in AFTER_CRAWL.items()
    ]
    chain(crawl_source, crawl, *steps)
