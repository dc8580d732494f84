"""What mapping a source's raw lines gives: rows in our columns, and the lines that could not be mapped."""

from dataclasses import dataclass

import polars as pl

from artrec_core.columns import KEY, LINE, QUARANTINE, REASON, RECORD, RULE, SOURCE, TABLE, conform

# The rules that mapping itself decides; the gates in expectations/ decide all others.
IS_JSON = "is_json"
IS_RECORD = "is_record"
MAPPABLE = "mappable"


@dataclass(frozen=True)
class Mapped:
    """Every raw line ends in exactly one of the two.

    `rows` holds LINE and the table's columns, `unmapped` holds QUARANTINE.
    """

    rows: pl.DataFrame
    unmapped: pl.DataFrame


def quarantined(
    table: str,
    raw: pl.DataFrame,
    *,
    rule: pl.Expr | str,
    reason: pl.Expr | str,
    key: pl.Expr | str | None = None,
) -> pl.DataFrame:
    """QUARANTINE rows of a table for raw rows (SOURCE, LINE, RECORD and whatever the expressions read).

    A `rule`, `reason` or `key` given as text is the same for every row; an expression is evaluated on `raw`.
    """
    return conform(
        raw.with_columns(
            pl.lit(table).alias(TABLE), _text(key).alias(KEY), _text(rule).alias(RULE), _text(reason).alias(REASON)
        ).select(TABLE, SOURCE, LINE, KEY, RULE, REASON, RECORD),
        QUARANTINE,
    )


def _text(value: pl.Expr | str | None) -> pl.Expr:
    return value if isinstance(value, pl.Expr) else pl.lit(value, dtype=pl.String())
