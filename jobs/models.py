"""The versions in the registry, which of them serves the nights, and how another is put in its place."""

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

# Figures of the held-out test that are shown, of the model and beside it of the baselines.
SHOWN = "ndcg@10"
# So many of the latest promotions are listed.
LATEST = 10

APP = typer.Typer(invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False)
# `artrec models promote 3 --config F` and `artrec models --config F promote 3` are the same.
MaybeConfig = Annotated[str | None, typer.Option("--config", "-c", help="The recipe, a TOML file.", metavar="FILE")]
WhyOption = Annotated[str, typer.Option(help="The reason, kept with the version.", metavar="TEXT")]


@APP.callback()
def command(context: typer.Context, config: MaybeConfig = None, overrides: SetOption = []) -> None:  # noqa: B006
    """List the model versions with their figures; the champion is the one that nights are served with."""
    context.obj = (config, overrides)
    if context.invoked_subcommand is None:
        _list(_registry(context), config)


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
    found, champion = registry.version(version), registry.champion()
    if champion is not None and champion.name == version:
        typer.echo(f"version {version} is the champion already")
        return
    check_sound(registry, found)
    against = _gate(found)[1]
    registry.promote(found, f"{why}; the gate: {against}" if against else why, by=shell_user())
    place = "" if champion is None else f" in the place of version {champion.name}"
    typer.echo(f"version {version} is champion now{place}; the next night is served with it")


@APP.command()
def rollback(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(metavar="[V]")] = None,
    config: MaybeConfig = None,
    overrides: SetOption = [],  # noqa: B006
    why: WhyOption = "rolled back by hand",
) -> None:
    """Put the champion's predecessor, or an earlier champion, back in its place."""
    registry = _registry(context, config, overrides)
    champion, earlier = registry.champion(), registry.earlier_champions()
    check_sound(registry, registry.version(version or earlier[-1])) if version or earlier else None
    back = registry.roll_back(version, why, by=shell_user())
    served = "" if champion is None else f" in the place of version {champion.name}"
    typer.echo(f"version {back.name} is champion again{served}; the next night is served with it")


def check_sound(registry: "Registry", version: "Version") -> None:
    """Raises `ArtrecError` where a version must not serve whoever asks: its files are gone or not finite, or the gate found it broken."""
    from artrec_core.model.two_tower import TwoTower

    TwoTower.load(registry.fetch(version))
    fault = next((one["says"] for one in _criteria(version) if one["name"] == "model" and not one["passed"]), None)
    if fault is not None:
        raise ArtrecError(f"version {version.name} must not serve: {fault}")


def _registry(context: typer.Context, config: str | None = None, overrides: list[str] | None = None) -> "Registry":
    from artrec_core.model.registry import Registry  # MLflow takes seconds to import

    given, general = context.obj
    if (path := config or given) is None:
        raise typer.BadParameter("it is needed: the recipe says where the registry is", param_hint="--config")
    return Registry(load(path, [*general, *(overrides or [])]).store)


def _list(registry: "Registry", config: str | None) -> None:
    versions = registry.versions()
    if not versions:
        typer.echo(f"There is no model version yet; `artrec train --config {config} --date DATE` makes one.")
        return
    rivals = sorted({name for version in versions for name in _measured(version.figures)} - {"model"})
    table = Table(title=f"{SHOWN} on held-out last positive events", title_justify="left", box=None, pad_edge=False)
    for column in ("version", "alias", "night", "base", "tuning", "gate", "model", *rivals):
        table.add_column(column, overflow="fold")
    for version in versions:
        measured = _measured(version.figures)
        told = [version.tags.get(name, "") for name in ("run_date", "base", "tuning")]
        scores = [f"{measured[name]:.4f}" if name in measured else "" for name in ("model", *rivals)]
        table.add_row(*map(Text, (version.name, ", ".join(version.aliases), *told, _gate(version)[0], *scores)))
    # A log or a pipe is no terminal: its lines need not be folded at 80 letters.
    make_console().print(table)
    _tell(registry, versions)


def _tell(registry: "Registry", versions: "list[Version]") -> None:
    """Who served when and why, the latest last; and what speaks against the versions that do not serve."""
    for one in registry.promotions()[-LATEST:]:
        place = "" if one.instead_of is None else f" in the place of {one.instead_of}"
        typer.echo(f"{one.at}  {one.version} {'came back' if one.back else 'promoted'}{place} by {one.by}: {one.why}")
    for version in versions:
        verdict, against = _gate(version)
        if "champion" not in version.aliases and verdict in ("refused", "doubtful"):
            typer.echo(f"{version.name} {verdict}: {against}")


def _gate(version: "Version") -> tuple[str, str]:
    """The gate's verdict about a version, and what speaks against it; both empty where it was not asked."""
    from artrec_core.evaluation.gate import Decision

    stored = json.loads(version.tags.get("gate", "{}"))
    return (stored["verdict"], Decision.from_json(stored["decision"]).objections) if stored else ("", "")


def _criteria(version: "Version") -> list[dict[str, Any]]:
    stored = json.loads(version.tags.get("gate", "{}"))
    return json.loads(stored["decision"])["criteria"] if stored else []


def _measured(figures: dict[str, Any]) -> dict[str, float]:
    """Who was measured -> NDCG@10."""
    return {
        name: float(values[SHOWN]) for name, values in figures.items() if isinstance(values, dict) and SHOWN in values
    }


if __name__ == "__main__":
    run_command(APP, "python -m jobs.models")
