"""Rules and the tests they are made of.

Each test gives a polars mask, which selects the rows for the quarantine, and a Great Expectations expectation, which
reports the result. A test reads one or two columns of a table's *facts*: columns that are computed from its rows, so
that every test can be simple. A null passes every test except `NotNull`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from artrec_core.columns import SOURCE

# Names in Great Expectations of expectations about a whole table.
ROW_COUNT = "ExpectTableRowCountToBeBetween"
DISTINCT_SHARE = "ExpectColumnProportionOfUniqueValuesToBeBetween"


@dataclass(frozen=True)
class ExpectationSpec:
    """An expectation of Great Expectations: the name of its type and its arguments.

    `only` is (column, value) and restricts it to the rows in which the column has that value.
    """

    type: str
    arguments: dict[str, Any]
    only: tuple[str, str] | None = None


class Condition(Protocol):
    """A test that every row must pass."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The facts that the test reads."""
        ...

    def breaks(self) -> pl.Expr:
        """True for a row that fails the test; never null."""
        ...

    def expectation(self) -> ExpectationSpec:
        """The same test for Great Expectations."""
        ...


@dataclass(frozen=True)
class NotNull:
    """The column is not null."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return pl.col(self.column).is_null()

    def expectation(self) -> ExpectationSpec:
        return ExpectationSpec("ExpectColumnValuesToNotBeNull", {"column": self.column})


@dataclass(frozen=True)
class Within:
    """The number is between the bounds, or equal to one. A float column needs `high`, so that NaN fails the test."""

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

    def expectation(self) -> ExpectationSpec:
        bounds = {"min_value": self.low, "max_value": self.high}
        arguments = {name: bound for name, bound in bounds.items() if bound is not None}
        return ExpectationSpec("ExpectColumnValuesToBeBetween", {"column": self.column, **arguments})


@dataclass(frozen=True)
class OneOf:
    """The value is one of `values`."""

    column: str
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return (~pl.col(self.column).is_in(list(self.values))).fill_null(False)

    def expectation(self) -> ExpectationSpec:
        return ExpectationSpec("ExpectColumnValuesToBeInSet", {"column": self.column, "value_set": list(self.values)})


@dataclass(frozen=True)
class IsTrue:
    """The boolean column is true."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return (~pl.col(self.column)).fill_null(False)

    def expectation(self) -> ExpectationSpec:
        return ExpectationSpec("ExpectColumnValuesToBeInSet", {"column": self.column, "value_set": [True]})


@dataclass(frozen=True)
class Matches:
    """The text begins with the pattern.

    The pattern may use only what the regular expressions of Rust, Python and RE2 have in common. That excludes `$` (in
    Python a newline may follow) and `\\s`, `\\d` and `\\w` (they differ outside ASCII).
    """

    column: str
    pattern: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def breaks(self) -> pl.Expr:
        return (~pl.col(self.column).str.contains(f"^(?:{self.pattern})")).fill_null(False)

    def expectation(self) -> ExpectationSpec:
        return ExpectationSpec(
            "ExpectColumnValuesToMatchRegex", {"column": self.column, "regex": f"^(?:{self.pattern})"}
        )


@dataclass(frozen=True)
class NotBelow:
    """The number in `column` is not below the number in `other` of the same row."""

    column: str
    other: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.other)

    def breaks(self) -> pl.Expr:
        return (pl.col(self.column) < pl.col(self.other)).fill_null(False)

    def expectation(self) -> ExpectationSpec:
        pair = {"column_A": self.column, "column_B": self.other, "or_equal": True}
        return ExpectationSpec(
            "ExpectColumnPairValuesAToBeGreaterThanB", {**pair, "ignore_row_if": "either_value_is_missing"}
        )


@dataclass(frozen=True)
class Rule:
    """A rule for every row. A row that breaks it is quarantined under the rule's name.

    Attributes
    ----------
    name : stands in lake tables and on pages
    test : what a row must pass
    says : the rule as a sentence, for pages
    reason : expression that says why a row breaks the rule, with the value
    """

    name: str
    test: Condition
    says: str
    reason: pl.Expr


@dataclass(frozen=True)
class TableRule:
    """A rule for the whole table. If it is broken, the night stops.

    Attributes
    ----------
    name : stands in reports and on pages
    says : the rule as a sentence, for pages
    expectation : what the table must pass
    columns : columns that the expectation reads
    allowed : the limit in words
    about : the source or column, if there is one such rule for each of them
    on_lines : whether it checks the lines received (source, outcome) and not the facts of the rows
    """

    name: str
    says: str
    expectation: ExpectationSpec
    columns: tuple[str, ...]
    allowed: str
    about: str = ""
    on_lines: bool = field(default=False, kw_only=True)


def at_most_share(
    share: float, name: str, test: Condition, says: str, about: str = "", *, on_lines: bool = False
) -> TableRule:
    """A table rule: of the rows that have a value, at most this share (0 to 1) fails the test."""
    expectation = test.expectation()
    # Rounded, so that with an allowed share of 0.05 exactly 5 of 100 rows may fail.
    mostly = round(1 - share, 12)
    return TableRule(
        name=name,
        says=says,
        expectation=ExpectationSpec(expectation.type, {**expectation.arguments, "mostly": mostly}),
        columns=test.columns,
        allowed=f"at most {format_percent(share)}",
        about=about,
        on_lines=on_lines,
    )


def at_least_rows(name: str, minimum: int, says: str, *, source: str | None = None) -> TableRule:
    """A table rule: at least `minimum` rows, or at least `minimum` lines of one source."""
    only = None if source is None else (SOURCE, source)
    return TableRule(
        name=name,
        says=says,
        expectation=ExpectationSpec(ROW_COUNT, {"min_value": minimum}, only),
        columns=() if source is None else (SOURCE,),
        allowed=f"at least {minimum:,}",
        about=source or "",
        on_lines=source is not None,
    )


def at_most_duplicates(share: float, column: str, says: str) -> TableRule:
    """A table rule: of the rows with a value in `column`, at most this share (0 to 1) repeats an earlier value."""
    return TableRule(
        name="duplicates",
        says=says,
        expectation=ExpectationSpec(DISTINCT_SHARE, {"column": column, "min_value": round(1 - share, 12)}),
        columns=(column,),
        allowed=f"at most {format_percent(share)}",
    )


def format_percent(share: float) -> str:
    """A share (0 to 1) in percent, as in `4.2 %`. A small share is never shown as `0.0 %`."""
    number = f"{100 * share:.2g}" if 0 < share < 0.01 else f"{100 * share:.1f}".removesuffix(".0")
    return f"{number} %"


def non_blank(column: str) -> pl.Expr:
    """The text in a column, unchanged, or null if it is blank."""
    return pl.when(pl.col(column).str.strip_chars() != "").then(column).alias(column)


def value_text(column: str | pl.Expr) -> pl.Expr:
    """A value as text for a reason, cut to 80 characters; a null is `nothing`."""
    value = pl.col(column) if isinstance(column, str) else column
    return value.cast(pl.String).str.slice(0, 80).fill_null("nothing")


def reason_text(template: str, *values: str | pl.Expr) -> pl.Expr:
    """A reason: the template, with each `{}` replaced by a value of the row."""
    return pl.format(template, *(value_text(value) for value in values)) if values else pl.lit(template)


def columns_of(rules: Sequence[Rule | TableRule]) -> list[str]:
    """The distinct columns that these rules read, sorted by name."""
    return sorted({name for rule in rules for name in (rule.test.columns if isinstance(rule, Rule) else rule.columns)})
