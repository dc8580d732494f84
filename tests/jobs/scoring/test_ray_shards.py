"""Shards as Ray tasks give the same tables as shards in this process, whatever is lost on the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artrec_core.config import Recipe
from artrec_core.lake import Lake
from jobs.score import ALL_PAIRS, STEP, TABLES
from jobs.scoring.ray_shards import threads_per_task
from jobs.step import run_step
from tests.conftest import ROOT
from tests.jobs.crowd import DAY, write_crowd
from tests.jobs.scored_world import recipe_in

USERS, ARTWORKS = 90, 60
STRATEGIES: list[dict[str, Any]] = [
    {"name": "main"},
    {
        "name": "mixed",
        "alignment": "cosine",
        "weights": {"text": 0.5, "history": 1, "collaborative": 0.5, "freshness": 0.1, "popularity": -0.1},
    },
    {
        "name": "curated",
        "filters": {"museums": ["Museum 0", "Museum 1"]},
        "caps": {"source": 2},
        "diversity": {"mmr_lambda": 0.7, "by": "text"},
        "exploration": {"share": 0.2},
        "floors": [{"group": "source:source1", "share": 0.4}],
    },
]


def crowd_recipe(folder: Path, **score: Any) -> Recipe:
    sizes = {"k": 5, "similar_k": 3, "audience_k": 4, "popular_k": 3, "shard_users": 16, "keep_all_pairs": True}
    recipe = recipe_in(folder, strategies=STRATEGIES, score=sizes | score)
    lake = Lake(recipe.store.lake)
    if lake.find_manifest("catalogue", DAY) is None:
        write_crowd(lake, USERS, ARTWORKS)
    return recipe


def digests(recipe: Recipe) -> dict[str, str]:
    lake = Lake(recipe.store.lake)
    return {table: lake.manifest(table, DAY).digest for table in (*TABLES, ALL_PAIRS)}


def writers(recipe: Recipe, table: str) -> dict[str, int]:
    """The shards committed so far, and when."""
    folder = Path(recipe.store.lake) / table / f"run_date={DAY}"
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("_writer-*.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A night scored in this process."""
    recipe = crowd_recipe(tmp_path_factory.mktemp("undisturbed"))
    run_step(STEP, recipe, DAY)
    return recipe


@pytest.mark.parametrize(
    ("workers", "machines", "requested", "threads"),
    [
        (2, [2], None, 1),
        (2, [8], None, 4),
        (3, [8, 8], None, 4),
        (4, [1, 16], None, 4),
        (9, [4, 4], None, 1),
        (1, [4], 2, 2),
        (2, [4, 8], 64, 8),
        (2, [0], None, 1),
        (2, [0], 4, 4),
    ],
)
def test_tasks_share_the_processors(workers: int, machines: list[int], requested: int | None, threads: int) -> None:
    assert threads_per_task(workers, machines, requested) == threads


def test_workers_and_threads_do_not_change_the_fingerprint(tmp_path: Path, undisturbed: Recipe) -> None:
    def settings(**score: Any) -> Any:
        return STEP.settings(crowd_recipe(tmp_path, **score))

    assert settings(workers=2, threads=1, memory_mb=64) == settings()
    assert settings(shard_users=8) != settings()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shard_users", [16, 7])
def test_two_workers_make_the_tables_of_one(tmp_path: Path, undisturbed: Recipe, shard_users: int) -> None:
    recipe = crowd_recipe(tmp_path, workers=2, shard_users=shard_users)
    run_step(STEP, recipe, DAY)
    if shard_users == 16:
        assert digests(recipe) == digests(undisturbed)
    for table in (*TABLES, ALL_PAIRS):
        rows, expected = (Lake(night.store.lake).read(table, DAY) for night in (recipe, undisturbed))
        assert rows.equals(expected), table
    figures = [Lake(night.store.lake).manifest("recommendations", DAY).figures for night in (recipe, undisturbed)]
    assert figures[0] == figures[1]
    assert figures[0]["lists_that_gave_way"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster on this machine: a head without processors; tests add nodes with one processor each."""
    import ray
    from ray.cluster_utils import Cluster

    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000})
    monkeypatch.setenv("ARTREC_RAY_ADDRESS", running.address)
    yield running
    if ray.is_initialized():
        ray.shutdown()
    running.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_machine_lost_in_the_middle_changes_no_table(tmp_path: Path, cluster: Any) -> None:
    small = {"shard_users": 1, "keep_all_pairs": False}
    lost, _ = (cluster.add_node(num_cpus=1, object_store_memory=80_000_000) for _ in range(2))
    alone, spread = crowd_recipe(tmp_path / "alone", **small), crowd_recipe(tmp_path / "spread", **small, workers=2)
    run_step(STEP, alone, DAY)
    shards_before_the_loss: list[int] = []

    def remove_node() -> None:
        while len(writers(spread, "recommendations")) < 5:
            time.sleep(0.05)
        cluster.remove_node(lost, allow_graceful=False)
        shards_before_the_loss.append(len(writers(spread, "recommendations")))

    remover = threading.Thread(target=remove_node)
    remover.start()
    run_step(STEP, spread, DAY)
    remover.join()
    assert shards_before_the_loss[0] < USERS
    for table in TABLES:
        lakes = (Lake(recipe.store.lake) for recipe in (alone, spread))
        assert len({lake.manifest(table, DAY).digest for lake in lakes}) == 1, table


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_night_whose_driver_was_killed_resumes_at_the_missing_shards(tmp_path: Path, undisturbed: Recipe) -> None:
    recipe = crowd_recipe(tmp_path, workers=2)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    night = "import sys; from jobs.score import STEP; from jobs.step import run_step; from artrec_core.config import Recipe; "
    night += "run_step(STEP, Recipe.model_validate_json(open(sys.argv[1]).read()), sys.argv[2])"
    command = [sys.executable, "-c", night, str(tmp_path / "recipe.json"), DAY]
    driver = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    while len(writers(recipe, "recommendations")) < 2:
        assert driver.poll() is None
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert Lake(recipe.store.lake).find_manifest("recommendations", DAY) is None
    time.sleep(2)  # its tasks end with it
    before = writers(recipe, "recommendations")
    assert len(before) >= 2
    run_step(STEP, recipe, DAY)
    after = writers(recipe, "recommendations")
    assert before.items() <= after.items()
    assert digests(recipe) == digests(undisturbed)
