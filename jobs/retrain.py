"""retrain: a challenger, trained and held against the champion, and promoted if the gate or a person says so."""

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError, ConfigError, GateFailed
from artrec_core.lake import parse_day, digest_of
from jobs.console import make_console, shell_user
from jobs.step import ConfigOption, DateOption, SetOption, night_of, run_command, run_step
from jobs.steps import find_step

if TYPE_CHECKING:
    from artrec_core.evaluation.gate import Decision
    from artrec_core.model.registry import Version

# Exit statuses, beside 0 and that of an error, 1.
REFUSED, WAITING = 3, 4
# A line of a part that the DAG reads begins with this; the rest is JSON.
ANSWER = "answer: "


class Part(StrEnum):
    """What a retrain does, in order."""

    SETTINGS = "settings"
    TRAIN = "train"
    GATE = "gate"
    PROMOTE = "promote"


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    promote: Annotated[
        bool | None,
        typer.Option(
            "--promote/--no-promote",
            help="Your word beforehand: promote even where the gate would ask a person (never what it refuses), or promote nothing."
            " Neither: the gate decides, and asks as the recipe says.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[Part | None, typer.Option(help="One part alone, as the DAG runs them.")] = None,
    version: Annotated[str | None, typer.Option(help="With --only gate or promote: the version.", metavar="V")] = None,
    by: Annotated[str, typer.Option(help="With --only promote: who says so.", metavar="WHO")] = "gate",
    why: Annotated[str, typer.Option(help="With --only promote: the reason.", metavar="TEXT")] = "",
) -> None:
    """Train a challenger, hold it against the champion on the same held-out future, and promote it if it passes the gate.

    Exit status: 0 where it was promoted (or --no-promote), 3 where the gate refused it, 4 where it waits for a person, 1 on an error.
    Run again, it goes on where it was: one version, one decision.
    """
    recipe, day = load(config, overrides), parse_day(date)
    if only in (Part.GATE, Part.PROMOTE) and version is None:
        raise typer.BadParameter(f"--only {only} needs --version")
    if only in (None, Part.SETTINGS):
        check_settings(recipe)
    if only in (None, Part.TRAIN):
        version = _train(recipe, day)
    # The parts that the DAG runs apart hand on the version by name: a code or a recipe that was changed meanwhile would not find it.
    name = str(version)
    if only is Part.TRAIN:
        print(ANSWER + json.dumps({"version": name}), flush=True)
    elif only is Part.GATE:
        print(ANSWER + json.dumps(_answer(recipe, *_gate(recipe, day, name), promote)), flush=True)
    elif only is Part.PROMOTE:
        print(f"retrain {day}: {promoted(recipe, name, by, why)}", flush=True)
    elif only is None:
        raise typer.Exit(_concluded(recipe, config, day, *_gate(recipe, day, name), promote))


def check_settings(recipe: Recipe) -> None:
    """All that can be known before anything starts. Raises `ArtrecError` with what to do."""
    from artrec_core.model.base_models import resolve
    from artrec_core.model.deepspeed_settings import deepspeed_file
    from jobs.store_checks import check_stores

    if recipe.model.dim % recipe.model.heads:
        raise ConfigError(f"model.dim {recipe.model.dim} must be a multiple of model.heads {recipe.model.heads}")
    resolve(recipe.model.base, recipe.store.models)
    if recipe.train.launcher == "ray":
        settings = deepspeed_file(recipe.train.deepspeed)
        try:
            json.loads(settings.read_text())
        except ValueError as error:
            raise ConfigError(f"train.deepspeed {settings} is not JSON: {error}") from None
    check_stores(recipe)


def _train(recipe: Recipe, day: str) -> str:
    return str(run_step(find_step("train", "CHALLENGER"), recipe, day).figures["version"])


def _gate(recipe: Recipe, day: str, name: str) -> "tuple[Version, Decision | None]":
    """The night's challenger and the decision about it, made once for this champion and these rules; None where it serves already."""
    from artrec_core.evaluation.gate import Decision
    from artrec_core.model.registry import CHAMPION, GATE, Registry

    night, registry = night_of(find_step("train", "CHALLENGER"), recipe, day), Registry(recipe.store)
    challenger = registry.version(name)
    if (trained := challenger.tags["run_date"]) != day:
        raise ArtrecError(f"version {name} was trained for {trained}; compare it on that night: --date {trained}")
    if CHAMPION in challenger.aliases:
        return challenger, None
    champion, back = registry.champion(), registry.was_rolled_back(challenger.name)
    against = None if champion is None else champion.name
    stored = json.loads(challenger.tags.get(GATE, "{}"))
    models = [challenger.model_digest, champion and champion.model_digest]
    key = digest_of([*models, recipe.gate.model_dump(exclude={"ask"}), back and back.at])
    if stored.get("key") == key:
        decision = Decision.from_json(stored["decision"])
    else:
        from jobs.training.comparison import compare_versions

        decision = compare_versions(night, registry, challenger)
        told = {"key": key, "night": day, "against": against, "verdict": decision.verdict}
        registry.note_decision(challenger, json.dumps({**told, "decision": decision.to_json()}))
    _show(decision, challenger.name, against)
    return challenger, decision


def _show(decision: "Decision", challenger: str, champion: str | None) -> None:
    beside = "the popular list; there is no champion yet" if champion is None else f"the champion, version {champion}"
    table = Table(title=f"version {challenger} beside {beside}", title_justify="left", box=None, pad_edge=False)
    for column in ("criterion", "", "seen"):
        table.add_column(column, overflow="fold")
    for one in decision.criteria:
        table.add_row(Text(one.name), Text(one.mark), Text(one.says))
    make_console().print(table)


def _answer(recipe: Recipe, challenger: "Version", decision: "Decision | None", promote: bool | None) -> dict[str, Any]:
    """What the DAG is told: the version, what follows, and the words for whoever is asked."""
    from artrec_core.evaluation.gate import outcome
    from artrec_core.model.registry import Registry

    told: dict[str, Any] = {"version": challenger.name, "outcome": "keep", "told": "it is the champion already"}
    if decision is None:
        return told
    champion = Registry(recipe.store).champion()
    rows = "\n".join(f"| {one.name} | {one.mark} | {one.says} |" for one in decision.criteria)
    return told | {
        "outcome": outcome(decision.verdict, recipe.gate, promote),
        "told": decision.summary,
        "against": decision.objections,
        "place": "" if champion is None else f" in the place of version {champion.name}",
        "table": f"| criterion | | seen |\n|---|---|---|\n{rows}",
    }


def _concluded(
    recipe: Recipe, config: str, day: str, challenger: "Version", decision: "Decision | None", promote: bool | None
) -> int:
    """Do what follows from the decision and say so; the exit status."""
    from artrec_core.evaluation.gate import outcome

    name = challenger.name
    if decision is None:
        print(f"retrain {day}: version {name} is the champion already", flush=True)
        return 0
    follows = outcome(decision.verdict, recipe.gate, promote)
    if follows == "promote":
        by = shell_user() if promote and decision.verdict != "accepted" else "gate"
        print(
            f"retrain {day}: {promoted(recipe, name, by, 'asked for with --promote' if by != 'gate' else '')}",
            flush=True,
        )
        return 0
    if follows == "keep":
        seen = f" ({decision.objections})" if decision.objections else ""
        print(
            f"retrain {day}: version {name} is registered, and {decision.verdict} by the gate{seen}; nothing was promoted"
        )
        return 0
    command = f"artrec models promote {name} --config {config}"
    if follows == "wait":
        doubt = decision.objections or "the recipe says that a person decides"
        print(f"retrain {day}: version {name} waits for a person: {doubt}. To make it champion: {command}", flush=True)
        return WAITING
    print(
        f"artrec: version {name} is registered but not promoted, the champion stays as it was: {decision.objections}",
        file=sys.stderr,
        flush=True,
    )
    return REFUSED


def promoted(recipe: Recipe, name: str, by: str, why: str) -> str:
    """Make a version champion after the gate decided about it, and say so.

    `by` is `gate`, or who was asked. Raises `GateFailed` where the decision does not allow it, or was about another champion.
    """
    from artrec_core.evaluation.gate import Decision
    from artrec_core.model.registry import CHAMPION, GATE, Registry

    registry = Registry(recipe.store)
    version, champion = registry.version(name), registry.champion()
    if CHAMPION in version.aliases:
        return f"version {name} is the champion already"
    stored = json.loads(version.tags.get(GATE, "{}"))
    if not stored:
        raise GateFailed(f"the gate has not decided about version {name}; run `artrec retrain` of its night first")
    served = None if champion is None else champion.name
    if stored["against"] != served:
        raise GateFailed(
            f"the gate compared version {name} with version {stored['against']}, but version {served} is champion now;"
            " run `artrec retrain` again"
        )
    decision = Decision.from_json(stored["decision"])
    if decision.verdict == "refused" or (by == "gate" and decision.verdict != "accepted"):
        raise GateFailed(f"the gate did not accept version {name}: {decision.objections}")
    words = [why, decision.objections and f"in doubt: {decision.objections}", decision.summary]
    registry.promote(
        version, f"night of {stored['night']}: " + "; ".join(word for word in words if word), by=by, instead_of=served
    )
    place = "" if served is None else f" in the place of version {served}"
    return f"version {name} is champion now{place}, by {by}: {decision.summary}"


if __name__ == "__main__":
    run_command(command, "python -m jobs.retrain")
