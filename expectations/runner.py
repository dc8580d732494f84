"""Runs rules on a frame with Great Expectations: builds one suite of them and turns its results into `Result`."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import polars as pl

from expectations.rules import DISTINCT_SHARE, ExpectationSpec, Rule, TableRule, columns_of, format_percent
from expectations.verdict import Result

# Must be set before Great Expectations is imported. Otherwise it reports its use over the network.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column

RULE_NUMBER = "rule_number"


def judge(name: str, frame: pl.DataFrame, rules: Sequence[Rule | TableRule], *, all_stop: bool = False) -> list[Result]:
    """Check rules with Great Expectations.

    Parameters
    ----------
    name : name of the suite
    frame : frame with the columns that the rules read
    rules : rules for rows and for the table
    all_stop : whether a broken row rule stops the night, as a broken table rule does

    Returns
    -------
    list of Result, in the order of the rules
        If the validator itself fails, no exception is raised: the results have an `error`.
    """
    if not rules:
        return []
    try:
        # A row count reads no column, but a frame without columns has no rows to count.
        table = frame.select(columns_of(rules) or frame.columns[:1])
        results = _validate(name, table, [_gx_expectation(*pair) for pair in enumerate(rules)])
        return [_result(rule, results[number], all_stop) for number, rule in enumerate(rules)]
    except Exception as error:
        # Any exception here means that the validator failed. No rule may then count as passed or as broken by the data.
        return [_error_result(rule, all_stop, f"{type(error).__name__}: {error}") for rule in rules]


def _validate(name: str, frame: pl.DataFrame, expectations: list[Any]) -> dict[int, Any]:
    _silence_logging()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    suite = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=expectations))
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch(
        {"dataframe": frame.to_pandas(use_pyarrow_extension_array=True)}
    )
    validation = batch.validate(suite, result_format="BASIC")
    return {result.expectation_config.meta[RULE_NUMBER]: result for result in validation.results}


def _silence_logging() -> None:
    """Silence Great Expectations: it logs every temporary folder and every failed metric. The results are enough."""
    for name in ["great_expectations", *logging.root.manager.loggerDict]:
        if name.split(".")[0] == "great_expectations":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _gx_expectation(number: int, rule: Rule | TableRule) -> Any:
    spec = _expectation_spec(rule)
    arguments = dict(spec.arguments)
    if spec.only is not None:
        column, value = spec.only
        arguments["row_condition"] = Column(column) == value
    severity = "critical" if isinstance(rule, TableRule) else "warning"
    return getattr(gxe, spec.type)(**arguments, severity=severity, meta={RULE_NUMBER: number})


def _expectation_spec(rule: Rule | TableRule) -> ExpectationSpec:
    return rule.test.expectation() if isinstance(rule, Rule) else rule.expectation


def _result(rule: Rule | TableRule, gx_result: Any, all_stop: bool) -> Result:
    problem = _problem(gx_result.exception_info)
    if problem is not None:
        return _error_result(rule, all_stop, problem)
    unexpected = gx_result.result.get("unexpected_count")
    if unexpected is None:
        value = float(gx_result.result["observed_value"])
        observed = f"{value:,.0f} rows"
        if _expectation_spec(rule).type == DISTINCT_SHARE:
            value = round(1 - value, 12)
            observed = format_percent(value)
    else:
        checked_rows = gx_result.result["element_count"] - gx_result.result.get("missing_count", 0)
        value = unexpected / checked_rows if checked_rows else 0.0
        observed = (
            f"{format_percent(value)} ({unexpected:,} of {checked_rows:,})" if checked_rows else "no rows to check"
        )
    return _empty_result(rule, all_stop).model_copy(
        update={
            "success": bool(gx_result.success),
            "value": value,
            "observed": observed,
            "rows_broken": None if unexpected is None else int(unexpected),
        }
    )


def _error_result(rule: Rule | TableRule, all_stop: bool, problem: str) -> Result:
    return _empty_result(rule, all_stop).model_copy(update={"error": problem.strip()[:500]})


def _empty_result(rule: Rule | TableRule, all_stop: bool) -> Result:
    return Result(
        rule=rule.name,
        about=rule.about if isinstance(rule, TableRule) else "",
        says=rule.says,
        expectation=_expectation_spec(rule).type,
        stops=isinstance(rule, TableRule) or all_stop,
        success=False,
        allowed=rule.allowed if isinstance(rule, TableRule) else "none",
    )


def _problem(info: dict[str, Any] | None) -> str | None:
    """Why the validator failed, or None. `exception_info` holds one exception, or one for each metric."""
    if not info:
        return None
    infos = [info] if "raised_exception" in info else [inner for inner in info.values() if isinstance(inner, dict)]
    messages = [str(inner.get("exception_message")) for inner in infos if inner.get("raised_exception")]
    return messages[0] if messages else None
