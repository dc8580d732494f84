"""How recommendations spread: six works, counts worked out by hand."""

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, RECOMMENDATION, conform
from jobs.pages.exposure import groups, lorenz, per_work, score_bins, spread, tally


def recommended(*rows: tuple[str, str, int, str, float]) -> pl.DataFrame:
    columns = ["strategy", "user_id", "rank", "artwork_id", "score"]
    return conform(pl.DataFrame(rows, schema=columns, orient="row"), RECOMMENDATION)


def catalogue(**movements: str | None) -> pl.DataFrame:
    return conform(pl.DataFrame({"artwork_id": list(movements), "movement": list(movements.values())}), CATALOGUE)


def times(**counts: int) -> pl.DataFrame:
    return pl.DataFrame(list(counts.items()), schema={"artwork_id": pl.String, "times": pl.UInt32}, orient="row")


def test_parts_add_up_whatever_way_they_are_cut() -> None:
    rows = [
        ("main", "u", 1, "a", 2.0),
        ("main", "u", 2, "b", 1.0),
        ("main", "v", 1, "a", 3.0),
        ("new", "v", 1, "c", 1.0),
    ]
    whole, cut = tally([recommended(*rows)], "main"), tally([recommended(row) for row in rows], "main")
    assert whole.times.equals(cut.times)
    assert whole.times.rows() == [("main", "a", 2), ("main", "b", 1), ("new", "c", 1)]
    assert whole.people == cut.people == {"main": 2, "new": 1}
    assert whole.rows == cut.rows == {"main": 3, "new": 1}


def test_no_recommendations_add_up_to_nothing() -> None:
    nothing = tally([], "main")
    assert nothing.rows == {}
    assert nothing.times.is_empty()


def test_works_that_nobody_gets_count_as_zero() -> None:
    works = catalogue(a=None, b=None, c=None)
    assert per_work(works, times(c=4, gone=9)).tolist() == [0, 0, 4]


@pytest.mark.parametrize(
    ("counts", "gini"),
    [([5, 5, 5, 5], 0.0), ([0, 0, 0, 8], 0.75), ([1, 3], 0.25), ([1, 2, 3, 4], 0.25), ([0, 0], 0.0)],
)
def test_gini(counts: list[int], gini: float) -> None:
    assert spread(np.array(counts)).gini == pytest.approx(gini)


def test_top_one_percent_is_one_work_in_a_hundred_rounded_up() -> None:
    counts = np.ones(150, dtype=np.int64)
    counts[7] = 51
    found = spread(counts)
    assert (found.works, found.reached, found.top_works) == (150, 150, 2)
    assert found.top_share == pytest.approx(52 / 200)


def test_lorenz_curve_runs_from_the_least_shown() -> None:
    assert lorenz(np.array([3, 0, 1, 0])) == [(0, 0), (25, 0), (50, 0), (75, 25), (100, 100)]
    assert lorenz(np.array([0, 0])) == []


def test_shares_of_kinds_against_catalogue_and_liking() -> None:
    works = catalogue(a="Ink", b="Ink", c="Oil", d=" ")
    found = groups(works, pl.col("movement"), times(a=3, c=1), times(b=1, d=1))
    assert [(one.name, one.works, one.catalogue, one.liked, one.recommended) for one in found] == [
        ("Ink", 2, 0.5, 0.5, 0.75),
        ("Oil", 1, 0.25, 0.0, 0.25),
        ("not known", 1, 0.25, 0.5, 0.0),
    ]


def test_kinds_beyond_the_first_few_are_one() -> None:
    works = catalogue(**{f"w{n}": f"m{n:02}" for n in range(13)})
    found = groups(works, pl.col("movement"), times(w12=1), times())
    assert [one.name for one in found] == [f"m{n:02}" for n in range(10)] + ["3 others"]
    assert (found[-1].works, found[-1].recommended, found[-1].liked) == (3, 1.0, None)


def test_a_catalogue_of_one_kind_says_nothing() -> None:
    assert groups(catalogue(a="Ink", b="Ink", c=None), pl.col("movement"), times(a=1), times()) == []


def test_score_bins_are_shares_of_their_own_rows() -> None:
    rows = recommended(("main", "u", 1, "a", 4.0), ("main", "u", 2, "b", 0.0), ("main", "v", 1, "a", float("nan")))
    edges, layers = score_bins(rows, bins=2)
    assert edges == [0.0, 2.0, 4.0]
    assert layers == {"all recommendations": [50.0, 50.0], "each person's first": [0.0, 100.0]}
    assert score_bins(recommended()) == ([], {})
