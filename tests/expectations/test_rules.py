"""The mask of a test and its Great Expectations expectation select the same rows, whatever the rows hold."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from expectations.artworks import CURRENCY_CODE, HTTP
from expectations.rules import (
    Condition,
    IsTrue,
    Matches,
    NotBelow,
    NotNull,
    OneOf,
    Rule,
    Within,
    format_percent,
    non_blank,
    reason_text,
    value_text,
)
from expectations.runner import judge

TEXTS = [
    None, "", " ", "CC0", "cc0", "like", "likes", "http://a.org", "HTTPS://例え.jp/x", "http:// a", "http:///x",
    "javascript:alert(1)", "\nhttp://a", "http://\u00a0x", "EUR", "EUR\n", "eur", "ÉUR", "<script>", "\x00", "𝔸", "a" * 500,
]  # fmt: skip
FLOATS = [None, 0.0, -0.0, 1.0, 5.0, 5.0000001, -1e-300, 1e308, float("inf"), -float("inf"), float("nan")]
INTEGERS = [None, 0, 1, -1, 2026, -99999, 2**31 - 1, -(2**31), 2**40]

TESTS: list[Condition] = [
    NotNull("text"),
    NotNull("float"),
    Within("float", 0.0, 1e300),
    Within("float", 1.0, 5.0),
    Within("integer", low=0),
    Within("integer", high=2026),
    Within("integer", -1, 1),
    OneOf("text", ("CC0", "like")),
    IsTrue("boolean"),
    Matches("text", HTTP),
    Matches("text", CURRENCY_CODE),
    NotBelow("integer", "other"),
]


def random_rows(seed: int, rows: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(seed)

    def sample(values: list[Any], dtype: pl.DataType) -> pl.Series:
        return pl.Series([values[index] for index in random.integers(0, len(values), rows)], dtype=dtype)

    return pl.DataFrame(
        {
            "text": sample(TEXTS, pl.String()),
            "float": sample(FLOATS, pl.Float64()),
            "integer": sample(INTEGERS, pl.Int64()),
            "other": sample(INTEGERS, pl.Int64()),
            "boolean": sample([None, True, False], pl.Boolean()),
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_mask_and_great_expectations_agree_on_random_rows(seed: int) -> None:
    rows = random_rows(seed)
    rules = [Rule(f"rule_{number}", test, "", reason_text("")) for number, test in enumerate(TESTS)]
    mask_counts = rows.select(rule.test.breaks().alias(rule.name) for rule in rules).sum().row(0)
    results = judge("random", rows, rules)
    assert [result.error for result in results] == [None] * len(rules)
    assert [result.rows_broken for result in results] == list(mask_counts)
    assert [result.success for result in results] == [count == 0 for count in mask_counts]
    assert all(0 < count < rows.height for count in mask_counts), "a test that all or no rows break proves little"


@pytest.mark.parametrize("test", TESTS, ids=lambda test: type(test).__name__)
def test_mask_and_great_expectations_agree_on_no_rows(test: Condition) -> None:
    results = judge("none", random_rows(0).clear(), [Rule("rule", test, "", reason_text(""))])
    assert (results[0].error, results[0].rows_broken, results[0].success) == (None, 0, True)


def test_a_null_breaks_only_not_null() -> None:
    nulls = random_rows(0, 1).with_columns(pl.all().map_batches(lambda column: column.clear(1)))
    assert [type(test) for test in TESTS if nulls.select(test.breaks()).item()] == [NotNull, NotNull]


def test_non_blank_text_is_unchanged_and_blank_text_is_null() -> None:
    frame = pl.DataFrame({"title": [None, "", " \n", "\u00a0", " x "]})
    assert frame.select(non_blank("title")).to_series().to_list() == [None, None, None, None, " x "]


def test_a_reason_shows_cut_values_and_nulls_as_words() -> None:
    frame = pl.DataFrame({"title": ["x" * 200, None]})
    assert frame.select(reason_text("it is {}", "title")).to_series().to_list() == [
        "it is " + "x" * 80,
        "it is nothing",
    ]
    assert frame.select(value_text("title")).to_series().to_list()[1] == "nothing"


def test_shares_are_formatted_in_percent() -> None:
    assert [format_percent(share) for share in (0, 0.05, 0.1234, 1, 0.00002, 0.00103)] == [
        "0 %",
        "5 %",
        "12.3 %",
        "100 %",
        "0.002 %",
        "0.1 %",
    ]
