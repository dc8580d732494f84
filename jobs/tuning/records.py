"""The trials of a search, one small file each. Tables are printed from them, and a killed search resumes from them."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from artrec_core.files import write_atomically
from artrec_core.model.search_space import Values

TRIALS = "trials"


class Trial(BaseModel):
    """A trial, named by its number.

    `figure` is its best validation metric and `best_pass` the epoch of that metric. `ended` is None until the trial is
    over: trained to the end, stopped early, or failed (`why` gives the reason). `same_as` is an earlier trial of the
    same point, whose metric was taken over. `curve` has one row for each epoch.
    """

    model_config = ConfigDict(extra="forbid")
    number: int
    values: dict[str, bool | int | float | str]
    figure: float = 0.0
    best_pass: int | None = None
    ended: Literal["trained", "stopped", "failed"] | None = None
    why: str = ""
    same_as: int | None = None
    seconds: float = 0.0
    curve: list[dict[str, Any]] = []

    def save(self, folder: Path) -> None:
        """Write the trial's file into the search's folder."""
        path = folder / TRIALS / f"{self.number:04d}.json"
        with write_atomically(path) as building:
            building.write_text(self.model_dump_json(indent=1))


def trials_in(folder: Path) -> list[Trial]:
    """The trials of a search's folder, by number."""
    files = sorted((folder / TRIALS).glob("*.json"))
    return [Trial.model_validate_json(file.read_text()) for file in files]


def rank_trials(trials: list[Trial]) -> list[Trial]:
    """The trials that are over, the best first and failed ones last. Of equal metrics, the lower number is first."""
    finished = [trial for trial in trials if trial.ended is not None]
    return sorted(finished, key=lambda trial: (trial.ended == "failed", -trial.figure, trial.number))


def find_finished(folder: Path, values: Values) -> Trial | None:
    """The first trial at this point that is over, or None."""
    return next((trial for trial in trials_in(folder) if trial.ended is not None and trial.values == values), None)
