"""How the user tower is trained where the recipe leaves it to the data: by how many events there are, in all and a work.

Found on three worlds: 50,000 events on 600 works, 240,000 on 110,000 and 700,000 on 3,400. Few events are learnt by heart:
they are read out of order too (one history then teaches many) and with much of them dropped, and works with few events
each bear few passes. Where there are half a million, the order is what is left to learn.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from artrec_core.config import Model, Train
from artrec_core.model.training_data import TrainingData

# Between these numbers of events, in all and a work, the settings go from those of few to those of many, by the logarithm.
FEW, MANY = 5e4, 5e5
FEW_A_WORK, MANY_A_WORK = 5, 50
EVENTS_IN_STEP = 2500
MAX_PEOPLE_IN_STEP = 256
# Where people are few, smaller batches: 2,000 people learn more from 36 a step than from 110, seen as often.
STEPS_A_PASS = 50
MAX_PASSES = 20
# Beyond this many events fewer passes see as many.
EVENTS_IN_ALL = 1.1e7
TEXT_PASSES = 2
# Fewer steps change a text tower little: a small catalogue is passed over as often as it takes.
FEWEST_TEXT_STEPS = 20


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
    events, people = max(1, int(lengths.sum())), max(1, int((lengths > 0).sum()))
    a_work = events / max(1, len(data.artwork_ids))
    few = max(_fewness(events, FEW, MANY), _fewness(a_work, FEW_A_WORK, MANY_A_WORK))
    passes = int(np.clip(min(EVENTS_IN_ALL / events, 6 * (1 + a_work) ** 0.3), 2, MAX_PASSES))
    in_step = int(np.clip(round(people * min(EVENTS_IN_STEP / events, 1 / STEPS_A_PASS)), 8, MAX_PEOPLE_IN_STEP))
    return Sizes(
        passes=passes if isinstance(train.user_epochs, str) else train.user_epochs,
        people_in_step=in_step if isinstance(train.user_batch, str) else train.user_batch,
        dropout=round(0.1 + 0.3 * few, 2) if isinstance(model.dropout, str) else model.dropout,
        id_dropout=round(0.1 + 0.1 * few, 2) if isinstance(model.id_dropout, str) else model.id_dropout,
        shuffled=round(0.5 * few, 2) if isinstance(train.shuffled, str) else train.shuffled,
    )


def text_steps(train: Train, works: int, workers: int) -> int:
    """How many steps each of the workers takes with the text tower."""
    a_pass = max(1, math.ceil(works / (train.text_batch * workers)))
    if isinstance(train.text_epochs, str):
        return max(FEWEST_TEXT_STEPS, TEXT_PASSES * a_pass)
    return train.text_epochs * a_pass


def _fewness(events: float, few: float, many: float) -> float:
    """1 for few events, 0 for many, between them by the logarithm."""
    return float(np.clip(math.log(many / events) / math.log(many / few), 0, 1))
