"""Great Expectations over a frame: the rules as one suite, its results as ours."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import polars as pl

from expectations.rules import DISTINCT_SHARE, Expected, Rule, TableRule, columns_of, percent
from expectations.verdict import Result

# Set before Great Expectations is imported: it reports its use over the network otherwise.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column

RULE_NUMBER = "rule_number"


def judge(name: str, frame: pl.DataFrame, rules: Sequence[Rule | TableRule], *, all_stop: bool = False) -> list[Result]:
    """What Great Expectations says of each rule on this frame, in the order of the rules.

    Row rules stop nothing unless `all_stop`. Nothing is raised: where the validator breaks, the results say so in `error`.
    """
    if not rules:
        return []
    try:
        # A row count reads no column, but rows without a column have no count.
        table = frame.select(columns_of(rules) or frame.columns[:1])
        found = _validate(name, table, [_expectation(*pair) for pair in enumerate(rules)])
        return [_result(rule, found[number], all_stop) for number, rule in enumerate(rules)]
    except Exception as error:
        # Whatever it is, it is the validator that broke: no rule may count as held, and none as broken by the data.
        return [_broken(rule, all_stop, f"{type(error).__name__}: {error}") for rule in rules]


def _validate(name: str, frame: pl.DataFrame, expectations: list[Any]) -> dict[int, Any]:
    _be_quiet()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    suite = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=expectations))
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch(
        {"dataframe": frame.to_pandas(use_pyarrow_extension_array=True)}
    )
    found = batch.validate(suite, result_format="BASIC")
    return {one.expectation_config.meta[RULE_NUMBER]: one for one in found.results}


def _be_quiet() -> None:
    """Great Expectations logs every temporary folder and every failed metric; what matters is in its results."""
    for name in ["great_expectations", *logging.root.manager.loggerDict]:
        if name.split(".")[0] == "great_expectations":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _expectation(number: int, rule: Rule | TableRule) -> Any:
    expected = _expected(rule)
    arguments = dict(expected.arguments)
    if expected.only is not None:
        column, value = expected.only
        arguments["row_condition"] = Column(column) == value
    severity = "critical" if isinstance(rule, TableRule) else "warning"
    return getattr(gxe, expected.type)(**arguments, severity=severity, meta={RULE_NUMBER: number})


def _expected(rule: Rule | TableRule) -> Expected:
    return rule.test.expected() if isinstance(rule, Rule) else rule.expected


def _result(rule: Rule | TableRule, found: Any, all_stop: bool) -> Result:
    problem = _problem(found.exception_info)
    if problem is not None:
        return _broken(rule, all_stop, problem)
    unexpected = found.result.get("unexpected_count")
    if unexpected is None:
        value = float(found.result["observed_value"])
        observed = f"{value:,.0f} rows"
        if _expected(rule).type == DISTINCT_SHARE:
            value = round(1 - value, 12)
            observed = percent(value)
    else:
        judged = found.result["element_count"] - found.result.get("missing_count", 0)
        value = unexpected / judged if judged else 0.0
        observed = f"{percent(value)} ({unexpected:,} of {judged:,})" if judged else "nothing to judge"
    return _blank(rule, all_stop).model_copy(
        update={
            "success": bool(found.success),
            "value": value,
            "observed": observed,
            "rows_broken": None if unexpected is None else int(unexpected),
        }
    )


def _broken(rule: Rule | TableRule, all_stop: bool, problem: str) -> Result:
    return _blank(rule, all_stop).model_copy(update={"error": problem.strip()[:500]})


def _blank(rule: Rule | TableRule, all_stop: bool) -> Result:
    of_table = isinstance(rule, TableRule)
    return Result(
        rule=rule.name,
        about=rule.about if isinstance(rule, TableRule) else "",
        says=rule.says,
        expectation=_expected(rule).type,
        stops=of_table or all_stop,
        success=False,
        allowed=rule.allowed if isinstance(rule, TableRule) else "none",
    )


def _problem(info: dict[str, Any] | None) -> str | None:
    """Why the validator broke, or None: `exception_info` holds one exception, or one for each metric."""
    if not info:
        return None
    each = [info] if "raised_exception" in info else [one for one in info.values() if isinstance(one, dict)]
    raised = [str(one.get("exception_message")) for one in each if one.get("raised_exception")]
    return raised[0] if raised else None
