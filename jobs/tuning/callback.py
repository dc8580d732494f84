"""What Ray Tune tells of trials, kept: each trial's file, and its run in MLflow below the search's own."""

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
from jobs.tuning.records import Trial, ranked, trials_in
from jobs.tuning.trial import values_of

log = logging.getLogger("artrec")

PARENT, RUN_NAME, RUN_FILE = "mlflow.parentRunId", "mlflow.runName", "mlflow_run.txt"
OF_CURVE = ("pass", "figure", "best_pass", "validation", "loss")


class Log(tune.Callback):  # type: ignore[misc]
    """The files and runs of a search's trials. Trouble with MLflow is raised when the trials are over (`check`)."""

    def __init__(
        self, recipe: Recipe, space: SearchSpace, folder: Path, tags: dict[str, str], expected: int = 0
    ) -> None:
        self.recipe, self.space, self.folder, self.tags = recipe, space, folder, tags
        self.registry = Registry(recipe.store)
        self.expected = expected
        self.show: ShowStages = lambda stages: None
        before = trials_in(folder)
        # What was under way when the search was killed is begun again under its number.
        self._again = [one for one in before if one.ended is None]
        self._over = [one for one in before if one.ended is not None]
        self._next = max((one.number for one in before), default=-1) + 1
        self._trials: dict[str, Trial] = {}
        self._runs: dict[str, str] = {}
        self._begun: dict[str, float] = {}
        self._begun_at = time.monotonic()
        self._parent = ""
        self._error: Exception | None = None

    @property
    def interrupted(self) -> list[Values]:
        """The points that were under way when the search was killed."""
        return [dict(one.values) for one in self._again]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Open the search's run in MLflow, or open it again, and close it."""
        self._to_mlflow(self._open)
        try:
            yield
        except BaseException:
            self._to_mlflow(lambda: self.registry.end_run(self._parent, "KILLED"))
            raise
        self._to_mlflow(lambda: self.registry.end_run(self._parent))

    def check(self, errors: list[Exception]) -> None:
        """Say which trials broke for a reason that lies not in their point; `ArtrecError` where all did, or MLflow could not be written."""
        if self._error is not None:
            raise ArtrecError(f"{self._error}; the trials are kept in {self.folder}") from self._error
        if errors:
            said = f"{len(errors)} trials broke ({str(errors[0]).strip().splitlines()[-1]})"
            said += "; run the same line again to try them once more"
            if not ranked(trials_in(self.folder)):
                raise ArtrecError(said)
            log.warning("tune: %s", said)

    # -- what Tune tells -----------------------------------------------------------------------------------------

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial gets its number, its file and its run."""
        values = values_of(trial.config, self.space)
        again = next((one for one in self._again if one.values == values), None)
        if again is None:
            number, self._next = self._next, self._next + 1
        else:
            self._again.remove(again)
            number = again.number
        told = Trial(number=number, values=values)
        told.save(self.folder)
        self._trials[trial.trial_id], self._begun[trial.trial_id] = told, time.monotonic()
        self._to_mlflow(lambda: self._start_run(trial.trial_id, told))

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """A pass is added to the curve, or what the trial says of its end is noted."""
        told = self._trials[trial.trial_id]
        told.figure = float(result["figure"])
        if "ended" in result:
            told.ended, told.why, told.same_as = result["ended"], result.get("why", ""), result.get("same_as")
            return
        told.best_pass = result["best_pass"]
        told.curve.append({name: result[name] for name in OF_CURVE})
        metrics = [(f"user/{name}", float(result[name]), int(result["pass"])) for name in ("loss", "validation")]
        self._to_mlflow(lambda: self.registry.log_metrics(self._runs[trial.trial_id], metrics))
        self._show()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial is over; it was ended early if it did not say so itself."""
        told = self._trials[trial.trial_id]
        told.ended = told.ended or "stopped"
        told.seconds = round(time.monotonic() - self._begun[trial.trial_id], 1)
        told.save(self.folder)
        self._to_mlflow(lambda: self._end_run(self._runs[trial.trial_id], told))
        self._show()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial broke: its file stays open, so that it is tried again."""
        self._to_mlflow(lambda: self.registry.end_run(self._runs[trial.trial_id], "FAILED"))

    def _show(self) -> None:
        ours = list(self._trials.values())
        over, total = [*self._over, *(one for one in ours if one.ended is not None)], len(self._over) + self.expected
        facts = [f"{len(over)} of {total} trials over, {sum(len(one.curve) for one in ours)} epochs trained"]
        best = max([*self._over, *ours], key=lambda one: one.figure)
        facts.append(f"best validation NDCG@10 {best.figure:.3f}".replace(" 0.", " .") + f" of trial {best.number}")
        now_over = len(over) - len(self._over)
        if 0 < now_over < self.expected:
            pace = (time.monotonic() - self._begun_at) / now_over
            facts.append(time_left(pace * (self.expected - now_over)))
        self.show([Stage("trials", len(over), total, ", ".join(facts))])

    # -- MLflow --------------------------------------------------------------------------------------------------

    def _to_mlflow(self, tell: Callable[[], None]) -> None:
        if self._error is not None:
            return
        try:
            tell()
        except Exception as error:  # Tune would take it for the trial's own; raised again in `check`
            self._error = error

    def _open(self) -> None:
        file = self.folder / RUN_FILE
        if file.exists():
            self._parent = file.read_text()
            self.registry.reopen_run(self._parent)
            for one in self._over:  # killed between a trial's file and the end of its run
                for left in self.registry.open_runs(self.recipe.train.experiment, self._fingerprint(one)):
                    self._end_run(left, one)
            return
        space = {f"tune.{key}": json.dumps(among if isinstance(among, list) else among.model_dump())
                 for key, among in self.space.items()}  # fmt: skip
        tags = {**self.tags, RUN_NAME: f"tune {self.tags[FINGERPRINT]}"}
        self._parent = self.registry.start_run(self.recipe.train.experiment, tags, space)
        file.write_text(self._parent)

    def _start_run(self, trial_id: str, told: Trial) -> None:
        mark = {FINGERPRINT: self._fingerprint(told), PARENT: self._parent}
        recipe = apply_values(self.recipe, dict(told.values))
        parameters = {**recipe.model.model_dump(), **recipe.train.model_dump()}
        tags = {**self.tags, **mark, RUN_NAME: f"trial {told.number}"}
        self._runs[trial_id] = self.registry.start_run(self.recipe.train.experiment, tags, parameters)

    def _end_run(self, run_id: str, told: Trial) -> None:
        self.registry.log_metrics(run_id, [("tune/figure", told.figure, 0)])
        self.registry.log_metrics(self._parent, [("tune/figure", told.figure, told.number)])
        self.registry.end_run(run_id, "FAILED" if told.ended == "failed" else "FINISHED")

    def _fingerprint(self, told: Trial) -> str:
        return f"{self.tags[FINGERPRINT]}-{told.number}"
