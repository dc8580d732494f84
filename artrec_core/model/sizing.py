"""How the user tower is trained where the recipe leaves it to the data: by how many events there are to learn from.

Found on worlds of 50,000, 240,000 and 700,000 events. Few events are read often, out of order too (one history then
teaches many) and with much of them dropped, or they are learnt by heart; where there are half a million, the
order is what is left to learn.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from artrec_core.config import Model, Train
from artrec_core.model.training_data import TrainingData

# Between these numbers of events the settings go from those of few to those of many, by the logarithm.
FEW, MANY = 5e4, 5e5
EVENTS_IN_STEP = 2500
MAX_PEOPLE_IN_STEP = 256
PASSES = 20
# Beyond this many events fewer passes see as many.
EVENTS_IN_ALL = 1.1e7


@dataclass(frozen=True)
class Sizes:
    """The recipe's settings of the user tower with a number for every `auto`."""

    passes: int
    people_in_step: int
    dropout: float
    id_dropout: float
    shuffled: float

    def as_parameters(self) -> dict[str, bool | int | float | str]:
        """By the names of the recipe's keys, for the record of a run."""
        names = {"passes": "train.user_epochs", "people_in_step": "train.user_batch", "shuffled": "train.shuffled"}
        return {names.get(name, f"model.{name}"): value for name, value in asdict(self).items()}


def sized(model: Model, train: Train, data: TrainingData) -> Sizes:
    """What the recipe says; where it says `auto`, what suits so many events a person and in all."""
    lengths = np.minimum(data.histories.lengths, model.max_history)
    events, people = int(lengths.sum()), max(1, int((lengths > 0).sum()))
    few = float(np.clip(math.log(MANY / max(events, 1)) / math.log(MANY / FEW), 0, 1))
    a_person = max(1.0, events / people)
    passes = int(np.clip(EVENTS_IN_ALL // max(events, 1), 2, PASSES))
    in_step = int(np.clip(round(EVENTS_IN_STEP / a_person), 8, MAX_PEOPLE_IN_STEP))
    return Sizes(
        passes=passes if isinstance(train.user_epochs, str) else train.user_epochs,
        people_in_step=in_step if isinstance(train.user_batch, str) else train.user_batch,
        dropout=round(0.1 + 0.3 * few, 2) if isinstance(model.dropout, str) else model.dropout,
        id_dropout=round(0.1 + 0.1 * few, 2) if isinstance(model.id_dropout, str) else model.id_dropout,
        shuffled=round(0.5 * few, 2) if isinstance(train.shuffled, str) else train.shuffled,
    )
