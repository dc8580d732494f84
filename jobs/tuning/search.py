"""A search for hyper-parameters: Ray Tune runs the trials, Optuna proposes points, ASHA stops trials that are behind.

The state of a search is the files of its trials. A search that was killed gives the finished trials to Optuna and ASHA
and continues with the others. Import this module only where it is needed: Ray Tune takes seconds to load.
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
from jobs.tuning.callback import TrialRecorder
from jobs.tuning.records import Trial, trials_in
from jobs.tuning.trial import TrialContext, run_trial

# Keys of what a trial reports: the best validation metric so far, and the epoch.
FIGURE, EPOCH = "figure", "pass"
RAY = "ray"
# Ray Tune writes no result files and no files for TensorBoard, stays in this folder, and leaves Ctrl-C to the command.
QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


@dataclass(frozen=True)
class Search:
    """A search over a space.

    Every machine sees `folder`. `tags` are those of the search's MLflow run, with its fingerprint.
    """

    recipe: Recipe
    space: SearchSpace
    folder: Path
    tags: dict[str, str]

    @property
    def points(self) -> list[Values] | None:
        """All points, if they are known before the first trial; None if Optuna chooses them by earlier results."""
        settings = self.recipe.tune
        # With as many trials as points, Optuna would only repeat some points.
        if settings.search == "grid" or (settings.search == "optuna" and count_points(self.space) <= settings.trials):
            return grid_points(self.space)
        if settings.search == "optuna":
            return None
        start = starting_point(self.recipe, self.space)
        random_draws = random_points(self.space, settings.trials, self.recipe.train.seed)
        return [*([start] if start else []), *(point for point in random_draws if point != start)][: settings.trials]


def run(search: Search) -> list[Trial]:
    """Run the trials of a search that are not over yet, and return all its trials.

    Raises `ArtrecError` if every trial broke for a reason other than its point, or if MLflow could not be written.
    """
    trials = trials_in(search.folder)
    finished = [trial for trial in trials if trial.ended is not None]
    points = search.points
    count = search.recipe.tune.trials - len(finished) if points is None else 0
    if points is not None:
        finished_points = [trial.values for trial in finished]
        points = [point for point in points if point not in finished_points]
        count = len(points)
    if count <= 0:
        return trials
    recorder = TrialRecorder(search.recipe, search.space, search.folder, search.tags, expected=count)
    with recorder.record_search():
        _run_trials(search, finished, points, count, recorder)
    return trials_in(search.folder)


def _run_trials(
    search: Search, finished: list[Trial], points: list[Values] | None, count: int, recorder: TrialRecorder
) -> None:
    os.environ.update(QUIET)
    # Ray Tune would warn that QUIET turns off its files, and that the machine is busy.
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    settings = search.recipe.tune
    # A trial that trains a text tower with Ray Train starts that training's workers beside itself.
    extra_workers = search.recipe.train.workers + 1 if touches_text(search.recipe, search.space) else 0
    threads = max(1, len(os.sched_getaffinity(0)) // settings.workers)
    with ray_cluster(search.recipe, settings.workers * (threads + extra_workers)):
        if os.environ.get("ARTREC_RAY_ADDRESS"):
            machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
            threads = 1 if extra_workers else threads_per_task(settings.workers, machines, None)
        context = TrialContext(search.folder, search.recipe, search.space, threads, code_version())
        resources = {"cpu": threads, "gpu": _gpus_per_trial(search.recipe)}
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, context=context), resources),
            param_space=None if points is None else {"values": tune.grid_search(points)},
            tune_config=tune.TuneConfig(
                search_alg=_optuna_search(search, finished, recorder.interrupted) if points is None else None,
                scheduler=_scheduler(search, finished),
                num_samples=count if points is None else 1,
                max_concurrent_trials=settings.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=RAY, storage_path=str(search.folder.resolve()), callbacks=[recorder], verbose=0
            ),
        )
        shutil.rmtree(search.folder / RAY, ignore_errors=True)
        with stages("tune") as recorder.show:
            results = tuner.fit()
    shutil.rmtree(search.folder / RAY, ignore_errors=True)
    recorder.check(results.errors)


def _gpus_per_trial(recipe: Recipe) -> float:
    """A whole GPU, or a share of one if more trials run at a time than there are GPUs: the user tower is small."""
    gpus = float(ray.cluster_resources().get("GPU", 0)) if recipe.train.use_gpu else 0.0
    return min(1.0, gpus / recipe.tune.workers)


def _optuna_search(search: Search, finished: list[Trial], first_points: list[Values]) -> OptunaSearch:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), with the results of the finished trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    start = starting_point(search.recipe, search.space)
    if start is not None and start not in [*first_points, *(trial.values for trial in finished)]:
        first_points = [*first_points, start]
    searcher = OptunaSearch(
        {f"values/{key}": _distribution(domain) for key, domain in search.space.items()},
        metric=FIGURE,
        mode="max",
        points_to_evaluate=[_with_prefix(values) for values in first_points] or None,
        # Another seed, so that a search that continues does not draw the first points again.
        seed=search.recipe.train.seed + 1000 * len(finished),
    )
    for trial in finished:
        searcher.add_evaluated_point(_with_prefix(trial.values), trial.figure)
    return searcher


def _with_prefix(values: Values) -> dict[str, Any]:
    return {f"values/{key}": value for key, value in values.items()}


def _distribution(domain: Range | list[Any]) -> Any:
    if not isinstance(domain, Range):
        return optuna.distributions.CategoricalDistribution(domain)
    if isinstance(domain.low, int) and isinstance(domain.high, int):
        return optuna.distributions.IntDistribution(domain.low, domain.high, log=domain.log)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def _scheduler(search: Search, finished: list[Trial]) -> FIFOScheduler:
    """ASHA over epochs of the user tower, with the curves of the finished trials."""
    settings = search.recipe.tune
    if not settings.early_stopping:
        return FIFOScheduler()
    domain = search.space.get("train.user_epochs", [search.recipe.train.user_epochs])
    max_epochs = int(domain.high if isinstance(domain, Range) else max(int(epochs) for epochs in domain))
    if max_epochs <= settings.grace_epochs:
        return FIFOScheduler()
    scheduler = ASHAScheduler(
        time_attr=EPOCH,
        metric=FIGURE,
        mode="max",
        # One more than any trial has, so that ASHA never ends a trial that is complete: the trial reports its own end.
        max_t=max_epochs + 1,
        grace_period=settings.grace_epochs,
        reduction_factor=settings.reduction,
    )
    for trial in finished:
        if not trial.curve:
            continue
        tune_trial = SimpleNamespace(trial_id=f"known-{trial.number}")
        scheduler.on_trial_add(None, tune_trial)
        for line in trial.curve:
            scheduler.on_trial_result(None, tune_trial, line)
        scheduler.on_trial_complete(None, tune_trial, trial.curve[-1])
    return scheduler
