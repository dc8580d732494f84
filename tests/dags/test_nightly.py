"""The DAG `nightly`: the steps of `artrec nightly` in the same order, one task for each source, and safe backfills."""

import itertools

from airflow.sdk import DAG

from jobs.steps import STEPS
from tests.dags.conftest import upstream_tasks


def test_the_night_runs_the_steps_of_the_command_in_its_order(nightly: DAG) -> None:
    order = [*STEPS]
    assert upstream_tasks(nightly) == {
        "night": set(),
        "sources": set(),
        "crawl_source": {"night", "sources"},
        "crawl": {"crawl_source", "night"},
        **{step: {before, "night"} for before, step in itertools.pairwise(order)},
    }


def test_each_step_gets_the_arguments_that_the_command_gives_it(nightly: DAG) -> None:
    step_arguments = {step: tuple(nightly.get_task(step).arguments) for step in STEPS}
    assert step_arguments == STEPS


def test_each_source_is_crawled_by_a_task_of_its_own(nightly: DAG) -> None:
    assert nightly.get_task("crawl_source").is_mapped
    arguments = nightly.get_task("sources").python_callable("infra/recipes/museums.toml")
    assert [["--only", name] for name in ("tate", "carnegie", "walters")] == arguments[:3]


def test_the_night_is_safe_to_schedule_and_to_backfill(nightly: DAG) -> None:
    assert nightly.catchup is False
    assert nightly.max_active_runs == 1
    alone = {task.task_id for task in nightly.tasks if task.max_active_tis_per_dag == 1}
    assert alone == set(STEPS)
