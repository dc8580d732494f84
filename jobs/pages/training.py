"""How the model was trained and how good it is, from the note `training.json` of `train`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from artrec_core.config import Store
from artrec_core.errors import ArtrecError
from jobs.embedding.documents import CHAMPION
from jobs.pages import plots, words
from jobs.step import Night
from jobs.training.tags import BASELINE_SETTINGS

TRAINING = "training.json"
# Entries of the note's figures that hold figures by name, and no metrics of a method.
NOT_METHODS = ("seconds", BASELINE_SETTINGS)
MODEL = "model"
CEILING = "oracle"
METHOD_NAMES = {"model": "artrec's model", "als": "ALS", "ease": "EASE", "oracle": "ceiling: the true tastes"}
# (phase, clock, figure) of a line of the training log -> title of its plot, label of the y axis.
PLOTS = {
    ("text", "step", "loss"): ("Language model: training loss", "loss (nats)"),
    ("user", "epoch", "loss"): ("User tower: training loss", "loss (nats)"),
    ("user", "epoch", "validation"): ("User tower: held-out visitors", "validation NDCG@10 (higher is better)"),
}
# A curve with at least this many points is too noisy to read without its running mean.
NOISY_POINTS = 60
MAIN_METRICS = ("hr@10", "ndcg@10")
# Metric -> name, and what it says. A metric that is not here keeps its own name.
METRIC_TEXTS = {
    "hr": ("Hit rate", "share of visitors whose next liked artwork is among the first {k}"),
    "ndcg": ("NDCG", "as the hit rate, with more weight near the top (first {k})"),
    "mrr": ("MRR", "mean of 1 / rank of the next liked artwork"),
    "recall": ("Recall", "share of the next liked artworks among the first {k}"),
}


@dataclass(frozen=True)
class MethodScore:
    """A metric of one method: of the model, of a baseline, or of the ceiling, which no method can beat."""

    name: str
    value: float
    is_model: bool
    is_ceiling: bool


@dataclass(frozen=True)
class MetricScores:
    """One metric of all methods, the best method first."""

    metric: str
    name: str
    description: str
    scores: tuple[MethodScore, ...]

    @property
    def largest(self) -> float:
        """The largest value."""
        return max((score.value for score in self.scores), default=0.0)


@dataclass(frozen=True)
class TrainingCurve:
    """A plot of a figure of the training log."""

    title: str
    plot: Markup


@dataclass(frozen=True)
class TrainingSummary:
    """A model version.

    Attributes
    ----------
    text : a few sentences
    curves : plots of the training log
    main_metrics, other_metrics : metrics of the model and the baselines; the other ones are for other list lengths
    facts : all other figures and tags
    """

    text: str
    curves: tuple[TrainingCurve, ...]
    main_metrics: tuple[MetricScores, ...]
    other_metrics: tuple[MetricScores, ...]
    facts: Mapping[str, Any]


def training_note(night: Night) -> dict[str, Any] | None:
    """The note on the version that serves the night, else on the latest version trained up to it; None without a note.

    The version may be from an earlier day. On a backfilled night, it may be from a later day: then the registry has its
    metrics, but not its curves.
    """
    scored = night.lake.find_manifest("recommendations", night.day)
    version = None if scored is None else scored.model_version
    vectors = night.lake.find_manifest("item_vectors", night.day)
    # The name of a version is not enough: a registry that was created anew has a version 1 too.
    model_digest = None if version is None or vectors is None else vectors.made_from.get(CHAMPION)
    latest: dict[str, Any] | None = None
    for day in reversed(night.lake.days("catalogue", night.day)):
        raw = night.lake.read_note(TRAINING, day)
        if raw is None:
            continue
        note: dict[str, Any] = json.loads(raw)
        if version in (None, note.get("version")) and model_digest in (None, note.get("model", model_digest)):
            return note
        if version != note.get("version"):
            latest = latest or note
    return _registry_note(night.recipe.store, version, model_digest) or latest


def _registry_note(store: Store, version: str | None, model_digest: str | None) -> dict[str, Any] | None:
    """The registry's figures of a version; None if it does not have the version or cannot be reached."""
    if version is None:
        return None
    # The registry brings mlflow, which most nights do not need here.
    from artrec_core.model.registry import Registry

    try:
        entries = [
            entry
            for entry in Registry(store).versions()
            if entry.name == version and model_digest in (None, entry.model_digest)
        ]
    except (ArtrecError, OSError):
        return None
    return {"version": version, "figures": entries[0].figures, "tags": entries[0].tags} if entries else None


