"""Tables become arrays in the order of given ids."""

import numpy as np
import polars as pl
import pytest

from artrec_core.errors import ArtrecError
from artrec_core.recs.inputs.arrays import add_row_numbers, matrix, pair_matrix, vectors_of


def test_vectors_have_the_order_of_the_ids_and_are_zero_for_missing_ids() -> None:
    table = pl.DataFrame(
        {"artwork_id": ["b", "a"], "vector": [[1.0, 2.0], [3.0, 4.0]]}, schema_overrides={"vector": pl.List(pl.Float32)}
    )
    vectors, has_vector = vectors_of(pl.Series(["a", "c", "b", "a"]), table, "artwork_id")
    assert vectors.tolist() == [[3, 4], [0, 0], [1, 2], [3, 4]]
    assert has_vector.tolist() == [True, False, True, True]
    assert vectors.dtype == np.float32


def test_vectors_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ArtrecError, match="vectors of different lengths"):
        matrix(pl.Series([[1.0], [1.0, 2.0]]))


def test_pairs_count_once_and_unknown_ids_are_dropped() -> None:
    events = pl.DataFrame({"user_id": ["v", "u", "u", "x", "u"], "artwork_id": ["1", "2", "2", "1", "9"]})
    pairs = pair_matrix(add_row_numbers(events, pl.Series(["u", "v", "w"]), pl.Series(["1", "2"])), 3, 2)
    assert pairs.toarray().tolist() == [[0, 1], [1, 0], [0, 0]]
