"""What Ray Tune reports of the trials, recorded: a file for each trial, and an MLflow run below the search's run."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import tune

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.model.registry import FINGERPRINT, Registry
from artrec_core.model.search_space import SearchSpace, Values, apply_values
from jobs.progress import ShowStages, Stage, time_left
from jobs.tuning.records import Trial, rank_trials, trials_in
from jobs.tuning.trial import values_of

log = logging.getLogger("artrec")

PARENT, RUN_NAME, RUN_FILE = "mlflow.parentRunId", "mlflow.runName", "mlflow_run.txt"
CURVE_KEYS = ("pass", "figure", "best_pass", "validation", "loss")


class TrialRecorder(tune.Callback):  # type: ignore[misc]
    """Writes the files and MLflow runs of a search's trials.

    Ray Tune would take an error of MLflow for an error of the trial. So the error is kept, and `check` raises it when the
    trials are over.
    """

    def __init__(
        self, recipe: Recipe, space: SearchSpace, folder: Path, tags: dict[str, str], expected: int = 0
    ) -> None:
        """`folder` and `tags` are the search's; `expected` is the number of trials to come."""
        self.recipe, self.space, self.folder, self.tags = recipe, space, folder, tags
        self.registry = Registry(recipe.store)
        self.expected = expected
        self.show: ShowStages = lambda stages: None
        earlier_trials = trials_in(folder)
        # Trials that ran when the search was killed start again under their numbers.
        self._interrupted = [trial for trial in earlier_trials if trial.ended is None]
        self._finished_before = [trial for trial in earlier_trials if trial.ended is not None]
        self._next_number = max((trial.number for trial in earlier_trials), default=-1) + 1
        self._trials: dict[str, Trial] = {}
        self._run_ids: dict[str, str] = {}
        self._start_times: dict[str, float] = {}
        self._search_start = time.monotonic()
        self._parent = ""
        self._error: Exception | None = None

    @property
    def interrupted(self) -> list[Values]:
        """The points of the trials that ran when the search was killed."""
        return [dict(trial.values) for trial in self._interrupted]

    @contextmanager
    def record_search(self) -> Iterator[None]:
        """Start or reopen the search's run in MLflow, and end it after the block."""
        self._try_mlflow(self._open_run)
        try:
            yield
        except BaseException:
            self._try_mlflow(lambda: self.registry.end_run(self._parent, "KILLED"))
            raise
        self._try_mlflow(lambda: self.registry.end_run(self._parent))

    def check(self, errors: list[Exception]) -> None:
        """Warn of trials that broke for a reason other than their point.

        Raises `ArtrecError` if all of them broke, or if MLflow could not be written.
        """
        if self._error is not None:
            raise ArtrecError(f"{self._error}; the trials are stored in {self.folder}") from self._error
        if errors:
            message = f"{len(errors)} trials broke ({str(errors[0]).strip().splitlines()[-1]})"
            message += "; run the same command again to repeat them"
            if not rank_trials(trials_in(self.folder)):
                raise ArtrecError(message)
            log.warning("tune: %s", message)

    # -- called by Ray Tune --------------------------------------------------------------------------------------

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Give the trial its number, its file and its MLflow run."""
        values = values_of(trial.config, self.space)
        interrupted = next((record for record in self._interrupted if record.values == values), None)
        if interrupted is None:
            number, self._next_number = self._next_number, self._next_number + 1
        else:
            self._interrupted.remove(interrupted)
            number = interrupted.number
        record = Trial(number=number, values=values)
        record.save(self.folder)
        self._trials[trial.trial_id], self._start_times[trial.trial_id] = record, time.monotonic()
        self._try_mlflow(lambda: self._start_trial_run(trial.trial_id, record))

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Add an epoch to the trial's curve, or note how the trial ended."""
        record = self._trials[trial.trial_id]
        record.figure = float(result["figure"])
        if "ended" in result:
            record.ended, record.why, record.same_as = result["ended"], result.get("why", ""), result.get("same_as")
            return
        record.best_pass = result["best_pass"]
        record.curve.append({key: result[key] for key in CURVE_KEYS})
        metrics = [(f"user/{name}", float(result[name]), int(result["pass"])) for name in ("loss", "validation")]
        self._try_mlflow(lambda: self.registry.log_metrics(self._run_ids[trial.trial_id], metrics))
        self._show_progress()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Write the finished trial. A trial that did not report its end was stopped early."""
        record = self._trials[trial.trial_id]
        record.ended = record.ended or "stopped"
        record.seconds = round(time.monotonic() - self._start_times[trial.trial_id], 1)
        record.save(self.folder)
        self._try_mlflow(lambda: self._end_trial_run(self._run_ids[trial.trial_id], record))
        self._show_progress()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """End the MLflow run of a trial that broke. Its file says that it is not over, so it runs again."""
        self._try_mlflow(lambda: self.registry.end_run(self._run_ids[trial.trial_id], "FAILED"))

    def _show_progress(self) -> None:
        trials = list(self._trials.values())
        finished = [*self._finished_before, *(trial for trial in trials if trial.ended is not None)]
        total = len(self._finished_before) + self.expected
        epochs = sum(len(trial.curve) for trial in trials)
        facts = [f"{len(finished)} of {total} trials finished, {epochs} epochs trained"]
        best = max([*self._finished_before, *trials], key=lambda trial: trial.figure)
        facts.append(f"best validation NDCG@10 {best.figure:.3f}".replace(" 0.", " .") + f" of trial {best.number}")
        finished_now = len(finished) - len(self._finished_before)
        if 0 < finished_now < self.expected:
            seconds_per_trial = (time.monotonic() - self._search_start) / finished_now
            facts.append(time_left(seconds_per_trial * (self.expected - finished_now)))
        self.show([Stage("trials", len(finished), total, ", ".join(facts))])

    # -- MLflow --------------------------------------------------------------------------------------------------

    def _try_mlflow(self, write: Callable[[], None]) -> None:
        if self._error is not None:
            return
        try:
            write()
        except Exception as error:
            self._error = error

    def _open_run(self) -> None:
        file = self.folder / RUN_FILE
        if file.exists():
            self._parent = file.read_text()
            self.registry.reopen_run(self._parent)
            # A search that was killed between a trial's file and the end of its run left the run open.
            for trial in self._finished_before:
                for run_id in self.registry.open_runs(self.recipe.train.experiment, self._fingerprint(trial)):
                    self._end_trial_run(run_id, trial)
            return
        space = {
            f"tune.{key}": json.dumps(domain if isinstance(domain, list) else domain.model_dump())
            for key, domain in self.space.items()
        }
        tags = {**self.tags, RUN_NAME: f"tune {self.tags[FINGERPRINT]}"}
        self._parent = self.registry.start_run(self.recipe.train.experiment, tags, space)
        file.write_text(self._parent)

    def _start_trial_run(self, trial_id: str, trial: Trial) -> None:
        own_tags = {FINGERPRINT: self._fingerprint(trial), PARENT: self._parent, RUN_NAME: f"trial {trial.number}"}
        recipe = apply_values(self.recipe, dict(trial.values))
        parameters = {**recipe.model.model_dump(), **recipe.train.model_dump()}
        self._run_ids[trial_id] = self.registry.start_run(
            self.recipe.train.experiment, {**self.tags, **own_tags}, parameters
        )

    def _end_trial_run(self, run_id: str, trial: Trial) -> None:
        self.registry.log_metrics(run_id, [("tune/figure", trial.figure, 0)])
        self.registry.log_metrics(self._parent, [("tune/figure", trial.figure, trial.number)])
        self.registry.end_run(run_id, "FAILED" if trial.ended == "failed" else "FINISHED")

    def _fingerprint(self, trial: Trial) -> str:
        return f"{self.tags[FINGERPRINT]}-{trial.number}"
