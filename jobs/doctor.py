"""Whether this machine and this recipe are fit for a night, and what to do where they are not."""

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

from artrec_core.config import EventSource, Recipe, Source, UserSource, load
from artrec_core.data.files import open_input
from artrec_core.errors import ArtrecError, MissingInput
from artrec_core.processor import auto_precision, describe_machine
from artrec_core.urls import redacted
from jobs.console import make_console
from jobs.step import SetOption, run_command
from jobs.store_checks import Check, faults, store_checks

MIN_FREE_GB = 5
PACKAGES = ("torch", "transformers", "deepspeed", "ray", "polars", "great-expectations", "mlflow", "duckdb")


@dataclass(frozen=True)
class Finding:
    """What one check saw: `fine` is None where nothing has to be done about it."""

    what: str
    fine: bool | None
    seen: str
    advice: str = ""


def command(
    config: Annotated[str | None, typer.Option("--config", "-c", help="Check this recipe too.", metavar="FILE")] = None,
    overrides: SetOption = [],  # noqa: B006
) -> None:
    """Check the machine, the installation and a recipe, and say what to do about what is wrong."""
    findings = list(machine_findings())
    if config is not None:
        findings += list(recipe_findings(load(config, overrides)))
    make_console().print(_table(findings))
    wrong = sum(finding.fine is False for finding in findings)
    if wrong:
        raise ArtrecError(f"{wrong} of {len(findings)} checks failed; the last column says what to do")
    if config is None:
        typer.echo("Add --config infra/recipes/demo.toml to check a recipe too.")


def machine_findings() -> Iterator[Finding]:
    """What this machine and this installation are."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", sys.version_info[:2] == (3, 11), version, "use Python 3.11")
    for package in PACKAGES:
        yield _package_finding(package)
    free = shutil.disk_usage(".").free / 1e9
    yield Finding("free disk", free > MIN_FREE_GB, f"{free:.0f} GB", f"free at least {MIN_FREE_GB} GB")
    yield Finding("processors", None, describe_machine(os.cpu_count()))
    yield Finding("precision auto", None, f"{auto_precision()} on this processor")
    compiler = shutil.which("g++")
    yield Finding("g++", compiler is not None, compiler or "not found", "install g++: DeepSpeed compiles with it")


def recipe_findings(recipe: Recipe) -> Iterator[Finding]:
    """Whether what a recipe names is there."""
    named: list[Source | EventSource | UserSource] = [*recipe.sources, *recipe.events, *recipe.users]
    sources = {f"source {one.name}": one for one in named if one.path is not None and "{date}" not in one.path}
    checks = [*store_checks(recipe), *(_source_check(what, str(one.path)) for what, one in sources.items())]
    for check, fault in zip(checks, faults(checks), strict=True):
        needed = fault is None or check.what not in sources or sources[check.what].required
        yield Finding(check.what, fault is None if needed else None, redacted(check.address), str(fault or ""))
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


def _source_check(what: str, path: str) -> Check:
    def check() -> None:
        try:
            open_input(what, path).close()
        except MissingInput as error:
            raise ArtrecError(f"{error} (ARTREC_DATA is the folder of the shipped recipes)") from None

    return Check(what, path, "its `path`", check)


def _base_model_finding(recipe: Recipe) -> Finding:
    from artrec_core.model.base_models import resolve  # imports nothing heavy, but only a job's image has it

    return _tried("base model", recipe.model.base, lambda: resolve(recipe.model.base, recipe.store.models))


def _products_findings(recipe: Recipe) -> Iterator[Finding]:
    from artrec_core.model.distributed.launch import slow_product_notices

    try:
        notices = slow_product_notices(recipe)
    except ArtrecError:  # the finding of DeepSpeed's settings says so
        return
    for notice in notices:
        yield Finding("products", None, notice)


def _memory_finding(recipe: Recipe) -> Iterator[Finding]:
    from artrec_core.model.base_models import CONFIG, resolve
    from artrec_core.model.deepspeed_settings import deepspeed_file
    from artrec_core.model.distributed.gpu_memory import ModelSize, describe_memory, recipe_memory

    try:
        folder = resolve(recipe.model.base, recipe.store.models)
        train = recipe.train.model_copy(update={"deepspeed": str(deepspeed_file(recipe.train.deepspeed))})
    except ArtrecError:  # the findings beside this one say so
        return
    if not (folder / CONFIG).exists():
        return
    from transformers import AutoConfig

    size = ModelSize.of(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    yield Finding("memory to train", None, describe_memory(recipe_memory(recipe.model, train, size), train.workers))


def _tried(what: str, seen: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except ArtrecError as error:
        return Finding(what, False, seen, str(error))
    return Finding(what, True, seen)


def _table(findings: list[Finding]) -> Table:
    marks = {True: Text("ok", "green"), False: Text("wrong", "bold red"), None: Text("", "dim")}
    table = Table(box=None, pad_edge=False)
    for column in ("", "check", "seen", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        advice = finding.advice if finding.fine is False else ""
        table.add_row(marks[finding.fine], Text(finding.what), Text(finding.seen), Text(advice))
    return table


if __name__ == "__main__":
    run_command(command, "python -m jobs.doctor")
