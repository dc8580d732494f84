"""A table through its gate: rows that break a rule are quarantined, repeated keys merged, the rest kept."""

from collections.abc import Mapping, Sequence
from functools import reduce

import polars as pl

from artrec_core.columns import KEY, LINE, QUARANTINE, REASON, RULE, SOURCE, TABLE, conform, empty_frame
from artrec_core.data.mapped import IS_JSON, IS_RECORD, MAPPABLE
from expectations.rules import DISTINCT_SHARE, Holds, Rule, TableRule, at_most
from expectations.runner import judge
from expectations.verdict import KEPT, MERGED, OUTCOME, QUARANTINED, Checked, Result

MAPPING_SAYS = {
    IS_JSON: "A line is JSON.",
    IS_RECORD: "A line holds a record: an object with fields, not null, a number or a list.",
    MAPPABLE: "A record can be mapped to our columns.",
}
_WAS_KEPT = "was_kept"


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
    received: Mapping[str, int] | None = None,
) -> Checked:
    """Judge a table.

    `rows` hold SOURCE, LINE and the table's columns; `facts` what the rules read of them, row by row in the same order;
    `unmapped` are the QUARANTINE rows of the lines that never became rows. A row is quarantined under the first rule it
    breaks (the reason names the others). Of the rows of a source with the same `key` the last line is kept, the others
    are merged into it. `received` are the lines of each source as they were counted before mapping (by default, those of
    `rows` and `unmapped`): the sum is held against them. `record` is null in the quarantine of rows: the caller has the raw lines.
    """
    breaks = facts.select(rule.test.breaks().alias(rule.name) for rule in rules)
    bad = breaks.select(pl.any_horizontal(pl.all())).to_series() if rules else pl.repeat(False, rows.height, eager=True)
    good = rows.filter(~bad)
    kept = good.sort(SOURCE, LINE).unique([SOURCE, key], keep="last", maintain_order=True)
    quarantine = pl.concat(
        [
            conform(unmapped.with_columns(pl.lit(table).alias(TABLE)), QUARANTINE),
            _quarantine(table, rows.filter(bad), facts.filter(bad), key, rules),
        ]
    ).sort(SOURCE, LINE, RULE, maintain_order=True)
    lines = _lines(kept, quarantine, good.height - kept.height, good)
    results = [
        *_cross_checked(judge(f"{table}_rows", facts, rules), breaks),
        *_table_results(table, facts, lines, table_rules, max_quarantine_share),
    ]
    says = MAPPING_SAYS | {rule.name: rule.says for rule in rules}
    counted = dict(received) if received is not None else dict(lines.group_by(SOURCE).len().rows())
    return Checked(table, kept, quarantine, results, lines, counted, says)


def _quarantine(table: str, rows: pl.DataFrame, facts: pl.DataFrame, key: str, rules: Sequence[Rule]) -> pl.DataFrame:
    """QUARANTINE rows, one for each row, which all break at least one rule."""
    if not rows.height:
        return empty_frame(QUARANTINE)
    # The reasons read a row's own values and, where a rule has worked something out, its facts.
    both = rows.with_columns(facts.select(pl.all().name.prefix("fact_")))
    broken = facts.select(
        pl.concat_list(pl.when(rule.test.breaks()).then(pl.lit(rule.name)) for rule in rules)
        .list.drop_nulls()
        .alias("all")
    ).to_series()
    reason = reduce(
        lambda otherwise, rule: pl.when(pl.col(RULE) == rule.name).then(rule.reason).otherwise(otherwise),
        reversed(rules),
        pl.lit(None, dtype=pl.String),
    )
    also = pl.when(pl.col("all").list.len() > 1).then(
        pl.format("; it also breaks {}", pl.col("all").list.slice(1).list.join(", "))
    )
    return conform(
        both.with_columns(broken)
        .with_columns(pl.lit(table).alias(TABLE), pl.col(key).alias(KEY), pl.col("all").list.first().alias(RULE))
        .with_columns(pl.concat_str(reason, also.otherwise(pl.lit(""))).alias(REASON))
        .select(TABLE, SOURCE, LINE, KEY, RULE, REASON),
        QUARANTINE,
    )


def _lines(kept: pl.DataFrame, quarantine: pl.DataFrame, merged: int, good: pl.DataFrame) -> pl.DataFrame:
    """SOURCE and OUTCOME of every line received."""
    lines = [
        kept.select(SOURCE, pl.lit(KEPT).alias(OUTCOME)),
        quarantine.select(SOURCE, pl.lit(QUARANTINED).alias(OUTCOME)),
    ]
    if merged:
        lines.append(good.join(kept, on=[SOURCE, LINE], how="anti").select(SOURCE, pl.lit(MERGED).alias(OUTCOME)))
    return pl.concat(lines).sort(SOURCE, OUTCOME)


def _table_results(
    table: str, facts: pl.DataFrame, lines: pl.DataFrame, table_rules: Sequence[TableRule], max_quarantine_share: float
) -> list[Result]:
    # Of no rows there is no share; too few rows is a rule of its own.
    of_rows = [one for one in table_rules if not one.on_lines and (facts.height or one.expected.type != DISTINCT_SHARE)]
    of_lines = [
        *(one for one in table_rules if one.on_lines),
        at_most(
            max_quarantine_share,
            "quarantine_share",
            Holds(_WAS_KEPT),
            "Little of what was received is quarantined.",
            on_lines=True,
        ),
    ]
    outcomes = lines.with_columns((pl.col(OUTCOME) != QUARANTINED).alias(_WAS_KEPT))
    *of_sources, share = judge(f"{table}_lines", outcomes, of_lines)
    # In the order in which one explains another: what did not come, what is wrong with it, what that adds up to.
    return [*of_sources, *judge(f"{table}_table", facts, of_rows), share]


def _cross_checked(results: list[Result], breaks: pl.DataFrame) -> list[Result]:
    """The results, with an error where Great Expectations and the quarantine count different rows for one rule."""
    checked = []
    for one in results:
        ours = int(breaks.get_column(one.rule).sum())
        if one.error is None and one.rows_broken != ours:
            problem = f"Great Expectations counts {one.rows_broken} rows that break it, the quarantine {ours}"
            one = one.model_copy(update={"error": problem})
        checked.append(one)
    return checked
