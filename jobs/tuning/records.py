"""What became of each trial of a search, a small file each: the table that is shown, and what a search that was killed goes on from."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from artrec_core.files import write_atomically
from artrec_core.model.search_space import Values

TRIALS = "trials"


class Trial(BaseModel):
    """A trial by its number. `figure` is the best validation figure, `best_pass` the pass it was seen after.

    `ended` is None until it is over: trained to the end, stopped early, or failed (`why` says of what). `curve` has a row a pass.
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
        """Write the trial's file, whole or not at all."""
        path = folder / TRIALS / f"{self.number:04d}.json"
        with write_atomically(path) as building:
            building.write_text(self.model_dump_json(indent=1))


def trials_in(folder: Path) -> list[Trial]:
    """The trials of a search's folder, in the order in which they began."""
    files = sorted((folder / TRIALS).glob("*.json"))
    return [Trial.model_validate_json(file.read_text()) for file in files]


def ranked(trials: list[Trial]) -> list[Trial]:
    """Those that are over, the best first, failed ones last; of equal figures the earlier."""
    over = [one for one in trials if one.ended is not None]
    return sorted(over, key=lambda one: (one.ended == "failed", -one.figure, one.number))


def finished_alike(folder: Path, values: Values) -> Trial | None:
    """The first trial of the same point that is over, or None."""
    return next((one for one in trials_in(folder) if one.ended is not None and one.values == values), None)
