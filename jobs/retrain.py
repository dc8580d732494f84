"""retrain: train a challenger, compare it with the champion, and promote it if the gate or a person accepts it."""

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError, ConfigError, GateFailed
from artrec_core.lake import digest_of, parse_day
from jobs.console import make_console, shell_user
from jobs.step import ConfigOption, DateOption, SetOption, night_of, run_command, run_step
from jobs.steps import find_step

if TYPE_CHECKING:
    from artrec_core.evaluation.gate import Decision
    from artrec_core.model.registry import Version

# Exit statuses, besides 0 for success and 1 for an error.
REFUSED, WAITING = 3, 4
# The DAG reads the output line that begins with this. The rest of the line is JSON.
ANSWER = "answer: "


class Part(StrEnum):
    """The parts of a retrain, in order."""

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
            help="--promote: promote even if the gate would ask a person, but never a version that it refuses."
            " --no-promote: promote nothing. Neither: the gate decides, and asks a person as the recipe says.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[Part | None, typer.Option(help="Run only this part, as the DAG does.")] = None,
    version: Annotated[str | None, typer.Option(help="With --only gate or promote: the version.", metavar="V")] = None,
    by: Annotated[str, typer.Option(help="With --only promote: who decided.", metavar="WHO")] = "gate",
    why: Annotated[str, typer.Option(help="With --only promote: the reason.", metavar="TEXT")] = "",
) -> None:
    """Train a challenger, compare it with the champion on the same held-out split, and promote it if the gate accepts it.

    Exit status: 0 if it was promoted (or with --no-promote), 3 if the gate refused it, 4 if it waits for a person, 1 on an error.
    If a run was killed, the same command continues it: there is one version and one decision.
    """
    recipe, day = load(config, overrides), parse_day(date)
    if only in (Part.GATE, Part.PROMOTE) and version is None:
        raise typer.BadParameter(f"--only {only} needs --version")
    if only in (None, Part.SETTINGS):
        check_settings(recipe)
    if only in (None, Part.TRAIN):
        version = _train(recipe, day)
    # The DAG passes the version from part to part by its name. By a fingerprint, a changed recipe or code would not find it.
    name = str(version)
    if only is Part.TRAIN:
        print(ANSWER + json.dumps({"version": name}), flush=True)
    elif only is Part.GATE:
        print(ANSWER + json.dumps(_answer(recipe, *_decide(recipe, day, name), promote)), flush=True)
    elif only is Part.PROMOTE:
        print(f"retrain {day}: {promote_version(recipe, name, by, why)}", flush=True)
    elif only is None:
        raise typer.Exit(_conclude(recipe, config, day, *_decide(recipe, day, name), promote))


def check_settings(recipe: Recipe) -> None:
    """Check everything that can be checked before anything starts. Raises `ArtrecError` with what to do."""
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


def _decide(recipe: Recipe, day: str, name: str) -> "tuple[Version, Decision | None]":
    """The night's challenger and the gate's decision about it; the decision is None if the version is the champion already.

    The decision is stored with the version. It is made again only if the champion, the rules or a rollback changed.
    """
    from artrec_core.evaluation.gate import Decision
    from artrec_core.model.registry import CHAMPION, GATE, Registry

    night, registry = night_of(find_step("train", "CHALLENGER"), recipe, day), Registry(recipe.store)
    challenger = registry.version(name)
    if (run_date := challenger.tags["run_date"]) != day:
        raise ArtrecError(f"version {name} was trained for {run_date}; compare it on that night: --date {run_date}")
    if CHAMPION in challenger.aliases:
        return challenger, None
    champion, rollback = registry.champion(), registry.latest_rollback(challenger.name)
    champion_name = None if champion is None else champion.name
    stored_note = json.loads(challenger.tags.get(GATE, "{}"))
    models = [challenger.model_digest, champion and champion.model_digest]
    key = digest_of([*models, recipe.gate.model_dump(exclude={"ask"}), rollback and rollback.at])
    if stored_note.get("key") == key:
        decision = Decision.from_json(stored_note["decision"])
    else:
        from jobs.training.comparison import compare_versions

        decision = compare_versions(night, registry, challenger)
        new_note = {"key": key, "night": day, "against": champion_name, "verdict": decision.verdict}
        registry.note_decision(challenger, json.dumps({**new_note, "decision": decision.to_json()}))
    _print_decision(decision, challenger.name, champion_name)
    return challenger, decision


