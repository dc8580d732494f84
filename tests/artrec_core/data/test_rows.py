"""Row numbers are positions in a list of ids."""

import polars as pl
import pytest

from artrec_core.data.rows import row_numbers


def test_rows_are_positions_and_ids_may_repeat():
    assert row_numbers(pl.Series(["b", "a", "b"]), ["a", "b", "c"]).tolist() == [1, 0, 1]


def test_an_empty_series_of_any_type_has_no_rows():
    assert row_numbers(pl.Series([]), ["a"]).tolist() == []
    assert row_numbers(pl.Series([], dtype=pl.String), []).tolist() == []


def test_an_id_that_is_not_in_the_list_is_named():
    with pytest.raises(KeyError, match="z"):
        row_numbers(pl.Series(["a", "z"]), ["a"])
