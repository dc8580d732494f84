import polars as pl
import pytest

from artrec_core.data.holdout import leave_one_out, remove_artworks, restrict_test, sample_artworks_to_hide, time_split
from artrec_core.errors import ArtrecError
from tests.artrec_core.model.worlds import history

ROWS = [
    ("ann", "a", "like", 1, True),
    ("ann", "d", "view", 2, False),
    ("ann", "b", "like", 3, True),
    ("ann", "c", "view", 4, False),
    ("ann", "c", "like", 5, True),
    ("ann", "e", "view", 6, False),
    ("ben", "a", "like", 1, True),
    ("ben", "b", "like", 2, True),
]

# All users share one clock, so that a time split cuts all histories at the same minute.
EVENINGS = [
    ("ann", "a", "like", 1, True),
    ("ann", "b", "like", 2, True),
    ("ann", "d", "like", 6, True),
    ("ann", "d", "like", 9, True),
    ("ben", "x", "view", 3, False),
    ("ben", "a", "like", 3, True),
    ("ben", "z", "view", 10, False),
    ("cat", "b", "like", 4, True),
    ("ben", "c", "like", 7, True),
    ("ann", "e", "like", 11, True),
    ("cat", "a", "like", 8, True),
]


def test_the_last_positive_artwork_tests_and_the_one_before_validates():
    split = leave_one_out(history(ROWS))
    assert split.test.rows() == [("ann", "c")]
    assert split.validation.rows() == [("ann", "b")]


def test_held_out_artworks_and_later_events_are_in_no_history():
    split = leave_one_out(history(ROWS))
    ann = split.before_test.filter(user_id="ann")["artwork_id"].to_list()
    assert ann == ["a", "d", "b"]  # a view of c would give the test away, and e was seen after it
    assert split.train.filter(user_id="ann")["artwork_id"].to_list() == ["a", "d"]


def test_users_with_few_positive_artworks_are_all_training():
    split = leave_one_out(history(ROWS))
    assert split.train.filter(user_id="ben").height == 2


def test_a_time_split_tests_the_first_new_positive_artwork_after_the_cut():
    split = time_split(history(EVENINGS), share=0.3)
    # Nine positive events; the last three come from minute 8 on.
    assert split.test.rows() == [("ann", "e"), ("cat", "a")]  # ann had seen d before; ben has no later positive event
    assert artworks_by_user(split.before_test) == [("ann", "abd"), ("ben", "xac"), ("cat", "b")]


def test_a_time_split_validates_before_its_test():
    split = time_split(history(EVENINGS), share=0.3)
    assert split.validation.rows() == [("ann", "d"), ("ben", "c")]
    assert artworks_by_user(split.train) == [("ann", "ab"), ("ben", "xa"), ("cat", "b")]


def artworks_by_user(histories: pl.DataFrame) -> list[tuple[str, str]]:
    """Each user's artworks in order."""
    return histories.group_by("user_id", maintain_order=True).agg(pl.col("artwork_id").str.join("")).rows()


def test_a_time_split_of_one_moment_is_refused():
    with pytest.raises(ArtrecError, match="no event comes before 2026-01-01 00:05:00"):
        time_split(history([("ann", "a", "like", 5, True), ("ben", "a", "like", 5, True)]))


def test_hidden_artworks_are_in_nothing_but_the_test():
    split = leave_one_out(history(ROWS))
    hidden = remove_artworks(split, ["a", "b", "c"])
    assert hidden.train["artwork_id"].to_list() == ["d"]
    assert hidden.before_test["artwork_id"].to_list() == ["d"]
    assert hidden.validation.height == 0
    assert hidden.test.rows() == [("ann", "c")]


def test_the_test_may_be_restricted_to_some_artworks():
    split = leave_one_out(
        history(ROWS + [("cat", artwork, "like", minute, True) for minute, artwork in enumerate("abd")])
    )
    assert split.test.rows() == [("ann", "c"), ("cat", "d")]
    restricted = restrict_test(split, ["d", "e"])
    assert restricted.test.rows() == [("cat", "d")]
    assert restricted.before_test.equals(split.before_test)


def test_hidden_artworks_are_sampled_by_the_seed_among_those_with_positive_events_before_the_test():
    split = leave_one_out(history(ROWS))
    assert sample_artworks_to_hide(split, 1.0) == ["a", "b"]  # d has no positive event, and c is the test
    assert sample_artworks_to_hide(split, 0.5, seed=3) == sample_artworks_to_hide(split, 0.5, seed=3)
    assert len(sample_artworks_to_hide(split, 0.5)) == 1
