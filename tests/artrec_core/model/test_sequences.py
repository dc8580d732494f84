import numpy as np

from artrec_core.columns import EVENT_KINDS
from artrec_core.model.sequences import NO_ROW, build_sequences, length_batches, pad_histories, pad_targets
from tests.artrec_core.model.worlds import history

ARTWORKS = ["a", "b", "c"]
LIKE = 3 * EVENT_KINDS.index("like") + 2
VIEW = 3 * EVENT_KINDS.index("view")


def small_sequences():
    return build_sequences(
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
        ARTWORKS,
    )


def test_a_view_and_the_like_after_it_are_one_event():
    sequences = small_sequences()
    assert sequences.starts.tolist() == [0, 3, 3, 4]
    assert sequences.artworks.tolist() == [0, 1, 2, 2]
    assert sequences.signals.tolist() == [LIKE, VIEW, LIKE, VIEW]
    assert sequences.gaps[0] == sequences.gaps[3] == 0


def test_targets_are_the_next_artworks_not_seen_before():
    sequences = small_sequences()
    assert sequences.targets(positive=False).tolist() == [0, 1, 2, NO_ROW, NO_ROW, 2, NO_ROW]
    assert sequences.targets(positive=True).tolist() == [0, 2, 2, NO_ROW, NO_ROW, NO_ROW, NO_ROW]


def test_padding_keeps_the_latest_events_and_their_targets():
    sequences = small_sequences()
    batch = pad_histories(sequences, np.array([0, 1, 2]), 2)
    assert batch.artworks.tolist() == [[1, 2], [0, 0], [2, 0]]
    assert batch.lengths.tolist() == [2, 0, 1]
    targets = pad_targets(sequences.targets(positive=False), sequences, np.array([0, 1, 2]), 2)
    assert targets.tolist() == [[1, 2, NO_ROW], [NO_ROW] * 3, [2, NO_ROW, NO_ROW]]


def test_taking_users_keeps_their_events():
    sequences = small_sequences().take(np.array([2, 0]))
    assert sequences.starts.tolist() == [0, 1, 4]
    assert sequences.artworks.tolist() == [2, 0, 1, 2]


def test_shuffling_keeps_each_user_s_artworks():
    sequences = small_sequences()
    shuffled = sequences.shuffle_events(np.random.default_rng(1))
    assert sorted(shuffled.artworks[:3].tolist()) == [0, 1, 2]
    assert shuffled.new.all()


def test_length_batches_hold_each_user_once():
    lengths = np.array([5, 1, 9, 2, 2])
    batches = length_batches(lengths, 2, np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == [0, 1, 2, 3, 4]
