"""evaluate: the model, its parts and the baselines, measured on one evaluation task."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from artrec_core.columns import INTERESTS
from artrec_core.config import BaselineName, load
from artrec_core.errors import ArtrecError
from artrec_core.evaluation.ablations import ABLATIONS, FULL, OWN_MODELS, applicable_ablations
from artrec_core.lake import digest_of, parse_day
from jobs.evaluation.subprocess_run import ModelRun
from jobs.evaluation.tables import print_evaluation
from jobs.evaluation.task import PROTOCOLS, Protocol, build_task, measure_run
from jobs.evaluation.worker import LISTS
from jobs.step import ConfigOption, DateOption, Night, SetOption, code_version, run_command, run_step
from jobs.steps import find_step

if TYPE_CHECKING:
    from artrec_core.evaluation.report import GroundTruth, UserMetrics
    from artrec_core.evaluation.task import EvaluationTask

BASELINES: tuple[str, ...] = get_args(BaselineName)


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    models: Annotated[
        str | None,
        typer.Option(help=f"Models to evaluate, separated by commas. [default: {','.join(BASELINES + OWN_MODELS)}]"),
    ] = None,
    ablations: Annotated[
        bool,
        typer.Option("--ablations", help="Measure each part's effect: the model with one thing changed at a time."),
    ] = False,
    seeds: Annotated[str, typer.Option(help="Seeds of our models, as in 0,1,2; baselines run once.")] = "0",
    protocol: Annotated[str, typer.Option(help=" or ".join(PROTOCOLS))] = PROTOCOLS[0],
    cold_share: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Hide this share of the artworks from training and rank them among all."),
    ] = 0.0,
    unseen_museum: Annotated[
        list[str],
        typer.Option(
            help="Hide all artworks of this museum or source from training, and test only with them; may be repeated.",
            metavar="NAME",
        ),
    ] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Write the JSON here too.", metavar="FILE")] = None,
) -> None:
    """Train and measure our model, its parts and the baselines on one protocol; print tables, write JSON."""
    recipe, day = load(config, overrides), parse_day(date)
    split_protocol = Protocol(protocol, cold_share, tuple(unseen_museum))
    model_names, seed_numbers = _parse_models(models, ablations), _parse_seeds(seeds)
    for name in ("crawl", "validate", "prepare"):
        run_step(find_step(name), recipe, day)
    night = Night(recipe, day)
    night.made_from = find_step("train").inputs(night)
    if ablations:
        model_names = list(dict.fromkeys([*model_names, FULL, *_applicable_ablations(night)]))
    evaluation = evaluate_models(night, config, overrides, model_names, seed_numbers, split_protocol)
    print_evaluation(evaluation)
    raw = json.dumps(evaluation, indent=1).encode()
    name = f"evaluation-{split_protocol.slug}{'-ablations' if ablations else ''}.json"
    print(f"\nfigures: {night.lake.write_note(name, day, raw)}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(raw)
        print(f"         {out}")
    print(f"lists:   {evaluation['folder']}/<model>-seed<n>/{LISTS}")


def evaluate_models(
    night: Night,
    config: str,
    overrides: list[str],
    models: list[str],
    seeds: list[int],
    protocol: Protocol = Protocol(),  # noqa: B008
) -> dict[str, Any]:
    """Evaluate models on the night's tables.

    Each model runs in a process of its own, which reads only the evaluation task's folder. Results of an earlier run
    that was killed are taken over.

    Parameters
    ----------
    night
        The night whose tables are split; its `made_from` goes into the result.
    config, overrides
        The recipe's file and its overrides, for the models' processes.
    models
        Names of baselines, of our models or of ablations.
    seeds
        Seeds of our models. Baselines run with the first seed only.
    protocol
        How the tables are split.

    Returns
    -------
    The whole evaluation, as its JSON file holds it.
    """
    recipe = night.recipe
    details = {**protocol.details, "made_from": night.made_from}
    settings = recipe.model_dump(mode="json", include={"model", "train", "encode"})
    digest = digest_of([code_version(), details, settings])
    folder = Path(recipe.store.work).resolve() / "evaluate" / digest
    task, truth = build_task(night, protocol)
    task.save(folder / "question")
    counts = _counts(task, truth)
    runs: dict[str, list[dict[str, Any]]] = {}
    metrics: dict[str, list[UserMetrics]] = {}
    for model in models:
        for seed in seeds[:1] if model in BASELINES else seeds:
            model_run = ModelRun(model, seed, folder / "question", folder / f"{model}-seed{seed}")
            result = model_run.run(config, overrides)
            run_metrics = measure_run(task, truth, model_run.folder)
            metrics.setdefault(model, []).append(run_metrics)
            figures = {"accuracy": run_metrics.accuracy, "beyond": run_metrics.beyond}
            runs.setdefault(model, []).append(result | figures)
            print(_summary_line(result, run_metrics), flush=True)
    return {
        "recipe": recipe.name,
        "run_date": night.day,
        **details,
        "code_version": code_version(),
        "settings": settings,
        "counts": counts,
        "models": _summaries(metrics, runs),
        "differences": _differences(metrics),
        "ablations": _ablation_descriptions(models),
        "folder": str(folder),
    }


def _ablation_descriptions(models: list[str]) -> dict[str, str]:
    """What each ablation changes. Beside baselines alone, the model's two parts do not count as ablations."""
    if set(models) <= {*BASELINES, *OWN_MODELS}:
        return {}
    return {model: ABLATIONS[model].description for model in models if model in ABLATIONS}


