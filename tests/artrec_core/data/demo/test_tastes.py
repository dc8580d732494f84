"""The latent space: facets and their weights of four artworks, and vectors that depend on names alone."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import ARTWORK, conform
from artrec_core.data.demo.tastes import (
    DIM,
    OWN_WEIGHT,
    POPULARITY_SPREAD,
    WEIGHTS,
    LatentSpace,
    build_latent_space,
    facet_vectors,
    hashed_normals,
    normalise,
    own_vectors,
)


def artwork_rows(*rows: dict[str, Any]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, infer_schema_length=None), ARTWORK)


FOUR = artwork_rows(
    {"artwork_id": "d", "title": "Plain"},
    {
        "artwork_id": "b", "title": "Guitar", "movement": "Cubism", "culture": "Unknown", "year_from": 1912,
        "subjects": ["guitar", "table", "guitar"], "medium": "Oil on canvas, with sand",
        "creators": [{"name": "Ann"}, {"name": "Bo"}, {"name": "Cy"}],
    },
    {"artwork_id": "a", "title": "Vase", "movement": " Cubism ", "classification": "ceramics", "creators": [{"name": "anonymous"}]},
    {"artwork_id": "c", "title": None, "movement": "Baroque"},
)  # fmt: skip

PINNED = [1.479812502861023, -0.8333327174186707, 0.13095568120479584]


def weights_of(space: LatentSpace, artwork_id: str) -> dict[tuple[str, str], float]:
    artwork = space.artwork_ids.index(artwork_id)
    return {space.facets[facet]: float(space.facet_weights[facet, artwork]) for facet in space.facets_of(artwork)}


def test_titled_artworks_are_sorted_and_have_their_facets() -> None:
    space = build_latent_space(FOUR, seed=0)
    assert space.artwork_ids == ["a", "b", "d"]
    assert weights_of(space, "a") == pytest.approx({("movement", "Cubism"): 1.0, ("classification", "ceramics"): 0.5})
    # Values of one kind share its weight. A culture that is not known is no facet, nor is a third creator.
    half = 0.5**0.5
    assert weights_of(space, "b") == pytest.approx(
        {
            ("movement", "Cubism"): 1.0,
            ("subject", "guitar"): 1.1 * half, ("subject", "table"): 1.1 * half,
            ("creator", "Ann"): 0.8 * half, ("creator", "Bo"): 0.8 * half,
            ("century", "19"): 0.5,
            ("medium", "canvas"): 0.3 / 3**0.5, ("medium", "with"): 0.3 / 3**0.5, ("medium", "sand"): 0.3 / 3**0.5,
        }
    )  # fmt: skip
    assert weights_of(space, "d") == {}


def test_the_facet_with_the_highest_weight_comes_first() -> None:
    space = build_latent_space(FOUR, seed=0)
    weights = list(weights_of(space, "b").values())
    assert weights == sorted(weights, reverse=True)
    assert next(iter(weights_of(space, "b"))) == ("movement", "Cubism")


def test_of_rows_with_one_id_the_last_counts() -> None:
    again = artwork_rows({"artwork_id": "a", "title": "Vase", "movement": "Baroque"})
    space = build_latent_space(pl.concat([FOUR, again]), seed=0)
    assert space.artwork_ids == ["a", "b", "d"]
    assert weights_of(space, "a") == {("movement", "Baroque"): 1.0}


def test_a_vector_is_the_normalised_sum_of_facets_and_its_own_vector_without_the_mean() -> None:
    space = build_latent_space(FOUR, seed=3)
    sums = space.facet_weights.T @ facet_vectors(space.facets, 3) + own_vectors(space.artwork_ids, 3)
    expected = sums - sums.mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(space.artwork_vectors, expected, atol=1e-5)


def test_a_vector_without_other_artworks_is_not_centred_away() -> None:
    space = build_latent_space(FOUR.filter(pl.col("artwork_id") == "a"), seed=0)
    np.testing.assert_allclose(np.linalg.norm(space.artwork_vectors, axis=1), 1, rtol=1e-5)
    assert build_latent_space(FOUR.clear(), seed=0).artwork_vectors.shape == (0, DIM)


def test_artworks_of_one_movement_are_close() -> None:
    movements = ("Impressionism", "Ukiyo-e", "Cubism", "Baroque")
    rows = [{"artwork_id": f"{number:03}", "title": "Work", "movement": movements[number % 4]} for number in range(80)]
    vectors = build_latent_space(artwork_rows(*rows), seed=0).artwork_vectors
    similarity = vectors @ vectors.T
    is_same = np.equal.outer(np.arange(80) % 4, np.arange(80) % 4) & ~np.eye(80, dtype=bool)
    assert similarity[is_same].mean() > similarity[~is_same & ~np.eye(80, dtype=bool)].mean() + 0.4


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    space, reversed_space = (build_latent_space(frame, seed=0) for frame in (FOUR, FOUR.reverse()))
    np.testing.assert_array_equal(space.artwork_vectors, reversed_space.artwork_vectors)
    np.testing.assert_array_equal(space.log_popularity, reversed_space.log_popularity)
    assert space.facets == reversed_space.facets
    assert not np.allclose(space.artwork_vectors, build_latent_space(FOUR, seed=1).artwork_vectors)


def test_hashed_numbers_are_the_same_on_every_machine() -> None:
    assert hashed_normals(["movement:Cubism"], 3, 0).tolist() == [PINNED]
    together = hashed_normals(["a", "movement:Cubism"], 3, 0)
    assert together[1].tolist() == PINNED
    assert hashed_normals([], 3, 0).shape == (0, 3)


def test_hashed_numbers_are_about_standard_normal() -> None:
    numbers = hashed_normals([f"name {row}" for row in range(4000)], DIM, 0).astype(np.float64)
    assert abs(numbers.mean()) < 0.01
    assert numbers.std() == pytest.approx(1, abs=0.01)
    # Columns and rows are not correlated.
    assert np.abs(np.corrcoef(numbers.T) - np.eye(DIM)).max() < 0.08
    # 68 % of normal numbers are within one standard deviation.
    assert (np.abs(numbers) < 1).mean() == pytest.approx(0.683, abs=0.03)


def test_weights_of_own_vectors_and_popularity() -> None:
    ids = [f"artwork {row}" for row in range(2000)]
    assert own_vectors(ids, 0).std() == pytest.approx(OWN_WEIGHT, abs=0.01)
    space = build_latent_space(artwork_rows(*({"artwork_id": name, "title": name} for name in ids)), seed=0)
    assert space.log_popularity.std() == pytest.approx(POPULARITY_SPREAD, abs=0.05)
    assert set(WEIGHTS) == {"movement", "creator", "subject", "culture", "classification", "century", "medium"}


def test_zero_vectors_stay_zero() -> None:
    assert normalise(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]