def summarize_training(note: Mapping[str, Any], served_versions: Sequence[str]) -> TrainingSummary:
    """The note as the page shows it.

    Parameters
    ----------
    note
        The note `training.json`.
    served_versions
        The versions that made the night's recommendations.
    """
    figures, tags = note.get("figures") or {}, note.get("tags") or {}
    metrics_by_method = {
        name: figure for name, figure in figures.items() if isinstance(figure, dict) and name not in NOT_METHODS
    }
    not_facts = {*metrics_by_method, BASELINE_SETTINGS}
    metrics = tuple(compare_methods(metrics_by_method))
    main_metrics = [metric for metric in metrics if metric.metric in MAIN_METRICS] or list(metrics[:2])
    return TrainingSummary(
        text=_summary_text(note, served_versions),
        curves=tuple(training_curves(note.get("lines") or [])),
        main_metrics=tuple(main_metrics),
        other_metrics=tuple(metric for metric in metrics if metric not in main_metrics),
        facts={**tags, **{name: figure for name, figure in figures.items() if name not in not_facts}},
    )


def _summary_text(note: Mapping[str, Any], served_versions: Sequence[str]) -> str:
    figures = note.get("figures") or {}
    tested_users = figures.get("people_tested")
    version = note.get("version", "without a name")
    day = (note.get("tags") or {}).get("run_date")
    text = f"Version {version}" + (f" was trained on the night of {day}." if day else ".")
    if tested_users:
        text += (
            f" It was measured on {tested_users:,} visitors: the last artwork that each liked was held out from training."
            f" The baselines were measured on the same task. {_baselines_text(figures.get(BASELINE_SETTINGS))}"
        )
    if served_versions and version not in served_versions:
        text += f" This night is served by version {', '.join(served_versions)}, on which there is no note."
    return text


def _baselines_text(settings: Mapping[str, Mapping[str, Any]] | None) -> str:
    """How the baselines were fitted; `settings` are theirs by name, None for a version of an earlier artrec."""
    if settings is None:
        return "They had their default settings and learned from all artworks that a visitor had seen."
    if not settings:
        return ""
    # It brings numba, which takes seconds.
    from artrec_core.evaluation.baselines import LEARN_FROM, POSITIVE

    texts = []
    for name, values in settings.items():
        source = "positive events" if values.get(LEARN_FROM) == POSITIVE else "all seen artworks"
        numbers = [f"{words(setting)} {value:g}" for setting, value in values.items() if setting != LEARN_FROM]
        texts.append(f"{METHOD_NAMES.get(name, words(name))} ({', '.join([source, *numbers])})")
    return (
        "Each was fitted to all events before the held-out artwork, with the settings that were best on a validation"
        f" artwork of each visitor: {'; '.join(texts)}."
    )


def compare_methods(metrics_by_method: Mapping[str, Mapping[str, Any]]) -> Iterable[MetricScores]:
    """Turn {method: {metric: value}} into one comparison for each metric. Values that are no finite number are left out."""
    metrics = list(dict.fromkeys(metric for values in metrics_by_method.values() for metric in values))
    for metric in metrics:
        scores = [
            score
            for method, values in metrics_by_method.items()
            if (score := _method_score(method, values.get(metric))) is not None
        ]
        if scores:
            name, description = metric_text(metric)
            scores.sort(key=lambda score: (-score.value, score.name))
            yield MetricScores(metric, name, description, tuple(scores))


def _method_score(method: str, value: Any) -> MethodScore | None:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return MethodScore(METHOD_NAMES.get(method, words(method)), float(value), method == MODEL, method == CEILING)


def metric_text(metric: str) -> tuple[str, str]:
    """The name of a metric such as `hr@10`, and what it says."""
    kind, _, k = metric.lower().partition("@")
    name, description = METRIC_TEXTS.get(kind, (metric, ""))
    return (f"{name} at {k}" if k and kind in METRIC_TEXTS else name), description.format(k=k or "few")


def training_curves(lines: Sequence[Mapping[str, Any]]) -> Iterable[TrainingCurve]:
    """The plots of a training log, whose lines are {"phase", "step" or "epoch", "loss", "validation"}."""
    for (phase, clock, figure), (title, y_label) in PLOTS.items():
        points = [
            (float(line[clock]), float(line[figure]))
            for line in lines
            if line.get("phase") == phase and isinstance(line.get(figure), int | float) and clock in line
        ]
        if points:
            yield TrainingCurve(title, _plot(points, figure, clock, y_label, title))


def _plot(points: list[tuple[float, float]], figure: str, clock: str, y_label: str, title: str) -> Markup:
    lines = [plots.Line(y_label, points)]
    if len(points) >= NOISY_POINTS:
        lines = [plots.Line("each step", points, "noise"), plots.Line("running mean", running_mean(points))]
    elif figure == "validation":
        lines.append(plots.Line("the epoch that was kept", [max(points, key=lambda point: point[1])]))
    x_axis = plots.make_axis(clock, [x for x, _ in points], whole=True)
    return plots.line_plot(lines, x_axis, plots.make_axis(y_label, [y for _, y in points]), title)


def running_mean(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The mean of each point and its neighbours, over a window of a twentieth of all points."""
    reach = max(1, len(points) // 40)
    windows = [points[max(0, place - reach) : place + reach + 1] for place in range(len(points))]
    return [(x, sum(y for _, y in window) / len(window)) for (x, _), window in zip(points, windows, strict=True)]
