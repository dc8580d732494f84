"""`artrec doctor`: check that this machine and a recipe can run a night, and say what to do if they cannot."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from artrec_core.config import AnySource, Recipe, load
from artrec_core.data.files import open_input
from artrec_core.errors import ArtrecError, MissingInput
from artrec_core.model.base_models import CONFIG, resolve
from artrec_core.model.deepspeed_settings import deepspeed_file
from artrec_core.model.distributed.gpu_memory import ModelSize, describe_memory, recipe_memory
from artrec_core.model.distributed.launch import slow_product_notices
from artrec_core.processor import auto_precision, describe_machine
from artrec_core.urls import redact
from jobs.console import make_console
from jobs.step import SetOption, run_command
from jobs.store_checks import Check, find_faults, store_checks

MIN_FREE_GB = 5
PACKAGES = ("torch", "transformers", "deepspeed", "ray", "polars", "great-expectations", "mlflow", "duckdb")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    check : what was checked
    passed : whether it is as it must be; None for information, about which nothing has to be done
    observed : what the check found
    advice : what to do if the check did not pass
    """

    check: str
    passed: bool | None
    observed: str
    advice: str = ""


def command(
    config: Annotated[str | None, typer.Option("--config", "-c", help="Check this recipe too.", metavar="FILE")] = None,
    overrides: SetOption = [],  # noqa: B006
) -> None:
    """Check the machine, the installation and a recipe, and say what to do about each fault."""
    findings = list(machine_findings())
    if config is not None:
        findings += list(recipe_findings(load(config, overrides)))
    make_console().print(_table(findings))
    failed_checks = sum(finding.passed is False for finding in findings)
    if failed_checks:
        raise ArtrecError(f"{failed_checks} of {len(findings)} checks failed; the last column says what to do")
    if config is None:
        typer.echo("Add --config infra/recipes/demo.toml to check a recipe too.")


def machine_findings() -> Iterator[Finding]:
    """The Python version, the packages, the disk, the processor and the compiler of this machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", sys.version_info[:2] == (3, 11), version, "use Python 3.11")
    for package in PACKAGES:
        yield _package_finding(package)
    free_gb = shutil.disk_usage(".").free / 1e9
    yield Finding("free disk", free_gb > MIN_FREE_GB, f"{free_gb:.0f} GB", f"free at least {MIN_FREE_GB} GB")
    yield Finding("processors", None, describe_machine(os.cpu_count()))
    yield Finding("precision auto", None, f"{auto_precision()} on this processor")
    compiler = shutil.which("g++")
    yield Finding("g++", compiler is not None, compiler or "not found", "install g++: DeepSpeed compiles with it")


def recipe_findings(recipe: Recipe) -> Iterator[Finding]:
    """Whether the stores, the source files, the base model and the settings file of a recipe can be used."""
    all_sources: list[AnySource] = [*recipe.sources, *recipe.events, *recipe.users]
    # A path with {date} names another file for each night.
    with_fixed_path = [source for source in all_sources if source.path is not None and "{date}" not in source.path]
    sources = {f"source {source.name}": source for source in with_fixed_path}
    source_checks = [_source_check(name, str(source.path)) for name, source in sources.items()]
    checks = [*store_checks(recipe), *source_checks]
    for check, fault in zip(checks, find_faults(checks), strict=True):
        required = check.name not in sources or sources[check.name].required
        passed = True if fault is None else False if required else None
        yield Finding(check.name, passed, redact(check.address), str(fault or ""))
    yield _base_model_finding(recipe)
    if recipe.train.use_gpu and recipe.model.tuning != "frozen":
        yield from _memory_finding(recipe)
    yield from _products_findings(recipe)
    if recipe.train.deepspeed:
        yield Finding(
            "DeepSpeed settings",
            Path(recipe.train.deepspeed).exists(),
            recipe.train.deepspeed,
            "run from the project's folder",
        )


def _package_finding(package: str) -> Finding:
    try:
        return Finding(package, True, importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return Finding(package, False, "not installed", "run `make setup`")


def _source_check(name: str, path: str) -> Check:
    def check() -> None:
        try:
            open_input(name, path).close()
        except MissingInput as error:
            raise ArtrecError(f"{error} (ARTREC_DATA is the folder of the shipped recipes)") from None

    return Check(name, path, "its `path`", check)


def _base_model_finding(recipe: Recipe) -> Finding:
    base = recipe.model.base
    return _run_check("base model", base, lambda: resolve(base, recipe.store.models))


def _products_findings(recipe: Recipe) -> Iterator[Finding]:
    try:
        notices = slow_product_notices(recipe)
    except ArtrecError:  # reported by the finding on the DeepSpeed settings
        return
    for notice in notices:
        yield Finding("products", None, notice)


def _memory_finding(recipe: Recipe) -> Iterator[Finding]:
    try:
        folder = resolve(recipe.model.base, recipe.store.models)
        train = recipe.train.model_copy(update={"deepspeed": str(deepspeed_file(recipe.train.deepspeed))})
    except ArtrecError:  # reported by the findings on the base model and on the DeepSpeed settings
        return
    if not (folder / CONFIG).exists():
        return
    # It takes seconds to import, and only recipes for a GPU come here.
    from transformers import AutoConfig

    size = ModelSize.of(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    yield Finding("memory to train", None, describe_memory(recipe_memory(recipe.model, train, size), train.workers))


def _run_check(name: str, observed: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except ArtrecError as error:
        return Finding(name, False, observed, str(error))
    return Finding(name, True, observed)


def _table(findings: list[Finding]) -> Table:
    marks = {True: Text("ok", "green"), False: Text("wrong", "bold red"), None: Text("", "dim")}
    table = Table(box=None, pad_edge=False)
    for column in ("", "check", "observed", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        advice = finding.advice if finding.passed is False else ""
        table.add_row(marks[finding.passed], Text(finding.check), Text(finding.observed), Text(advice))
    return table


if __name__ == "__main__":
    run_command(command, "python -m jobs.doctor")
