"""How the model was trained and how good it is, from the note `training.json` that `train` leaves."""

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

TRAINING = "training.json"
# Figures by name that are of no method.
NOT_METHODS = ("seconds",)
OURS = "model"
CEILING = "oracle"
METHODS = {"model": "artrec's model", "als": "ALS", "ease": "EASE", "oracle": "ceiling: the true tastes"}
# (phase, clock, figure) of a line of training -> title of its plot, label of its upright axis.
PLOTS = {
    ("text", "step", "loss"): ("Language model: how training went", "loss (nats)"),
    ("user", "epoch", "loss"): ("User tower: how training went", "loss (nats)"),
    ("user", "epoch", "validation"): ("User tower: people held out", "validation (higher is better)"),
}
CLOCKS = {"step": "step", "epoch": "pass over the data"}
# From so many points on, a curve is too restless to read without its running mean.
NOISY = 60
# What is drawn large, where it is there.
MAIN = ("hr@10", "ndcg@10")
# How metrics are called and what they say; a metric that is not here goes by its own name.
METRICS = {
    "hr": ("Hit rate", "share of people whose next liked work is among the first {k}"),
    "ndcg": ("NDCG", "the same, and the nearer the top the better (first {k})"),
    "mrr": ("MRR", "mean of 1 / rank of the next liked work"),
    "recall": ("Recall", "share of the next liked works among the first {k}"),
}


@dataclass(frozen=True)
class Value:
    """A method's figure; `ours` is the model, `ceiling` what nobody can beat."""

    name: str
    value: float
    ours: bool
    ceiling: bool


@dataclass(frozen=True)
class Measure:
    """One metric, the best method first."""

    metric: str
    name: str
    says: str
    values: tuple[Value, ...]

    @property
    def top(self) -> float:
        """The largest figure."""
        return max((one.value for one in self.values), default=0.0)


@dataclass(frozen=True)
class Curve:
    """What training measured as it went, drawn."""

    title: str
    plot: Markup


@dataclass(frozen=True)
class Training:
    """A model version: a few sentences, its curves, its metrics beside its rivals', and all else that is known of it.

    `measures` are drawn large; `others` are the same at other lengths of list.
    """

    says: str
    curves: tuple[Curve, ...]
    measures: tuple[Measure, ...]
    others: tuple[Measure, ...]
    facts: Mapping[str, Any]


def training_note(night: Night) -> dict[str, Any] | None:
    """What is noted of the version that serves the night, else of the latest one trained up to it; None if nothing is.

    The version may have been trained on an earlier day, or on a later one where the night is filled in afterwards: then
    the registry still knows its figures, though not its curves.
    """
    scored = night.lake.find_manifest("recommendations", night.day)
    served = None if scored is None else scored.model_version
    vectors = night.lake.find_manifest("item_vectors", night.day)
    # A registry that was made anew calls another model version 1 too.
    model = None if served is None or vectors is None else vectors.made_from.get(CHAMPION)
    latest: dict[str, Any] | None = None
    for day in reversed(night.lake.days("catalogue", night.day)):
        raw = night.lake.read_note(TRAINING, day)
        if raw is None:
            continue
        note: dict[str, Any] = json.loads(raw)
        if served in (None, note.get("version")) and model in (None, note.get("model", model)):
            return note
        if served != note.get("version"):
            latest = latest or note
    return _registered(night.recipe.store, served, model) or latest


def _registered(store: Store, version: str | None, model: str | None) -> dict[str, Any] | None:
    """The registry's figures of a version; None where it does not know it or cannot be asked."""
    if version is None:
        return None
    from artrec_core.model.registry import Registry

    try:
        found = [one for one in Registry(store).versions() if one.name == version and model in (None, one.model_digest)]
    except (ArtrecError, OSError):
        return None
    return {"version": version, "figures": found[0].figures, "tags": found[0].tags} if found else None


def training(note: Mapping[str, Any], served: Sequence[str]) -> Training:
    """The note as the page shows it, on a night that the versions `served` made."""
    figures, tags = note.get("figures") or {}, note.get("tags") or {}
    # Methods are the figures that hold figures by the metrics' names.
    metrics = {name: one for name, one in figures.items() if isinstance(one, dict) and name not in NOT_METHODS}
    measures = tuple(measures_of(metrics))
    main = [one for one in measures if one.metric in MAIN] or list(measures[:2])
    return Training(
        says=_sentence(note, served, figures.get("people_tested")),
        curves=tuple(curves_of(note.get("lines") or [])),
        measures=tuple(main),
        others=tuple(one for one in measures if one not in main),
        facts={**tags, **{name: one for name, one in figures.items() if name not in metrics}},
    )


def _sentence(note: Mapping[str, Any], served: Sequence[str], tested: int | None) -> str:
    version = note.get("version", "of no name")
    day = (note.get("tags") or {}).get("run_date")
    said = f"Version {version}" + (f" was trained on the night of {day}." if day else ".")
    if tested:
        said += f" It was measured on the last liked work of {tested:,} people, which training never saw, beside three simpler methods that were given the same."
    if served and version not in served:
        said += f" This night is served by version {', '.join(served)}, of which nothing is noted."
    return said


def measures_of(metrics: Mapping[str, Mapping[str, Any]]) -> Iterable[Measure]:
    """One measure a metric from {method: {metric: figure}}; what is no finite number is left out."""
    names = list(dict.fromkeys(metric for figures in metrics.values() for metric in figures))
    for metric in names:
        values = [
            value for method, figures in metrics.items() if (value := _value(method, figures.get(metric))) is not None
        ]
        if values:
            name, says = metric_words(metric)
            yield Measure(metric, name, says, tuple(sorted(values, key=lambda one: (-one.value, one.name))))


def _value(method: str, figure: Any) -> Value | None:
    if not isinstance(figure, int | float) or not math.isfinite(figure):
        return None
    return Value(METHODS.get(method, words(method)), float(figure), method == OURS, method == CEILING)


def metric_words(metric: str) -> tuple[str, str]:
    """What a metric such as `hr@10` is called and says."""
    kind, _, k = metric.lower().partition("@")
    name, says = METRICS.get(kind, (metric, ""))
    return (f"{name} at {k}" if k and kind in METRICS else name), says.format(k=k or "few")


def curves_of(lines: Sequence[Mapping[str, Any]]) -> Iterable[Curve]:
    """The plots of what training noted line by line: {"phase", "step" or "epoch", "loss", "validation"}."""
    for (phase, clock, figure), (title, label) in PLOTS.items():
        points = [
            (float(line[clock]), float(line[figure]))
            for line in lines
            if line.get("phase") == phase and isinstance(line.get(figure), int | float) and clock in line
        ]
        if points:
            yield Curve(title, _plot(points, figure, CLOCKS[clock], label, title))


def _plot(points: list[tuple[float, float]], figure: str, across: str, up: str, title: str) -> Markup:
    lines = [plots.Line(up, points)]
    if len(points) >= NOISY:
        lines = [plots.Line("each step", points, "noise"), plots.Line("running mean", running_mean(points))]
    elif figure == "validation":
        lines.append(plots.Line("the pass that was kept", [max(points, key=lambda point: point[1])]))
    x = plots.axis(across, [x for x, _ in points], whole=True)
    return plots.line_plot(lines, x, plots.axis(up, [y for _, y in points]), title)


def running_mean(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each point's mean with those around it, a twentieth of them all."""
    reach = max(1, len(points) // 40)
    around = [points[max(0, at - reach) : at + reach + 1] for at in range(len(points))]
    return [(x, sum(y for _, y in near) / len(near)) for (x, _), near in zip(points, around, strict=True)]
