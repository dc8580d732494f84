"""How recommendations spread over a few artworks, with counts worked out by hand."""

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, RECOMMENDATION, conform
from jobs.pages.exposure import (
    count_exposure,
    counts_per_artwork,
    group_shares,
    lorenz_curve,
    measure_spread,
    score_bins,
)


def recommended(*rows: tuple[str, str, int, str, float]) -> pl.DataFrame:
    columns = ["strategy", "user_id", "rank", "artwork_id", "score"]
    return conform(pl.DataFrame(rows, schema=columns, orient="row"), RECOMMENDATION)


def catalogue(**movements: str | None) -> pl.DataFrame:
    return conform(pl.DataFrame({"artwork_id": list(movements), "movement": list(movements.values())}), CATALOGUE)


def counts(**by_artwork: int) -> pl.DataFrame:
    return pl.DataFrame(list(by_artwork.items()), schema={"artwork_id": pl.String, "count": pl.UInt32}, orient="row")


def test_counts_do_not_depend_on_the_parts() -> None:
    rows = [
        ("main", "u", 1, "a", 2.0),
        ("main", "u", 2, "b", 1.0),
        ("main", "v", 1, "a", 3.0),
        ("new", "v", 1, "c", 1.0),
    ]
    whole, split = (
        count_exposure([recommended(*rows)], "main"),
        count_exposure([recommended(row) for row in rows], "main"),
    )
    assert whole.artworks.equals(split.artworks)
    assert whole.artworks.rows() == [("main", "a", 2), ("main", "b", 1), ("new", "c", 1)]
    assert whole.users == split.users == {"main": 2, "new": 1}
    assert whole.rows == split.rows == {"main": 3, "new": 1}


def test_counts_of_no_recommendations() -> None:
    exposure = count_exposure([], "main")
    assert exposure.rows == {}
    assert exposure.artworks.is_empty()


def test_artworks_without_recommendations_count_as_zero() -> None:
    artworks = catalogue(a=None, b=None, c=None)
    assert counts_per_artwork(artworks, counts(c=4, gone=9)).tolist() == [0, 0, 4]


@pytest.mark.parametrize(
    ("values", "gini"),
    [([5, 5, 5, 5], 0.0), ([0, 0, 0, 8], 0.75), ([1, 3], 0.25), ([1, 2, 3, 4], 0.25), ([0, 0], 0.0)],
)
def test_gini(values: list[int], gini: float) -> None:
    assert measure_spread(np.array(values)).gini == pytest.approx(gini)


def test_the_top_one_percent_is_rounded_up() -> None:
    values = np.ones(150, dtype=np.int64)
    values[7] = 51
    spread = measure_spread(values)
    assert (spread.artworks, spread.reached, spread.top_artworks) == (150, 150, 2)
    assert spread.top_share == pytest.approx(52 / 200)


def test_the_lorenz_curve_starts_with_the_least_recommended_artworks() -> None:
    assert lorenz_curve(np.array([3, 0, 1, 0])) == [(0, 0), (25, 0), (50, 0), (75, 25), (100, 100)]
    assert lorenz_curve(np.array([0, 0])) == []


def test_shares_of_groups() -> None:
    artworks = catalogue(a="Ink", b="Ink", c="Oil", d=" ")
    shares = group_shares(artworks, pl.col("movement"), counts(a=3, c=1), counts(b=1, d=1))
    assert [(group.name, group.artworks, group.catalogue, group.liked, group.recommended) for group in shares] == [
        ("Ink", 2, 0.5, 0.5, 0.75),
        ("Oil", 1, 0.25, 0.0, 0.25),
        ("not known", 1, 0.25, 0.5, 0.0),
    ]


def test_small_groups_are_shown_as_one() -> None:
    artworks = catalogue(**{f"w{n}": f"m{n:02}" for n in range(13)})
    shares = group_shares(artworks, pl.col("movement"), counts(w12=1), counts())
    assert [group.name for group in shares] == [f"m{n:02}" for n in range(10)] + ["3 others"]
    assert (shares[-1].artworks, shares[-1].recommended, shares[-1].liked) == (3, 1.0, None)


def test_a_single_group_is_not_shown() -> None:
    assert group_shares(catalogue(a="Ink", b="Ink", c=None), pl.col("movement"), counts(a=1), counts()) == []


def test_score_bins_are_shares_of_their_own_rows() -> None:
    rows = recommended(("main", "u", 1, "a", 4.0), ("main", "u", 2, "b", 0.0), ("main", "v", 1, "a", float("nan")))
    edges, layers = score_bins(rows, bins=2)
    assert edges == [0.0, 2.0, 4.0]
    assert layers == {"all recommendations": [50.0, 50.0], "each visitor's first": [0.0, 100.0]}
    assert score_bins(recommended()) == ([], {})
