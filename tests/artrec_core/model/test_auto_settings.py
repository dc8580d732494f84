"""Settings of the user tower that the data decide: worked out by hand for histories of so many events."""

import numpy as np
import pytest

from artrec_core.config import Model, Train
from artrec_core.model.auto_settings import Sizes, sized, text_steps
from artrec_core.model.sequences import Sequences
from artrec_core.model.training_data import TrainingData


def data(people: int, events_a_person: int, works: int = 1) -> TrainingData:
    events = np.zeros(people * events_a_person, np.int64)
    flags = np.ones(len(events), bool)
    starts = np.arange(people + 1) * events_a_person
    histories = Sequences(starts, events, events, events, flags, flags)
    ids = [str(work) for work in range(works)]
    return TrainingData(ids, ids, [], np.full(people, -1), [], histories, np.zeros((0, 2), np.int64))


@pytest.mark.parametrize(
    ("people", "events_a_person", "works", "expected"),
    [
        (10, 5, 1, Sizes(19, 8, 0.4, 0.2, 0.5)),  # few events: out of order half the time, much dropped
        (1000, 50, 600, Sizes(20, 20, 0.4, 0.2, 0.5)),  # still 50,000; a fiftieth of the people a step
        (5000, 50, 600, Sizes(20, 50, 0.19, 0.13, 0.15)),  # a step of 2,500 events
        (15_811, 10, 600, Sizes(20, 250, 0.25, 0.15, 0.25)),  # the square root of ten away from both ends: the middle
        (10_000, 150, 600, Sizes(7, 17, 0.1, 0.1, 0.0)),  # 1.5 million: 11 million events are 7 passes
        # Two events a work: as for few events in all, and few passes, 6 x 3 ^ 0.3.
        (20_000, 10, 100_000, Sizes(8, 250, 0.4, 0.2, 0.5)),
        (20_000, 1000, 600, Sizes(2, 12, 0.1, 0.1, 0.0)),  # of a long history the latest 200 count
    ],
)
def test_sizes_follow_how_many_events_there_are(people: int, events_a_person: int, works: int, expected: Sizes):
    found = sized(Model(), Train(), data(people, events_a_person, works))
    assert (found.passes, found.people_in_step) == (expected.passes, expected.people_in_step)
    settings = found.dropout, found.id_dropout, found.shuffled
    assert settings == pytest.approx((expected.dropout, expected.id_dropout, expected.shuffled), abs=1e-4)


def test_what_the_recipe_says_stands():
    model = Model(dropout=0.7, id_dropout=0.0)
    train = Train(user_epochs=3, user_batch=9, shuffled=1.0)
    assert sized(model, train, data(10, 5)) == Sizes(3, 9, 0.7, 0.0, 1.0)


def test_nobody_has_a_history():
    assert sized(Model(), Train(), data(0, 5)).passes >= 2


@pytest.mark.parametrize(
    ("passes", "works", "workers", "steps"),
    [
        ("auto", 621, 1, 20),  # two passes of ten steps
        ("auto", 621, 2, 20),  # two passes of five would be ten
        ("auto", 64, 1, 20),
        ("auto", 6_400, 2, 100),
        (1, 621, 2, 5),
        (3, 0, 1, 3),
        (0, 621, 1, 0),
    ],
)
def test_a_small_catalogue_is_passed_over_until_there_are_steps_enough(
    passes: int | str, works: int, workers: int, steps: int
):
    train = Train.model_validate({"text_epochs": passes, "text_batch": 64})
    assert text_steps(train, works, workers) == steps
