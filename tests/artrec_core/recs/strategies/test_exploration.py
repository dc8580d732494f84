"""Exploration: draws change with the day and with nothing else."""

import numpy as np
import polars as pl
import pytest

from artrec_core.config import Exploration
from artrec_core.recs.strategies.exploration import (
    draw_explored,
    find_new_artworks,
    hash_texts,
    mix_bits,
    shuffle_explored,
)

IDS = pl.Series("artwork_id", ["a", "b", "c"])
DAYS = np.array([20.0, 10.0, 0.0])
NIGHTS = pl.DataFrame({"artwork_id": ["a", "b"], "night": ["2026-03-10", "2026-03-20"]})
USER_COUNTS = np.array([0, 5, 1], np.float32)


@pytest.mark.parametrize(
    ("settings", "new"),
    [
        ({"nights": 14}, [False, True, True]),
        ({"nights": 10}, [False, False, True]),
        # Artworks of the first known night may be of any age.
        ({"nights": 30}, [False, True, True]),
        ({"nights": None, "max_users": 1}, [True, False, True]),
        ({"nights": 14, "max_users": 0}, [True, True, True]),
    ],
)
def test_what_is_new(settings: dict[str, int | None], new: list[bool]) -> None:
    assert find_new_artworks(IDS, NIGHTS, DAYS, USER_COUNTS, Exploration(**settings)).tolist() == new  # type: ignore[arg-type]


def test_on_the_first_night_nothing_is_new() -> None:
    assert not find_new_artworks(IDS, NIGHTS.clear(), np.zeros(3), USER_COUNTS, Exploration()).any()


def test_exploration_needs_a_rule_for_new_artworks() -> None:
    with pytest.raises(ValueError, match="needs `nights` or `max_users`"):
        Exploration(nights=None)


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hash_texts(pl.Series(["a"])).tolist() == [7546337611322360514]
    assert mix_bits(np.array([1], np.uint64)).tolist() == [6238072747940578789]


def test_draws_differ_by_user_and_day_and_take_the_pool_evenly() -> None:
    artworks, users = (
        hash_texts(pl.Series([f"w{row}" for row in range(10)])),
        pl.Series([f"u{row}" for row in range(2000)]),
    )
    pool = np.tile(np.arange(10, dtype=np.int32), (2000, 1))
    first, again, next_night = (
        draw_explored(pool, hash_texts(users, night), artworks, 2) for night in ("30", "30", "31")
    )
    assert (first == again).all()
    assert (first != next_night).any(axis=1).mean() > 0.9
    assert (np.bincount(first.ravel(), minlength=10) / 4000).tolist() == pytest.approx([0.1] * 10, abs=0.03)


def test_a_small_pool_is_drawn_whole() -> None:
    pool = np.array([[2, -1, -1], [-1, -1, -1]], np.int32)
    artworks, users = hash_texts(pl.Series(["a", "b", "c"])), hash_texts(pl.Series(["u", "v"]))
    assert draw_explored(pool, users, artworks, 2).tolist() == [[2, -1], [-1, -1]]


def test_explored_artworks_move_to_drawn_places_and_the_others_keep_their_order() -> None:
    users = hash_texts(pl.Series([f"u{row}" for row in range(500)]))
    lists = np.tile(np.array([0, 1, 2, 3, 4], np.int32), (500, 1))
    shuffled = shuffle_explored(lists, lists == 4, users)
    places = (shuffled == 4).argmax(axis=1)
    assert 0 not in places
    assert (np.bincount(places, minlength=5)[1:] / 500).tolist() == pytest.approx([0.25] * 4, abs=0.08)
    assert shuffled[shuffled != 4].reshape(500, 4).tolist() == [[0, 1, 2, 3]] * 500


def test_places_are_drawn_within_the_list() -> None:
    users = hash_texts(pl.Series([f"u{row}" for row in range(50)]))
    short = np.tile(np.array([7, 8, -1, -1], np.int32), (50, 1))
    assert shuffle_explored(short, short == 8, users).tolist() == short.tolist()
    all_explored = shuffle_explored(short, short >= 0, users)
    assert all_explored.tolist() == short.tolist()
