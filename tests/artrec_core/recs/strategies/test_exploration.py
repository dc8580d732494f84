"""Who explores what: draws that another night changes, and nothing else does."""

import numpy as np
import polars as pl
import pytest

from artrec_core.config import Exploration
from artrec_core.recs.strategies.exploration import drawn, hashes, mixed, moved, new_works

IDS = pl.Series("artwork_id", ["a", "b", "c"])
DAYS = np.array([20.0, 10.0, 0.0])
NIGHTS = pl.DataFrame({"artwork_id": ["a", "b"], "night": ["2026-03-10", "2026-03-20"]})
TAKEN_UP = np.array([0, 5, 1], np.float32)


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ({"nights": 14}, [False, True, True]),
        ({"nights": 10}, [False, False, True]),
        # What was there on the first known night may be of any age.
        ({"nights": 30}, [False, True, True]),
        ({"nights": None, "people": 1}, [True, False, True]),
        ({"nights": 14, "people": 0}, [True, True, True]),
    ],
)
def test_what_is_new(line: dict[str, int | None], new: list[bool]) -> None:
    assert new_works(IDS, NIGHTS, DAYS, TAKEN_UP, Exploration(**line)).tolist() == new  # type: ignore[arg-type]


def test_on_the_first_night_nothing_is_new() -> None:
    assert not new_works(IDS, NIGHTS.clear(), np.zeros(3), TAKEN_UP, Exploration()).any()


def test_something_must_make_a_work_new() -> None:
    with pytest.raises(ValueError, match="needs `nights` or `people`"):
        Exploration(nights=None)


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hashes(pl.Series(["a"])).tolist() == [7546337611322360514]
    assert mixed(np.array([1], np.uint64)).tolist() == [6238072747940578789]


def test_draws_differ_by_person_and_night_and_share_the_pool_evenly() -> None:
    works, users = hashes(pl.Series([f"w{one}" for one in range(10)])), pl.Series([f"u{one}" for one in range(2000)])
    pool = np.tile(np.arange(10, dtype=np.int32), (2000, 1))
    first, again, next_night = (drawn(pool, hashes(users, night), works, 2) for night in ("30", "30", "31"))
    assert (first == again).all()
    assert (first != next_night).any(axis=1).mean() > 0.9
    assert (np.bincount(first.ravel(), minlength=10) / 4000).tolist() == pytest.approx([0.1] * 10, abs=0.03)


def test_a_small_pool_is_drawn_whole() -> None:
    pool = np.array([[2, -1, -1], [-1, -1, -1]], np.int32)
    works, people = hashes(pl.Series(["a", "b", "c"])), hashes(pl.Series(["u", "v"]))
    assert drawn(pool, people, works, 2).tolist() == [[2, -1], [-1, -1]]


def test_explored_works_move_to_drawn_places_and_the_others_keep_their_order() -> None:
    people = hashes(pl.Series([f"u{one}" for one in range(500)]))
    lists = np.tile(np.array([0, 1, 2, 3, 4], np.int32), (500, 1))
    out = moved(lists, lists == 4, people)
    at = (out == 4).argmax(axis=1)
    assert 0 not in at
    assert (np.bincount(at, minlength=5)[1:] / 500).tolist() == pytest.approx([0.25] * 4, abs=0.08)
    assert out[out != 4].reshape(500, 4).tolist() == [[0, 1, 2, 3]] * 500


def test_places_are_drawn_within_the_list() -> None:
    people = hashes(pl.Series([f"u{one}" for one in range(50)]))
    short = np.tile(np.array([7, 8, -1, -1], np.int32), (50, 1))
    assert moved(short, short == 8, people).tolist() == short.tolist()
    all_explored = moved(short, short >= 0, people)
    assert all_explored.tolist() == short.tolist()
