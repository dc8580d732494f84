"""A search for hyper-parameters: Ray Tune runs the trials, Optuna proposes points, ASHA ends what is behind, MLflow is told.

Each trial's file is its only memory: a search that was killed tells Optuna and ASHA of the trials that are over and goes on with the
others. Imported where it is needed: Ray Tune takes seconds.
"""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search.optuna import OptunaSearch

from artrec_core.config import Range, Recipe
from artrec_core.model.distributed.launch import ray_cluster
from artrec_core.model.search_space import (
    SearchSpace,
    Values,
    count_points,
    grid_points,
    random_points,
    starting_point,
    touches_text,
)
from jobs.progress import stages
from jobs.scoring.ray_shards import threads_per_task
from jobs.step import code_version
from jobs.tuning.callback import Log
from jobs.tuning.records import Trial, trials_in
from jobs.tuning.trial import Order, trial

FIGURE, PASS = "figure", "pass"
RAY = "ray"
# Tune's own files, figures for TensorBoard and folder changes are not wanted, and Ctrl-C ends a search as it ends any other command.
QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


@dataclass(frozen=True)
class Search:
    """A search over a space, its folder (seen by every machine) and the tags of its run in MLflow, its fingerprint among them."""

    recipe: Recipe
    space: SearchSpace
    folder: Path
    tags: dict[str, str]

    @property
    def points(self) -> list[Values] | None:
        """All points of a search that knows them beforehand; None where they follow from how others did."""
        settings = self.recipe.tune
        # Asked for as many trials as there are points, Optuna would only repeat some.
        if settings.search == "grid" or (settings.search == "optuna" and count_points(self.space) <= settings.trials):
            return grid_points(self.space)
        if settings.search == "optuna":
            return None
        first = starting_point(self.recipe, self.space)
        drawn = [one for one in random_points(self.space, settings.trials, self.recipe.train.seed) if one != first]
        return [*([first] if first else []), *drawn][: settings.trials]


def run(search: Search) -> list[Trial]:
    """Run the trials that are not over yet; all trials of the search.

    Raises `ArtrecError` where every trial broke for a reason that lies not in its point, or MLflow could not be written.
    """
    before = trials_in(search.folder)
    over = [one for one in before if one.ended is not None]
    points = search.points
    left = search.recipe.tune.trials - len(over) if points is None else 0
    if points is not None:
        done = [one.values for one in over]
        points = [one for one in points if one not in done]
        left = len(points)
    if left <= 0:
        return before
    log = Log(search.recipe, search.space, search.folder, search.tags, expected=left)
    with log.kept():
        _fit(search, over, points, left, log)
    return trials_in(search.folder)


def _fit(search: Search, over: list[Trial], points: list[Values] | None, left: int, log: "Log") -> None:
    os.environ.update(QUIET)
    # It would warn of the files that QUIET leaves out, and of a busy machine.
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    settings = search.recipe.tune
    # Trials that train a text tower with Ray Train start its workers beside themselves.
    beside = search.recipe.train.workers + 1 if touches_text(search.recipe, search.space) else 0
    threads = max(1, len(os.sched_getaffinity(0)) // settings.workers)
    with ray_cluster(search.recipe, settings.workers * (threads + beside)):
        if os.environ.get("ARTREC_RAY_ADDRESS"):
            machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
            threads = 1 if beside else threads_per_task(settings.workers, machines, None)
        order = Order(search.folder, search.recipe, search.space, threads, code_version())
        resources = {"cpu": threads, "gpu": _gpus_a_trial(search.recipe)}
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, order=order), resources),
            param_space=None if points is None else {"values": tune.grid_search(points)},
            tune_config=tune.TuneConfig(
                search_alg=_optuna(search, over, log.interrupted) if points is None else None,
                scheduler=_scheduler(search, over),
                num_samples=left if points is None else 1,
                max_concurrent_trials=settings.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(name=RAY, storage_path=str(search.folder.resolve()), callbacks=[log], verbose=0),
        )
        shutil.rmtree(search.folder / RAY, ignore_errors=True)
        with stages("tune") as log.show:
            found = tuner.fit()
    shutil.rmtree(search.folder / RAY, ignore_errors=True)
    log.check(found.errors)


def _gpus_a_trial(recipe: Recipe) -> float:
    """A GPU, or its share where more trials run at a time than there are GPUs: the user tower leaves room for others."""
    there = float(ray.cluster_resources().get("GPU", 0)) if recipe.train.use_gpu else 0.0
    return min(1.0, there / recipe.tune.workers)


def _optuna(search: Search, over: list[Trial], first: list[Values]) -> OptunaSearch:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), told of the trials that are over."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    start = starting_point(search.recipe, search.space)
    if start is not None and start not in [*first, *(one.values for one in over)]:
        first = [*first, start]
    searcher = OptunaSearch(
        {f"values/{key}": _distribution(among) for key, among in search.space.items()},
        metric=FIGURE,
        mode="max",
        points_to_evaluate=[_named(values) for values in first] or None,
        # Going on, it must not draw again what it drew at first.
        seed=search.recipe.train.seed + 1000 * len(over),
    )
    for one in over:
        searcher.add_evaluated_point(_named(one.values), one.figure)
    return searcher


def _named(values: Values) -> dict[str, Any]:
    return {f"values/{key}": value for key, value in values.items()}


def _distribution(among: Range | list[Any]) -> Any:
    if not isinstance(among, Range):
        return optuna.distributions.CategoricalDistribution(among)
    if isinstance(among.low, int) and isinstance(among.high, int):
        return optuna.distributions.IntDistribution(among.low, among.high, log=among.log)
    return optuna.distributions.FloatDistribution(among.low, among.high, log=among.log)


def _scheduler(search: Search, over: list[Trial]) -> FIFOScheduler:
    """ASHA over passes of the user tower, told of the curves of the trials that are over."""
    settings = search.recipe.tune
    if not settings.early_stopping:
        return FIFOScheduler()
    among = search.space.get("train.user_epochs", [search.recipe.train.user_epochs])
    most = int(among.high if isinstance(among, Range) else max(int(one) for one in among))
    if most <= settings.grace_epochs:
        return FIFOScheduler()
    scheduler = ASHAScheduler(
        time_attr=PASS,
        metric=FIGURE,
        mode="max",
        # One more than any trial has: that a trial is at its end is for the trial to say.
        max_t=most + 1,
        grace_period=settings.grace_epochs,
        reduction_factor=settings.reduction,
    )
    for one in (one for one in over if one.curve):
        known = SimpleNamespace(trial_id=f"known-{one.number}")
        scheduler.on_trial_add(None, known)
        for line in one.curve:
            scheduler.on_trial_result(None, known, line)
        scheduler.on_trial_complete(None, known, one.curve[-1])
    return scheduler
