"""The rules as a table: each yields the polars mask that quarantines and the Great Expectations expectation that reports.

A test looks at one or two columns of a table's *facts* (a few columns worked out from its rows, so that every rule stays
a simple test). A null passes every test but `Present`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from artrec_core.columns import SOURCE

# Expectations about a whole table, by their Great Expectations names.
ROW_COUNT = "ExpectTableRowCountToBeBetween"
DISTINCT_SHARE = "ExpectColumnProportionOfUniqueValuesToBeBetween"


@dataclass(frozen=True)
class Expected:
    """An expectation by its Great Expectations name; `only` restricts it to rows where a column has a value."""

    type: str
    arguments: dict[str, Any]
    only: tuple[str, str] | None = None


class Condition(Protocol):
    """What every row must pass."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The facts it reads."""
        ...

    def breaks(self) -> pl.Expr:
        """True where a row fails; never null."""
        ...

    def expected(self) -> Expected:
        """The same test for Great Expectations."""
        ...


@dataclass(frozen=True)
class Present:
    """The column is not null."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return pl.col(self.column).is_null()

    def expected(self) -> Expected:
        return Expected("ExpectColumnValuesToNotBeNull", {"column": self.column})


@dataclass(frozen=True)
class Within:
    """The number lies between both bounds, themselves included. A float column needs `high`: NaN must fail it."""

    column: str
    low: float | None = None
    high: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        column = pl.col(self.column)
        low = pl.lit(False) if self.low is None else column < self.low
        high = pl.lit(False) if self.high is None else column > self.high
        return (low | high).fill_null(False)

    def expected(self) -> Expected:
        bounds = {"min_value": self.low, "max_value": self.high}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        return Expected("ExpectColumnValuesToBeBetween", {"column": self.column, **given})


@dataclass(frozen=True)
class OneOf:
    """The value is one of a few."""

    column: str
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return (~pl.col(self.column).is_in(list(self.values))).fill_null(False)

    def expected(self) -> Expected:
        return Expected("ExpectColumnValuesToBeInSet", {"column": self.column, "value_set": list(self.values)})


@dataclass(frozen=True)
class Holds:
    """The boolean is true."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return (~pl.col(self.column)).fill_null(False)

    def expected(self) -> Expected:
        return Expected("ExpectColumnValuesToBeInSet", {"column": self.column, "value_set": [True]})


@dataclass(frozen=True)
class Matches:
    """The text begins with the pattern, in what Rust's, Python's and RE2's regular expressions have in common.

    That rules out `$` (Python lets a newline follow), `\\s`, `\\d` and `\\w` (they differ beyond ASCII).
    """

    column: str
    pattern: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return (~pl.col(self.column).str.contains(f"^(?:{self.pattern})")).fill_null(False)

    def expected(self) -> Expected:
        return Expected("ExpectColumnValuesToMatchRegex", {"column": self.column, "regex": f"^(?:{self.pattern})"})


@dataclass(frozen=True)
class NotBelow:
    """One number is not below another of the same row."""

    column: str
    other: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.other)

    def breaks(self) -> pl.Expr:
        return (pl.col(self.column) < pl.col(self.other)).fill_null(False)

    def expected(self) -> Expected:
        pair = {"column_A": self.column, "column_B": self.other, "or_equal": True}
        return Expected("ExpectColumnPairValuesAToBeGreaterThanB", {**pair, "ignore_row_if": "either_value_is_missing"})


@dataclass(frozen=True)
class Rule:
    """What every row must hold; one that does not is quarantined under the rule's name.

    `says` is the rule as a sentence; `reason` says of a row that breaks it why, with the value.
    """

    name: str
    test: Condition
    says: str
    reason: pl.Expr


@dataclass(frozen=True)
class TableRule:
    """What the whole table must hold, else the night stops.

    `about` names the source or column it is about where there is one rule for each; `allowed` is the limit in words;
    `on_lines` sets it on the lines received (source, outcome) instead of on the facts of the rows.
    """

    name: str
    says: str
    expected: Expected
    columns: tuple[str, ...]
    allowed: str
    about: str = ""
    on_lines: bool = field(default=False, kw_only=True)


def at_most(
    share: float, name: str, test: Condition, says: str, about: str = "", *, on_lines: bool = False
) -> TableRule:
    """A table rule: at most this share of the rows (those that have a value) fail the test."""
    expected = test.expected()
    # Floating point must not turn an allowed share of 0.05 into a failure at exactly 5 of 100 rows.
    mostly = round(1 - share, 12)
    return TableRule(
        name=name,
        says=says,
        expected=Expected(expected.type, {**expected.arguments, "mostly": mostly}),
        columns=test.columns,
        allowed=f"at most {percent(share)}",
        about=about,
        on_lines=on_lines,
    )


def enough_rows(name: str, least: int, says: str, *, source: str | None = None) -> TableRule:
    """A table rule: at least so many rows, or so many lines of one source."""
    only = None if source is None else (SOURCE, source)
    return TableRule(
        name=name,
        says=says,
        expected=Expected(ROW_COUNT, {"min_value": least}, only),
        columns=() if source is None else (SOURCE,),
        allowed=f"at least {least:,}",
        about=source or "",
        on_lines=source is not None,
    )


def few_duplicates(share: float, column: str, says: str) -> TableRule:
    """A table rule: at most this share of the rows that have the key repeat one."""
    return TableRule(
        name="duplicates",
        says=says,
        expected=Expected(DISTINCT_SHARE, {"column": column, "min_value": round(1 - share, 12)}),
        columns=(column,),
        allowed=f"at most {percent(share)}",
    )


def percent(share: float) -> str:
    """A share as people read it: `4.2 %`, and never `0.0 %` for what is not nothing."""
    shown = f"{100 * share:.2g}" if 0 < share < 0.01 else f"{100 * share:.1f}".removesuffix(".0")
    return f"{shown} %"


def present(column: str) -> pl.Expr:
    """The text as it is kept, null where it is blank: what a rule passes is what is read later."""
    return pl.when(pl.col(column).str.strip_chars() != "").then(column).alias(column)


def shown(column: str | pl.Expr) -> pl.Expr:
    """A value for a reason: as text, cut at 80 characters, `nothing` for a null."""
    value = pl.col(column) if isinstance(column, str) else column
    return value.cast(pl.String).str.slice(0, 80).fill_null("nothing")


def say(template: str, *values: str | pl.Expr) -> pl.Expr:
    """A reason: the template's `{}` filled with the row's values."""
    return pl.format(template, *(shown(value) for value in values)) if values else pl.lit(template)


def columns_of(rules: Sequence[Rule | TableRule]) -> list[str]:
    """The columns these rules read, each once, in order of their names."""
    return sorted({name for rule in rules for name in (rule.test.columns if isinstance(rule, Rule) else rule.columns)})
