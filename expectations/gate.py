"""The gate of a table: rows that break a rule are quarantined, rows with the same key are merged, the rest is kept."""

from collections.abc import Mapping, Sequence
from functools import reduce

import polars as pl

from artrec_core.columns import KEY, LINE, QUARANTINE, REASON, RULE, SOURCE, TABLE, conform, empty_frame
from artrec_core.data.mapped_rows import IS_JSON, IS_RECORD, MAPPABLE
from expectations.rules import DISTINCT_SHARE, IsTrue, Rule, TableRule, at_most_share
from expectations.runner import judge
from expectations.verdict import KEPT, MERGED, OUTCOME, QUARANTINED, CheckedTable, Result

MAPPING_SAYS = {
    IS_JSON: "A line is JSON.",
    IS_RECORD: "A line holds a record: an object with fields, not null, a number or a list.",
    MAPPABLE: "A record can be mapped to the columns of the table.",
}
_WAS_KEPT = "was_kept"
_BROKEN_RULES = "broken_rules"


def check(
    table: str,
    rows: pl.DataFrame,
    facts: pl.DataFrame,
    unmapped: pl.DataFrame,
    *,
    key: str,
    rules: Sequence[Rule],
    table_rules: Sequence[TableRule],
    max_quarantine_share: float,
    lines_received: Mapping[str, int] | None = None,
) -> CheckedTable:
    """Check a table against its rules.

    Parameters
    ----------
    table : name of the table
    rows : frame of SOURCE, LINE and the table's columns
    facts : frame of the columns that the rules read, one row for each of `rows`, in the same order
    unmapped : frame of QUARANTINE, the lines that could not be mapped
    key : column that identifies a row within a source; of the rows with the same key, the last line is kept
    rules : rules for every row
    table_rules : rules for the whole table
    max_quarantine_share : largest share (0 to 1) of the lines that may be quarantined
    lines_received : source -> number of lines, counted before mapping
        The conservation sum is compared with them. By default they are the lines of `rows` and `unmapped`.

    Returns
    -------
    CheckedTable
        A row is quarantined under the first rule that it breaks; the reason names the others. RECORD is null for a
        quarantined row: the caller has the raw lines.
    """
    breaks = facts.select(rule.test.breaks().alias(rule.name) for rule in rules)
    is_bad = (
        breaks.select(pl.any_horizontal(pl.all())).to_series() if rules else pl.repeat(False, rows.height, eager=True)
    )
    good_rows = rows.filter(~is_bad)
    kept_rows = good_rows.sort(SOURCE, LINE).unique([SOURCE, key], keep="last", maintain_order=True)
    quarantine = pl.concat(
        [
            conform(unmapped.with_columns(pl.lit(table).alias(TABLE)), QUARANTINE),
            _quarantine(table, rows.filter(is_bad), facts.filter(is_bad), key, rules),
        ]
    ).sort(SOURCE, LINE, RULE, maintain_order=True)
    lines = _lines(kept_rows, quarantine, good_rows)
    results = [
        *_cross_check(judge(f"{table}_rows", facts, rules), breaks),
        *_table_results(table, facts, lines, table_rules, max_quarantine_share),
    ]
    says = MAPPING_SAYS | {rule.name: rule.says for rule in rules}
    line_counts = dict(lines_received) if lines_received is not None else dict(lines.group_by(SOURCE).len().rows())
    return CheckedTable(table, kept_rows, quarantine, results, lines, line_counts, says)


def _quarantine(table: str, rows: pl.DataFrame, facts: pl.DataFrame, key: str, rules: Sequence[Rule]) -> pl.DataFrame:
    """Turn rows into QUARANTINE rows. Each row breaks at least one rule."""
    if not rows.height:
        return empty_frame(QUARANTINE)
    # The reasons read the columns of the row and its facts.
    rows_with_facts = rows.with_columns(facts.select(pl.all().name.prefix("fact_")))
    broken_rules = facts.select(
        pl.concat_list(pl.when(rule.test.breaks()).then(pl.lit(rule.name)) for rule in rules)
        .list.drop_nulls()
        .alias(_BROKEN_RULES)
    ).to_series()
    reason = reduce(
        lambda otherwise, rule: pl.when(pl.col(RULE) == rule.name).then(rule.reason).otherwise(otherwise),
        reversed(rules),
        pl.lit(None, dtype=pl.String),
    )
    other_rules = pl.when(pl.col(_BROKEN_RULES).list.len() > 1).then(
        pl.format("; it also breaks {}", pl.col(_BROKEN_RULES).list.slice(1).list.join(", "))
    )
    return conform(
        rows_with_facts.with_columns(broken_rules)
        .with_columns(
            pl.lit(table).alias(TABLE),
            pl.col(key).alias(KEY),
            pl.col(_BROKEN_RULES).list.first().alias(RULE),
        )
        .with_columns(pl.concat_str(reason, other_rules.otherwise(pl.lit(""))).alias(REASON))
        .select(TABLE, SOURCE, LINE, KEY, RULE, REASON),
        QUARANTINE,
    )


def _lines(kept_rows: pl.DataFrame, quarantine: pl.DataFrame, good_rows: pl.DataFrame) -> pl.DataFrame:
    """SOURCE and OUTCOME of every line received. `good_rows` are the rows before those with the same key were merged."""
    lines = [
        kept_rows.select(SOURCE, pl.lit(KEPT).alias(OUTCOME)),
        quarantine.select(SOURCE, pl.lit(QUARANTINED).alias(OUTCOME)),
    ]
    if good_rows.height > kept_rows.height:
        merged_rows = good_rows.join(kept_rows, on=[SOURCE, LINE], how="anti")
        lines.append(merged_rows.select(SOURCE, pl.lit(MERGED).alias(OUTCOME)))
    return pl.concat(lines).sort(SOURCE, OUTCOME)


def _table_results(
    table: str, facts: pl.DataFrame, lines: pl.DataFrame, table_rules: Sequence[TableRule], max_quarantine_share: float
) -> list[Result]:
    # A share of no rows is undefined. A rule of its own checks for too few rows.
    row_rules = [
        rule for rule in table_rules if not rule.on_lines and (facts.height or rule.expectation.type != DISTINCT_SHARE)
    ]
    line_rules = [
        *(rule for rule in table_rules if rule.on_lines),
        at_most_share(
            max_quarantine_share,
            "quarantine_share",
            IsTrue(_WAS_KEPT),
            "Few of the lines received are quarantined.",
            on_lines=True,
        ),
    ]
    outcomes = lines.with_columns((pl.col(OUTCOME) != QUARANTINED).alias(_WAS_KEPT))
    *line_results, quarantine_share = judge(f"{table}_lines", outcomes, line_rules)
    # Causes come before effects: missing lines, then bad values, then the share of quarantined lines.
    return [*line_results, *judge(f"{table}_table", facts, row_rules), quarantine_share]


def _cross_check(results: list[Result], breaks: pl.DataFrame) -> list[Result]:
    """Add an error to each result for which Great Expectations and the quarantine count different numbers of rows."""
    checked_results = []
    for result in results:
        quarantine_count = int(breaks.get_column(result.rule).sum())
        if result.error is None and result.rows_broken != quarantine_count:
            problem = (
                f"Great Expectations counts {result.rows_broken} rows that break the rule,"
                f" but the quarantine counts {quarantine_count}"
            )
            result = result.model_copy(update={"error": problem})
        checked_results.append(result)
    return checked_results