def _print_decision(decision: "Decision", challenger: str, champion: str | None) -> None:
    baseline = "the popular list; there is no champion yet" if champion is None else f"the champion, version {champion}"
    table = Table(
        title=f"version {challenger} compared with {baseline}", title_justify="left", box=None, pad_edge=False
    )
    for column in ("criterion", "", "seen"):
        table.add_column(column, overflow="fold")
    for criterion in decision.criteria:
        table.add_row(Text(criterion.name), Text(criterion.mark), Text(criterion.says))
    make_console().print(table)


def _answer(recipe: Recipe, challenger: "Version", decision: "Decision | None", promote: bool | None) -> dict[str, Any]:
    """What the DAG reads: the version, the outcome, and the texts for the person who is asked."""
    from artrec_core.evaluation.gate import outcome
    from artrec_core.model.registry import Registry

    answer: dict[str, Any] = {"version": challenger.name, "outcome": "keep", "told": "it is the champion already"}
    if decision is None:
        return answer
    champion = Registry(recipe.store).champion()
    rows = "\n".join(f"| {criterion.name} | {criterion.mark} | {criterion.says} |" for criterion in decision.criteria)
    return answer | {
        "outcome": outcome(decision.verdict, recipe.gate, promote),
        "told": decision.summary,
        "against": decision.objections,
        "place": "" if champion is None else f" in the place of version {champion.name}",
        "table": f"| criterion | | seen |\n|---|---|---|\n{rows}",
    }


def _conclude(
    recipe: Recipe, config: str, day: str, challenger: "Version", decision: "Decision | None", promote: bool | None
) -> int:
    """Promote or do not, as the decision says, and print it; the exit status."""
    from artrec_core.evaluation.gate import outcome

    name = challenger.name
    if decision is None:
        print(f"retrain {day}: version {name} is the champion already", flush=True)
        return 0
    result = outcome(decision.verdict, recipe.gate, promote)
    if result == "promote":
        by = shell_user() if promote and decision.verdict != "accepted" else "gate"
        print(
            f"retrain {day}: {promote_version(recipe, name, by, 'asked for with --promote' if by != 'gate' else '')}",
            flush=True,
        )
        return 0
    if result == "keep":
        reasons = f" ({decision.objections})" if decision.objections else ""
        print(
            f"retrain {day}: version {name} is registered and {decision.verdict} by the gate{reasons}; nothing was promoted"
        )
        return 0
    command = f"artrec models promote {name} --config {config}"
    if result == "wait":
        doubt = decision.objections or "the recipe says that a person decides"
        print(f"retrain {day}: version {name} waits for a person: {doubt}. To make it champion: {command}", flush=True)
        return WAITING
    print(
        f"artrec: version {name} is registered but not promoted, the champion stays as it was: {decision.objections}",
        file=sys.stderr,
        flush=True,
    )
    return REFUSED


def promote_version(recipe: Recipe, name: str, by: str, why: str) -> str:
    """Make a version the champion if the gate's stored decision allows it.

    Parameters
    ----------
    recipe
        For its registry.
    name
        The version.
    by
        Who decided: `gate`, or a person as the registry names them. A person may accept a version that is in doubt.
    why
        The reason, if there is one.

    Returns
    -------
    A sentence that says what was done.

    Raises
    ------
    GateFailed
        If there is no decision, if it does not allow the promotion, or if the champion changed after it.
    """
    from artrec_core.evaluation.gate import Decision
    from artrec_core.model.registry import CHAMPION, GATE, Registry

    registry = Registry(recipe.store)
    version, champion = registry.version(name), registry.champion()
    if CHAMPION in version.aliases:
        return f"version {name} is the champion already"
    note = json.loads(version.tags.get(GATE, "{}"))
    if not note:
        raise GateFailed(f"the gate has not decided about version {name}; run `artrec retrain` on its night first")
    champion_name = None if champion is None else champion.name
    if note["against"] != champion_name:
        raise GateFailed(
            f"the gate compared version {name} with version {note['against']}, but version {champion_name} is champion now;"
            " run `artrec retrain` again"
        )
    decision = Decision.from_json(note["decision"])
    if decision.verdict == "refused" or (by == "gate" and decision.verdict != "accepted"):
        raise GateFailed(f"the gate did not accept version {name}: {decision.objections}")
    reasons = [why, decision.objections and f"in doubt: {decision.objections}", decision.summary]
    stated_why = f"night of {note['night']}: " + "; ".join(reason for reason in reasons if reason)
    registry.promote(version, stated_why, by=by, instead_of=champion_name)
    place = "" if champion_name is None else f" in the place of version {champion_name}"
    return f"version {name} is champion now{place}, by {by}: {decision.summary}"


if __name__ == "__main__":
    run_command(command, "python -m jobs.retrain")
