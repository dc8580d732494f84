"""Settings of the user tower that follow the data, worked out by hand."""

import numpy as np
import pytest

from artrec_core.config import Model, Train
from artrec_core.model.auto_settings import UserTowerSettings, resolve_settings, text_steps
from artrec_core.model.sequences import Sequences
from artrec_core.model.training_data import TrainingData


def data(users: int, events_per_user: int, artworks: int = 1) -> TrainingData:
    events = np.zeros(users * events_per_user, np.int64)
    flags = np.ones(len(events), bool)
    starts = np.arange(users + 1) * events_per_user
    histories = Sequences(starts, events, events, events, flags, flags)
    ids = [str(artwork) for artwork in range(artworks)]
    return TrainingData(ids, ids, [], np.full(users, -1), [], histories, np.zeros((0, 2), np.int64))


@pytest.mark.parametrize(
    ("users", "events_per_user", "artworks", "expected"),
    [
        (
            10,
            5,
            1,
            UserTowerSettings(19, 8, 0.4, 0.2, 0.5),
        ),  # few events: half the batches in random order, much dropout
        (1000, 50, 600, UserTowerSettings(20, 20, 0.4, 0.2, 0.5)),  # still 50,000; a fiftieth of the users in a batch
        (5000, 50, 600, UserTowerSettings(20, 50, 0.19, 0.13, 0.15)),  # a step of 2,500 events
        (
            15_811,
            10,
            600,
            UserTowerSettings(20, 250, 0.25, 0.15, 0.25),
        ),  # the square root of ten away from both ends: the middle
        (10_000, 150, 600, UserTowerSettings(7, 17, 0.1, 0.1, 0.0)),  # 1.5 million: 11 million events are 7 epochs
        # Two events per artwork: as for few events in total, and few epochs, 6 x 3 ^ 0.3.
        (20_000, 10, 100_000, UserTowerSettings(8, 250, 0.4, 0.2, 0.5)),
        (20_000, 1000, 600, UserTowerSettings(2, 12, 0.1, 0.1, 0.0)),  # of a long history the latest 200 count
    ],
)
def test_settings_follow_the_number_of_events(
    users: int, events_per_user: int, artworks: int, expected: UserTowerSettings
):
    resolved = resolve_settings(Model(), Train(), data(users, events_per_user, artworks))
    assert (resolved.epochs, resolved.batch_size) == (expected.epochs, expected.batch_size)
    shares = resolved.dropout, resolved.id_dropout, resolved.shuffled
    assert shares == pytest.approx((expected.dropout, expected.id_dropout, expected.shuffled), abs=1e-4)


def test_numbers_in_the_recipe_stay():
    model = Model(dropout=0.7, id_dropout=0.0)
    train = Train(user_epochs=3, user_batch=9, shuffled=1.0)
    assert resolve_settings(model, train, data(10, 5)) == UserTowerSettings(3, 9, 0.7, 0.0, 1.0)


def test_without_histories_there_are_epochs():
    assert resolve_settings(Model(), Train(), data(0, 5)).epochs >= 2


@pytest.mark.parametrize(
    ("epochs", "artworks", "workers", "steps"),
    [
        ("auto", 621, 1, 20),  # two epochs of ten steps
        ("auto", 621, 2, 20),  # two epochs of five would be ten
        ("auto", 64, 1, 20),
        ("auto", 6_400, 2, 100),
        (1, 621, 2, 5),
        (3, 0, 1, 3),
        (0, 621, 1, 0),
    ],
)
def test_a_small_catalogue_gets_more_epochs(epochs: int | str, artworks: int, workers: int, steps: int):
    train = Train.model_validate({"text_epochs": epochs, "text_batch": 64})
    assert text_steps(train, artworks, workers) == steps
