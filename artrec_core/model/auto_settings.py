"""Settings of the user tower that a recipe leaves to the data (`auto`): they follow the number of events.

The rules come from three datasets: 50,000 events on 600 artworks, 240,000 on 110,000, and 700,000 on 3,400. A model memorizes
few events. They are therefore also read in random order, so that one history serves as many, and with more dropout. Few
events per artwork allow few epochs. With half a million events, what remains to be learned
is the order of the events.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from artrec_core.config import Model, Train
from artrec_core.model.training_data import TrainingData

# Between these bounds, settings change from those for few events to those for many, linearly in the logarithm.
FEW_EVENTS, MANY_EVENTS = 5e4, 5e5
FEW_EVENTS_PER_ARTWORK, MANY_EVENTS_PER_ARTWORK = 5, 50
EVENTS_PER_STEP = 2500
MAX_BATCH_SIZE = 256
# With few users, batches are smaller: over the same epochs, 2,000 users teach more in batches of 36 than of 110.
MIN_STEPS_PER_EPOCH = 50
MAX_EPOCHS = 20
# Events read over all epochs: with more events, fewer epochs suffice.
MAX_EVENTS_READ = 1.1e7
TEXT_EPOCHS = 2
# Fewer steps hardly change a text tower, so a small catalogue gets more epochs.
MIN_TEXT_STEPS = 20


@dataclass(frozen=True)
class UserTowerSettings:
    """The recipe's settings of the user tower, with a number for every `auto`.

    `batch_size` counts users over all workers; `shuffled` is the share of batches with histories in random order.
    """

    epochs: int
    batch_size: int
    dropout: float
    id_dropout: float
    shuffled: float

    def as_parameters(self) -> dict[str, bool | int | float | str]:
        """The settings by recipe key, for the record of a run."""
        keys = {"epochs": "train.user_epochs", "batch_size": "train.user_batch", "shuffled": "train.shuffled"}
        return {keys.get(name, f"model.{name}"): value for name, value in asdict(self).items()}


def resolve_settings(model: Model, train: Train, data: TrainingData) -> UserTowerSettings:
    """The recipe's settings; each `auto` becomes a number that suits the events, in total and per artwork.

    Parameters
    ----------
    model, train
        Sections of the recipe.
    data
        What the run trains on; of each history, the latest `model.max_history` events count.
    """
    lengths = np.minimum(data.histories.lengths, model.max_history)
    events, users = max(1, int(lengths.sum())), max(1, int((lengths > 0).sum()))
    events_per_artwork = events / max(1, len(data.artwork_ids))
    fewness = max(
        _fewness(events, FEW_EVENTS, MANY_EVENTS),
        _fewness(events_per_artwork, FEW_EVENTS_PER_ARTWORK, MANY_EVENTS_PER_ARTWORK),
    )
    epochs = int(np.clip(min(MAX_EVENTS_READ / events, 6 * (1 + events_per_artwork) ** 0.3), 2, MAX_EPOCHS))
    batch_share = min(EVENTS_PER_STEP / events, 1 / MIN_STEPS_PER_EPOCH)
    batch_size = int(np.clip(round(users * batch_share), 8, MAX_BATCH_SIZE))
    return UserTowerSettings(
        epochs=epochs if isinstance(train.user_epochs, str) else train.user_epochs,
        batch_size=batch_size if isinstance(train.user_batch, str) else train.user_batch,
        dropout=round(0.1 + 0.3 * fewness, 2) if isinstance(model.dropout, str) else model.dropout,
        id_dropout=round(0.1 + 0.1 * fewness, 2) if isinstance(model.id_dropout, str) else model.id_dropout,
        shuffled=round(0.5 * fewness, 2) if isinstance(train.shuffled, str) else train.shuffled,
    )


def text_steps(train: Train, artworks: int, workers: int) -> int:
    """Number of steps of the text tower's training, the same for each worker.

    Parameters
    ----------
    train
        Section of the recipe.
    artworks
        Number of artworks in the catalogue.
    workers
        Number of workers that share them.
    """
    epoch = text_steps_in_epoch(train, artworks, workers)
    if isinstance(train.text_epochs, str):
        return max(MIN_TEXT_STEPS, TEXT_EPOCHS * epoch)
    return train.text_epochs * epoch


def text_steps_in_epoch(train: Train, artworks: int, workers: int) -> int:
    """Number of steps after which all workers together have encoded as many artworks as there are."""
    return max(1, math.ceil(artworks / (train.text_batch * workers)))


def _fewness(events: float, few: float, many: float) -> float:
    """1 up to `few` events, 0 from `many` on, linear in the logarithm between them."""
    return float(np.clip(math.log(many / events) / math.log(many / few), 0, 1))
