from artrec_core.data.holdout import leave_one_out
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