def _applicable_ablations(night: Night) -> list[str]:
    """The ablations that change something for this night's recipe and tables."""
    users = night.lake.read("people", night.day)
    return applicable_ablations(night.recipe, interests=users[INTERESTS].drop_nulls().len() > 0)


def _summaries(metrics: dict[str, list["UserMetrics"]], runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    from artrec_core.evaluation.report import summary

    return {model: {**summary(metrics[model]), "runs": runs[model]} for model in metrics}


def _differences(metrics: dict[str, list["UserMetrics"]]) -> dict[str, Any]:
    """The full model minus each other model, paired by users."""
    from artrec_core.evaluation.report import difference

    full = metrics.get(FULL)
    if full is None:
        return {}
    return {f"{FULL} - {model}": difference(full, runs) for model, runs in metrics.items() if model != FULL}


def _counts(task: "EvaluationTask", truth: "GroundTruth") -> dict[str, Any]:
    from artrec_core.evaluation.report import users_per_segment

    return {
        "people": task.users.height,
        "artworks": task.catalogue.height,
        "events_to_choose_by": task.train.height,
        "events_to_answer_from": task.before_test.height,
        "people_validated": task.validation.height,
        "hidden_artworks": len(task.hidden_ids),
        "asked": users_per_segment(truth),
    }


def _summary_line(result: dict[str, Any], metrics: "UserMetrics") -> str:
    figures = ", ".join(f"{name.upper()} {metrics.accuracy['everyone'][name]:.4f}" for name in ("hr@10", "ndcg@10"))
    seconds = ", ".join(f"{phase} {value:.1f} s" for phase, value in result["seconds"].items())
    return f"evaluate: {result['model']}, seed {result['seed']}: {figures} ({seconds}, {result['peak_memory_mb']:,} MB)"


def _parse_models(text: str | None, ablations: bool) -> list[str]:
    if text is None:
        return [] if ablations else [*BASELINES, *OWN_MODELS]
    known_models = dict.fromkeys([*BASELINES, *OWN_MODELS, *ABLATIONS])
    models = text.replace(",", " ").split()
    unknown_models = [model for model in models if model not in known_models]
    if unknown_models or not models:
        names = ", ".join(unknown_models) or "nothing"
        raise ArtrecError(f"--models takes some of {','.join(known_models)}, not {names}")
    return list(dict.fromkeys(models))


def _parse_seeds(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(seed) for seed in text.replace(",", " ").split())) or [0]
    except ValueError:
        raise ArtrecError(f"--seeds takes whole numbers separated by commas, as in 0,1,2, not {text!r}") from None


if __name__ == "__main__":
    run_command(command, "python -m jobs.evaluate")
