"""The result of mapping a source's raw lines: rows in artrec's columns, and the lines that could not be mapped."""

from dataclasses import dataclass

import polars as pl

from artrec_core.columns import KEY, LINE, QUARANTINE, REASON, RECORD, RULE, SOURCE, TABLE, conform

# The rules that are decided during mapping. The gates in expectations/ decide all others.
IS_JSON = "is_json"
IS_RECORD = "is_record"
MAPPABLE = "mappable"


@dataclass(frozen=True)
class MappedRows:
    """Mapped and unmapped lines: every raw line is in exactly one of the two frames.

    Attributes
    ----------
    rows : frame of LINE and the table's columns
    unmapped : frame of QUARANTINE, the lines that could not be mapped
    """

    rows: pl.DataFrame
    unmapped: pl.DataFrame


def quarantine_rows(
    table: str,
    raw: pl.DataFrame,
    *,
    rule: pl.Expr | str,
    reason: pl.Expr | str,
    key: pl.Expr | str | None = None,
) -> pl.DataFrame:
    """Turn raw rows into QUARANTINE rows.

    Parameters
    ----------
    table : name of the table that the rows were meant for
    raw : frame of SOURCE, LINE, RECORD and the columns that the expressions read
    rule, reason, key : a text is the same for every row; an expression is evaluated on `raw`
    """
    return conform(
        raw.with_columns(
            pl.lit(table).alias(TABLE),
            _expression(key).alias(KEY),
            _expression(rule).alias(RULE),
            _expression(reason).alias(REASON),
        ).select(TABLE, SOURCE, LINE, KEY, RULE, REASON, RECORD),
        QUARANTINE,
    )


def _expression(value: pl.Expr | str | None) -> pl.Expr:
    return value if isinstance(value, pl.Expr) else pl.lit(value, dtype=pl.String())
