"""
### The night of artrec

Takes in what museums and people sent, checks it, scores **every person against every artwork** and publishes the day's
tables. It fires at 00:30 UTC for the day that just ended, so the logical date is the night's date, and a backfill's dates are
the nights it runs.

| task | what it does |
|---|---|
| `night` | resolves the date once: the `date` parameter, else the logical date, else the day the run was queued |
| `sources` | the recipe's sources |
| `crawl_source` | one task a source: what it sent for the night, as received |
| `crawl` | gathers the sources and commits the day |
| `validate` … `report` | the steps of `artrec nightly`, in its order; `train` only when the registry has no champion yet |

**When a task fails**, the last line of its log says what to do. Run it again: a step that was killed anywhere resumes, a step
whose inputs did not change is done at once, and until `publish` is through apps go on reading the day before.

**Backfill** with `airflow backfill create --dag-id nightly --from-date 2026-03-01 --to-date 2026-03-30`: a night that is run
again replaces its day and no other.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain, task

from artrec_dags.night import date_param, night
from artrec_dags.operator import DEFAULTS, JobOperator
from artrec_dags.recipes import RECIPE, crawled_apart, read

# The order is `jobs.nightly.STEPS`' (a test holds them together); the hours are when a step is taken for stuck.
AFTER_CRAWL: dict[str, tuple[float, tuple[str, ...]]] = {
    "validate": (2, ()),
    "prepare": (2, ()),
    "train": (12, ("--if-needed",)),
    "embed": (4, ()),
    "score": (6, ()),
    "publish": (1, ()),
    "report": (1, ()),
}

read(RECIPE)  # a recipe that cannot be read is an import error of this file, with its key named

with DAG(
    dag_id="nightly",
    description="What museums and people sent, checked; every person scored against every artwork; published.",
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
        """The arguments of one crawl a source."""
        return [["--only", name] for name in crawled_apart(read(recipe))]

    date = night.override(execution_timeout=timedelta(minutes=5))()
    crawl_source = JobOperator.partial(
        task_id="crawl_source",
        job="crawl",
        config=RECIPE_PARAM,
        date=date,
        map_index_template="{{ task.arguments[1] }}",
    ).expand(arguments=sources(RECIPE_PARAM))
    # Runs of one night follow each other, but a backfill may run several at once: a step then waits for its like.
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
