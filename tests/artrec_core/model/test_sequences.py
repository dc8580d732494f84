import numpy as np

from artrec_core.columns import EVENT_KINDS
from artrec_core.model.sequences import NO_WORK, length_batches, padded, padded_targets, sequences
from tests.artrec_core.model.worlds import history

WORKS = ["a", "b", "c"]
LIKE = 3 * EVENT_KINDS.index("like") + 2
VIEW = 3 * EVENT_KINDS.index("view")


def told():
    return sequences(
        history(
            [
                ("ann", "a", "view", 0, False),
                ("ann", "a", "like", 1, True),
                ("ann", "b", "view", 2, False),
                ("ann", "gone", "like", 3, True),
                ("ann", "c", "impression", 4, False),
                ("ann", "c", "like", 5, True),
                ("cid", "c", "view", 1, False),
            ]
        ),
        ["ann", "ben", "cid"],
        WORKS,
    )


def test_a_view_and_the_like_after_it_are_one_event():
    found = told()
    assert found.starts.tolist() == [0, 3, 3, 4]
    assert found.works.tolist() == [0, 1, 2, 2]
    assert found.signals.tolist() == [LIKE, VIEW, LIKE, VIEW]
    assert found.gaps[0] == found.gaps[3] == 0


def test_targets_are_the_next_works_not_seen_before():
    found = told()
    assert found.targets(positive=False).tolist() == [0, 1, 2, NO_WORK, NO_WORK, 2, NO_WORK]
    assert found.targets(positive=True).tolist() == [0, 2, 2, NO_WORK, NO_WORK, NO_WORK, NO_WORK]


def test_padding_keeps_the_latest_events_and_their_targets():
    found = told()
    batch = padded(found, np.array([0, 1, 2]), 2)
    assert batch.works.tolist() == [[1, 2], [0, 0], [2, 0]]
    assert batch.lengths.tolist() == [2, 0, 1]
    targets = padded_targets(found.targets(positive=False), found, np.array([0, 1, 2]), 2)
    assert targets.tolist() == [[1 + 1, NO_WORK, NO_WORK][:0] or [1, 2, NO_WORK], [NO_WORK] * 3, [2, NO_WORK, NO_WORK]]


def test_taking_people_keeps_their_events():
    found = told().take(np.array([2, 0]))
    assert found.starts.tolist() == [0, 1, 4]
    assert found.works.tolist() == [2, 0, 1, 2]


def test_shuffling_keeps_each_person_s_works():
    found = told()
    mixed = found.shuffled(np.random.default_rng(1))
    assert sorted(mixed.works[:3].tolist()) == [0, 1, 2]
    assert mixed.new.all()


def test_length_batches_hold_everyone_once():
    lengths = np.array([5, 1, 9, 2, 2])
    batches = length_batches(lengths, 2, np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == [0, 1, 2, 3, 4]
