"""evaluate: our model and its parts beside popularity, EASE and ALS, all asked the same question and marked by the same hand."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artrec_core.config import load
from artrec_core.errors import ArtrecError
from artrec_core.evaluation.ablations import ABLATIONS, applicable_ablations
from artrec_core.lake import day_of, digest_of
from jobs.evaluation import worker as answer
from jobs.evaluation.printed import show
from jobs.evaluation.subprocess_run import Contestant
from jobs.evaluation.task import PROTOCOLS, Protocol, asked, marked
from jobs.step import ConfigOption, DateOption, Night, SetOption, code_version, run_command, run_step
from jobs.steps import find_step

if TYPE_CHECKING:
    from artrec_core.evaluation.report import GroundTruth, UserMetrics
    from artrec_core.evaluation.task import EvaluationTask

BASELINES = ("popularity", "ease", "als")
OWN = ("id-only", "text-only", "full")
# Against each other model, paired by people.
COMPARED = "full"


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    models: Annotated[
        str | None, typer.Option(help=f"Which models, with commas between them. [default: {','.join(BASELINES + OWN)}]")
    ] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="What each part brings: the model with one thing changed at a time.")
    ] = False,
    seeds: Annotated[str, typer.Option(help="Seeds of our models, as in 0,1,2; the others run once.")] = "0",
    protocol: Annotated[str, typer.Option(help=" or ".join(PROTOCOLS))] = PROTOCOLS[0],
    cold_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Hide this share of the works from training and rank them among all.")
    ] = 0.0,
    unseen_museum: Annotated[
        list[str],
        typer.Option(
            help="Hide all works of this museum or source from training, and test with them alone; may be repeated.",
            metavar="NAME",
        ),
    ] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Write the JSON here too.", metavar="FILE")] = None,
) -> None:
    """Train and measure our model, its parts and the baselines on one protocol; print a table, write JSON."""
    recipe, day = load(config, overrides), day_of(date)
    asking = Protocol(protocol, cold_share, tuple(unseen_museum))
    wanted, numbers = _models(models, ablations), _seeds(seeds)
    for name in ("crawl", "validate", "prepare"):
        run_step(find_step(name), recipe, day)
    night = Night(recipe, day)
    night.made_from = find_step("train").inputs(night)
    if ablations:
        wanted = list(dict.fromkeys([*wanted, COMPARED, *_applicable(night)]))
    told = evaluated(night, config, overrides, wanted, numbers, asking)
    show(told)
    raw = json.dumps(told, indent=1).encode()
    name = f"evaluation-{asking.slug}{'-ablations' if ablations else ''}.json"
    print(f"\nfigures: {night.lake.write_note(name, day, raw)}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(raw)
        print(f"         {out}")
    print(f"lists:   {told['folder']}/<model>-seed<n>/{answer.LISTS}")


def evaluated(
    night: Night,
    config: str,
    overrides: list[str],
    models: list[str],
    seeds: list[int],
    protocol: Protocol = Protocol(),  # noqa: B008
) -> dict[str, Any]:
    """All figures of an evaluation of the night's tables, as its JSON holds them.

    Each model answers in a process of its own that reads the question's folder; answers that stand there from a run that was
    killed are not made again.
    """
    recipe = night.recipe
    about = {**protocol.told, "made_from": night.made_from}
    settings = recipe.model_dump(mode="json", include={"model", "train", "encode"})
    digest = digest_of([code_version(), about, settings])
    folder = Path(recipe.store.work).resolve() / "evaluate" / digest
    question, exam = asked(night, protocol)
    question.save(folder / "question")
    counts = _counts(question, exam)
    runs: dict[str, list[dict[str, Any]]] = {}
    cards: dict[str, list[UserMetrics]] = {}
    for model in models:
        for seed in seeds[:1] if model in BASELINES else seeds:
            contestant = Contestant(model, seed, folder / "question", folder / f"{model}-seed{seed}")
            run = contestant.answered(config, overrides)
            card = marked(question, exam, contestant.folder)
            cards.setdefault(model, []).append(card)
            runs.setdefault(model, []).append(run | {"accuracy": card.accuracy, "beyond": card.beyond})
            print(_line(run, card), flush=True)
    return {
        "recipe": recipe.name,
        "run_date": night.day,
        **about,
        "code_version": code_version(),
        "settings": settings,
        "counts": counts,
        "models": _summaries(cards, runs),
        "differences": _differences(cards),
        "ablations": _told_as_ablations(models),
        "folder": str(folder),
    }


def _told_as_ablations(models: list[str]) -> dict[str, str]:
    """What each ablation changes; our model's two parts alone are contestants like the others."""
    if set(models) <= {*BASELINES, *OWN}:
        return {}
    return {model: ABLATIONS[model].description for model in models if model in ABLATIONS}


def _applicable(night: Night) -> list[str]:
    """The ablations that change something of this night's recipe."""
    from artrec_core.columns import INTERESTS

    people = night.lake.read("people", night.day)
    return applicable_ablations(night.recipe, interests=people[INTERESTS].drop_nulls().len() > 0)


def _summaries(cards: dict[str, list["UserMetrics"]], runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    from artrec_core.evaluation.report import summary

    return {model: {**summary(cards[model]), "runs": runs[model]} for model in cards}


def _differences(cards: dict[str, list["UserMetrics"]]) -> dict[str, Any]:
    from artrec_core.evaluation.report import difference

    ours = cards.get(COMPARED)
    if ours is None:
        return {}
    return {f"{COMPARED} - {model}": difference(ours, theirs) for model, theirs in cards.items() if model != COMPARED}


def _counts(question: "EvaluationTask", exam: "GroundTruth") -> dict[str, Any]:
    from artrec_core.evaluation.report import users_per_segment

    return {
        "people": question.users.height,
        "artworks": question.catalogue.height,
        "events_to_choose_by": question.train.height,
        "events_to_answer_from": question.before_test.height,
        "people_validated": question.validation.height,
        "hidden_artworks": len(question.hidden_ids),
        "asked": users_per_segment(exam),
    }


def _line(run: dict[str, Any], card: "UserMetrics") -> str:
    figures = ", ".join(f"{name.upper()} {card.accuracy['everyone'][name]:.4f}" for name in ("hr@10", "ndcg@10"))
    seconds = ", ".join(f"{what} {each:.1f} s" for what, each in run["seconds"].items())
    return f"evaluate: {run['model']}, seed {run['seed']}: {figures} ({seconds}, {run['peak_memory_mb']:,} MB)"


def _models(text: str | None, ablations: bool) -> list[str]:
    if text is None:
        return [] if ablations else [*BASELINES, *OWN]
    known = dict.fromkeys([*BASELINES, *OWN, *ABLATIONS])
    wanted = text.replace(",", " ").split()
    unknown = [one for one in wanted if one not in known]
    if unknown or not wanted:
        raise ArtrecError(f"--models takes some of {','.join(known)}, not {', '.join(unknown) or 'nothing'}")
    return list(dict.fromkeys(wanted))


def _seeds(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(one) for one in text.replace(",", " ").split())) or [0]
    except ValueError:
        raise ArtrecError(f"--seeds takes whole numbers with commas between them, as in 0,1,2, not {text!r}") from None


if __name__ == "__main__":
    run_command(command, "python -m jobs.evaluate")
