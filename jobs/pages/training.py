"""How the model was trained and how good it is, from the note `training.json` that `train` leaves."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from artrec_core.lake import Lake
from jobs.pages import plots, words

TRAINING = "training.json"
OURS = "model"
CEILING = "oracle"
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
    """A model version: one sentence, its curves, its metrics beside its rivals', and all else that is known of it."""

    says: str
    curves: tuple[Curve, ...]
    measures: tuple[Measure, ...]
    facts: Mapping[str, Any]


def training_note(lake: Lake, day: str) -> dict[str, Any] | None:
    """What `train` noted on the latest day up to this one, with `run_date`; None where it never did."""
    for one in reversed(lake.days("catalogue", day)):
        raw = lake.read_note(TRAINING, one)
        if raw is not None:
            note: dict[str, Any] = json.loads(raw)
            return {"run_date": one, **note}
    return None


def training(note: Mapping[str, Any], day: str) -> Training:
    """The note as the page shows it."""
    measures = tuple(measures_of(note.get("metrics") or {}))
    when = "this night" if note["run_date"] == day else f"on {note['run_date']}"
    return Training(
        says=f"The model was trained {when}.",
        curves=tuple(curves_of(note.get("curves") or {})),
        measures=measures,
        facts={name: value for name, value in note.items() if name not in ("metrics", "curves")},
    )


def measures_of(metrics: Mapping[str, Mapping[str, float]]) -> Iterable[Measure]:
    """One measure a metric from {method: {metric: value}}."""
    names = list(dict.fromkeys(metric for values in metrics.values() for metric in values))
    for metric in names:
        values = [
            Value(words(method), float(figures[metric]), method == OURS, method == CEILING)
            for method, figures in metrics.items()
            if isinstance(figures.get(metric), int | float) and math.isfinite(figures[metric])
        ]
        name, says = metric_words(metric)
        yield Measure(name, says, tuple(sorted(values, key=lambda one: (-one.value, one.name))))


def metric_words(metric: str) -> tuple[str, str]:
    """What a metric such as `hr@10` is called and says."""
    kind, _, k = metric.lower().partition("@")
    name, says = METRICS.get(kind, (metric, ""))
    return (f"{name} at {k}" if k and kind in METRICS else name), says.format(k=k or "few")


def curves_of(curves: Mapping[str, list[float]]) -> Iterable[Curve]:
    """One plot a curve from {name: values in order}."""
    for name, values in curves.items():
        points = [(float(at), float(value)) for at, value in enumerate(values, 1)]
        if points:
            across = plots.axis("step", [x for x, _ in points], whole=True)
            up = plots.axis(words(name), [y for _, y in points])
            yield Curve(words(name), plots.line_plot([plots.Line(name, points)], across, up, words(name)))
