import polars as pl
import pytest

from artrec_core.data.holdout import leave_one_out, time_split, with_tests_of, without_works, works_to_hide
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

# Everyone in one time: the clock of the cut is the same for all.
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


def test_the_last_positive_work_tests_and_the_one_before_validates():
    held = leave_one_out(history(ROWS))
    assert held.test.rows() == [("ann", "c")]
    assert held.validation.rows() == [("ann", "b")]


def test_what_is_held_out_and_what_came_after_it_is_in_no_history():
    held = leave_one_out(history(ROWS))
    ann = held.before_test.filter(user_id="ann")["artwork_id"].to_list()
    assert ann == ["a", "d", "b"]  # the view of c would tell, and e was seen after the test
    assert held.train.filter(user_id="ann")["artwork_id"].to_list() == ["a", "d"]


def test_people_with_few_positive_works_are_all_training():
    held = leave_one_out(history(ROWS))
    assert held.train.filter(user_id="ben").height == 2


def test_a_time_split_tests_the_first_new_positive_work_after_the_cut():
    held = time_split(history(EVENINGS), share=0.3)
    # Nine positive events; the last three come from minute 8 on.
    assert held.test.rows() == [("ann", "e"), ("cat", "a")]  # ann met d before, ben did nothing more
    assert told(held.before_test) == [("ann", "abd"), ("ben", "xac"), ("cat", "b")]


def test_a_time_split_validates_before_its_test():
    held = time_split(history(EVENINGS), share=0.3)
    assert held.validation.rows() == [("ann", "d"), ("ben", "c")]
    assert told(held.train) == [("ann", "ab"), ("ben", "xa"), ("cat", "b")]


def told(histories: pl.DataFrame) -> list[tuple[str, str]]:
    """Each person's works in order."""
    return histories.group_by("user_id", maintain_order=True).agg(pl.col("artwork_id").str.join("")).rows()


def test_a_time_split_of_one_moment_is_refused():
    with pytest.raises(ArtrecError, match="nothing comes before 2026-01-01 00:05:00"):
        time_split(history([("ann", "a", "like", 5, True), ("ben", "a", "like", 5, True)]))


def test_hidden_works_are_in_nothing_but_the_test():
    held = leave_one_out(history(ROWS))
    shown = without_works(held, ["a", "b", "c"])
    assert shown.train["artwork_id"].to_list() == ["d"]
    assert shown.before_test["artwork_id"].to_list() == ["d"]
    assert shown.validation.height == 0
    assert shown.test.rows() == [("ann", "c")]


def test_people_may_be_tested_with_some_works_alone():
    held = leave_one_out(history(ROWS + [("cat", work, "like", minute, True) for minute, work in enumerate("abd")]))
    assert held.test.rows() == [("ann", "c"), ("cat", "d")]
    only = with_tests_of(held, ["d", "e"])
    assert only.test.rows() == [("cat", "d")]
    assert only.before_test.equals(held.before_test)


def test_which_works_are_hidden_is_the_seeds_choice_among_those_taken_up():
    held = leave_one_out(history(ROWS))
    assert works_to_hide(held, 1.0) == ["a", "b"]  # nobody took up d, and c is the test
    assert works_to_hide(held, 0.5, seed=3) == works_to_hide(held, 0.5, seed=3)
    assert len(works_to_hide(held, 0.5)) == 1
