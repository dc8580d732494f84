"""`artrec models`: list the model versions, promote one to champion, and roll back to an earlier champion."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from artrec_core.config import load
from artrec_core.errors import ArtrecError
from jobs.console import make_console, shell_user
from jobs.step import SetOption, run_command

if TYPE_CHECKING:
    from artrec_core.model.registry import Registry, Version

# The metric on the held-out split that is listed for the model and for each baseline.
SHOWN_METRIC = "ndcg@10"
LATEST_PROMOTIONS = 10

# MLflow, torch and SciPy take seconds to import. Modules that import them are imported where they are used, because
# `artrec --help` needs none of them.

APP = typer.Typer(invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False)
# `artrec models promote 3 --config F` and `artrec models --config F promote 3` are the same.
MaybeConfig = Annotated[str | None, typer.Option("--config", "-c", help="The recipe, a TOML file.", metavar="FILE")]
WhyOption = Annotated[str, typer.Option(help="The reason; it is stored with the version.", metavar="TEXT")]


@APP.callback()
def command(context: typer.Context, config: MaybeConfig = None, overrides: SetOption = []) -> None:  # noqa: B006
    """List the model versions with their metrics; nights are served with the champion."""
    context.obj = (config, overrides)
    if context.invoked_subcommand is None:
        _list_versions(_registry(context), config)


@APP.command()
def promote(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="V")],
    config: MaybeConfig = None,
    overrides: SetOption = [],  # noqa: B006
    why: WhyOption = "promoted by hand",
) -> None:
    """Make a version the champion: the next night is served with it."""
    registry = _registry(context, config, overrides)
    challenger, champion = registry.version(version), registry.champion()
    if champion is not None and champion.name == version:
        typer.echo(f"version {version} is the champion already")
        return
    check_sound(registry, challenger)
    objections = _gate_verdict(challenger)[1]
    registry.promote(challenger, f"{why}; the gate: {objections}" if objections else why, by=shell_user())
    predecessor = "" if champion is None else f" in the place of version {champion.name}"
    typer.echo(f"version {version} is champion now{predecessor}; the next night is served with it")


@APP.command()
def rollback(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(metavar="[V]")] = None,
    config: MaybeConfig = None,
    overrides: SetOption = [],  # noqa: B006
    why: WhyOption = "rolled back by hand",
) -> None:
    """Make the champion's predecessor, or an earlier champion V, the champion again."""
    registry = _registry(context, config, overrides)
    champion, earlier = registry.champion(), registry.earlier_champions()
    if version or earlier:
        check_sound(registry, registry.version(version or earlier[-1]))
    restored = registry.roll_back(version, why, by=shell_user())
    predecessor = "" if champion is None else f" in the place of version {champion.name}"
    typer.echo(f"version {restored.name} is champion again{predecessor}; the next night is served with it")


def check_sound(registry: "Registry", version: "Version") -> None:
    """Check that a version can serve, whoever promotes it.

    Raises
    ------
    ArtrecError
        If its files are missing or hold weights that are not finite, or if the gate found the model broken.
    """
    from artrec_core.model.two_tower import TwoTower

    TwoTower.load(registry.fetch(version))
    criteria = _criteria(version)
    fault = next((item["says"] for item in criteria if item["name"] == "model" and not item["passed"]), None)
    if fault is not None:
        raise ArtrecError(f"version {version.name} must not serve: {fault}")


def _registry(context: typer.Context, config: str | None = None, overrides: list[str] | None = None) -> "Registry":
    from artrec_core.model.registry import Registry

    # The options may stand before or after the subcommand.
    group_config, group_overrides = context.obj
    if (path := config or group_config) is None:
        raise typer.BadParameter("it is needed: the recipe says where the registry is", param_hint="--config")
    return Registry(load(path, [*group_overrides, *(overrides or [])]).store)


def _list_versions(registry: "Registry", config: str | None) -> None:
    versions = registry.versions()
    if not versions:
        typer.echo(f"There is no model version yet; `artrec train --config {config} --date DATE` makes one.")
        return
    baselines = sorted({name for version in versions for name in _metric_values(version.figures)} - {"model"})
    title = f"{SHOWN_METRIC} on held-out last positive events"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("version", "alias", "night", "base", "tuning", "gate", "model", *baselines):
        table.add_column(column, overflow="fold")
    for version in versions:
        values = _metric_values(version.figures)
        tags = [version.tags.get(name, "") for name in ("run_date", "base", "tuning")]
        metrics = [f"{values[name]:.4f}" if name in values else "" for name in ("model", *baselines)]
        row = (version.name, ", ".join(version.aliases), *tags, _gate_verdict(version)[0], *metrics)
        table.add_row(*map(Text, row))
    make_console().print(table)
    _list_promotions(registry, versions)


def _list_promotions(registry: "Registry", versions: "list[Version]") -> None:
    """Print the latest promotions with their reasons, the newest last, and the gate's objections to other versions."""
    for promotion in registry.promotions()[-LATEST_PROMOTIONS:]:
        predecessor = "" if promotion.instead_of is None else f" in the place of {promotion.instead_of}"
        action = "came back" if promotion.back else "promoted"
        typer.echo(f"{promotion.at}  {promotion.version} {action}{predecessor} by {promotion.by}: {promotion.why}")
    for version in versions:
        verdict, objections = _gate_verdict(version)
        if "champion" not in version.aliases and verdict in ("refused", "doubtful"):
            typer.echo(f"{version.name} {verdict}: {objections}")


def _gate_verdict(version: "Version") -> tuple[str, str]:
    """The gate's verdict on a version and its objections; both are empty if the gate has not decided on it."""
    from artrec_core.evaluation.gate import Decision

    entry = json.loads(version.tags.get("gate", "{}"))
    return (entry["verdict"], Decision.from_json(entry["decision"]).objections) if entry else ("", "")


def _criteria(version: "Version") -> list[dict[str, Any]]:
    entry = json.loads(version.tags.get("gate", "{}"))
    return json.loads(entry["decision"])["criteria"] if entry else []


def _metric_values(figures: dict[str, Any]) -> dict[str, float]:
    """SHOWN_METRIC of the model and of each baseline, by name."""
    return {
        name: float(metrics[SHOWN_METRIC])
        for name, metrics in figures.items()
        if isinstance(metrics, dict) and SHOWN_METRIC in metrics
    }


if __name__ == "__main__":
    run_command(APP, "python -m jobs.models")
