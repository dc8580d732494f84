"""The metrics of an evaluation: lists compared with the ground truth, over users, segments and seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.columns import ARTWORK_ID, POSITIVE, SEEN, USER_ID
from artrec_core.data.holdout import Holdout
from artrec_core.data.rows import row_numbers
from artrec_core.evaluation.metrics import accuracy, bootstrap, coverage, novelty
from artrec_core.evaluation.ranking import KS, accuracy_of_lists
from artrec_core.evaluation.task import EvaluationTask
from artrec_core.recs.inputs.similarity import list_diversity, unit_rows

# Metrics by name.
MetricValues = dict[str, float]
EVERYONE = "everyone"
FEW_EVENTS = "people_with_few_events"
UNSEEN = "unseen_artworks"
HIDDEN = "hidden_artworks"
HIDDEN_EVENTS = "hidden_events"
AMONG_HIDDEN = "among_hidden_artworks"
# Users with fewer events than this before the test are in the segment FEW_EVENTS.
MANY_EVENTS = 10
BEYOND_AT = 10
WITH_INTERVAL = ("hr@10", "ndcg@10")


@dataclass(frozen=True)
class GroundTruth:
    """The answers to an evaluation task and what else lists are measured by, in the rows of the task.

    `targets` (n,) are the test artworks of the n test users. `segments` are masks (n,) of the users that are also
    measured separately. `hidden_events` (n, I) holds the positive artworks that hiding took out of each history; None
    if no artworks were hidden. `user_counts` (I,) counts the users who know an artwork, out of `user_count`.
    `unit_vectors` (I, d) are text vectors of the base model, the same for every model, scaled to length 1.
    """

    targets: Int64Array
    segments: dict[str, BoolArray]
    hidden_events: csr_array | None
    user_counts: Float64Array
    user_count: int
    unit_vectors: Float32Array


@dataclass(frozen=True)
class UserMetrics:
    """The metrics of one model and one seed, by segment.

    `accuracy` holds means over users. `beyond` holds metrics at 10 that need no target. `per_user` holds one value
    per user of each metric in `WITH_INTERVAL`.
    """

    accuracy: dict[str, MetricValues]
    beyond: dict[str, MetricValues]
    per_user: dict[str, dict[str, Float64Array]]


def ground_truth(task: EvaluationTask, held_out: Holdout, item_vectors: Float32Array) -> GroundTruth:
    """Make the ground truth of a task.

    Parameters
    ----------
    task
        The task.
    held_out
        The holdout that the task was made from, before artworks were hidden.
    item_vectors
        Text vectors of the base model, (I, d).
    """
    targets = row_numbers(held_out.test[ARTWORK_ID], task.artwork_ids)
    seen_events = task.before_test.filter(SEEN)
    event_counts = seen_events.group_by(USER_ID).len("events")
    events = task.test_users.join(event_counts, on=USER_ID, how="left", maintain_order="left")
    counts_by_artwork = seen_events.group_by(ARTWORK_ID).agg(pl.col(USER_ID).n_unique().alias("users"))
    artworks = task.catalogue.join(counts_by_artwork, on=ARTWORK_ID, how="left", maintain_order="left")
    user_counts = artworks["users"].fill_null(0).to_numpy().astype(np.float64)
    is_seen = np.zeros(len(task.artwork_ids), bool)
    is_seen[row_numbers(seen_events[ARTWORK_ID].unique(), task.artwork_ids)] = True
    segments = {
        EVERYONE: np.ones(len(targets), bool),
        FEW_EVENTS: (events["events"].fill_null(0) < MANY_EVENTS).to_numpy(),
        UNSEEN: ~is_seen[targets],
    }
    hidden_events = None
    if task.hidden_ids:
        segments[HIDDEN] = held_out.test[ARTWORK_ID].is_in(task.hidden_ids).to_numpy()
        hidden_events = _hidden_events(task, held_out)
    return GroundTruth(targets, segments, hidden_events, user_counts, len(task.user_ids), unit_rows(item_vectors))


def _hidden_events(task: EvaluationTask, held_out: Holdout) -> csr_array:
    """The positive artworks that hiding took out of each test user's history, (n, I)."""
    hidden_pairs = held_out.before_test.filter(pl.col(POSITIVE) & pl.col(ARTWORK_ID).is_in(task.hidden_ids))
    hidden_pairs = hidden_pairs.select(USER_ID, ARTWORK_ID).unique().join(task.test_users, on=USER_ID, how="semi")
    users = row_numbers(hidden_pairs[USER_ID], task.test_users[USER_ID].to_list())
    artworks = row_numbers(hidden_pairs[ARTWORK_ID], task.artwork_ids)
    shape = (len(task.test_users), len(task.artwork_ids))
    return csr_array((np.ones(hidden_pairs.height, np.float32), (users, artworks)), shape=shape)


def measure_lists(
    truth: GroundTruth,
    ids: Int32Array,
    hidden_ids: Int32Array | None = None,
    among_hidden_ids: Int32Array | None = None,
) -> UserMetrics:
    """Measure the lists of one model.

    Parameters
    ----------
    truth
        The ground truth.
    ids
        Lists of the test users, (n, K).
    hidden_ids
        Where artworks were hidden: lists that should hold all hidden artworks that a user had seen, (n, K).
    among_hidden_ids
        Where artworks were hidden: lists of hidden artworks alone, (n, K).
    """
    values = accuracy_of_lists(ids, truth.targets)
    segments: list[tuple[str, Int32Array, dict[str, Float64Array]]] = [
        (name, ids[mask], _values_of(values, mask)) for name, mask in truth.segments.items()
    ]
    if among_hidden_ids is not None:
        mask = truth.segments[HIDDEN]
        hidden_values = _values_of(accuracy_of_lists(among_hidden_ids, truth.targets), mask)
        segments.append((AMONG_HIDDEN, among_hidden_ids[mask], hidden_values))
    if truth.hidden_events is not None and hidden_ids is not None:
        has_hidden = np.diff(truth.hidden_events.indptr) > 0
        segments.append((HIDDEN_EVENTS, hidden_ids[has_hidden], accuracy(hidden_ids, truth.hidden_events, KS)))
    segments = [segment for segment in segments if len(segment[1])]
    return UserMetrics(
        accuracy={name: _means(values) for name, _, values in segments},
        beyond={name: _beyond_accuracy(truth, lists[:, :BEYOND_AT]) for name, lists, _ in segments},
        per_user={name: {metric: values[metric] for metric in WITH_INTERVAL} for name, _, values in segments},
    )


def _beyond_accuracy(truth: GroundTruth, lists: Int32Array) -> MetricValues:
    diversities = list_diversity(lists, truth.unit_vectors)
    return _rounded(
        {
            f"coverage@{BEYOND_AT}": coverage(lists, len(truth.user_counts)),
            f"novelty@{BEYOND_AT}": novelty(lists, truth.user_counts, truth.user_count),
            f"diversity@{BEYOND_AT}": float(diversities.mean()) if len(diversities) else 0.0,
        }
    )


def users_per_segment(truth: GroundTruth) -> dict[str, int]:
    """How many users each segment's accuracy is a mean over."""
    counts = {name: int(mask.sum()) for name, mask in truth.segments.items()}
    if truth.hidden_events is not None:
        counts[AMONG_HIDDEN] = counts[HIDDEN]
        counts[HIDDEN_EVENTS] = int((np.diff(truth.hidden_events.indptr) > 0).sum())
    return counts


def summary(runs: Sequence[UserMetrics]) -> dict[str, Any]:
    """Summarise a model's runs with different seeds, by segment.

    Returns
    -------
    Means over seeds (`accuracy`, `beyond`) and intervals over users of each user's mean over seeds (`interval`). With
    several seeds also their standard deviations (`sd`, `sd_beyond`).
    """
    figures: dict[str, Any] = {
        "accuracy": _over_seeds([run.accuracy for run in runs], np.mean),
        "beyond": _over_seeds([run.beyond for run in runs], np.mean),
        "interval": {
            segment: {name: interval(_mean_over_seeds(runs, segment, name)) for name in values}
            for segment, values in runs[0].per_user.items()
        },
    }
    if len(runs) > 1:
        figures["sd"] = _over_seeds([run.accuracy for run in runs], _standard_deviation)
        figures["sd_beyond"] = _over_seeds([run.beyond for run in runs], _standard_deviation)
    return figures


def difference(runs: Sequence[UserMetrics], baseline_runs: Sequence[UserMetrics]) -> dict[str, dict[str, MetricValues]]:
    """Compare two models on the same users.

    Returns
    -------
    By segment and metric, the mean paired difference (first model minus second) and its interval over users.
    """
    return {
        segment: {
            name: interval(_mean_over_seeds(runs, segment, name) - _mean_over_seeds(baseline_runs, segment, name))
            for name in values
        }
        for segment, values in runs[0].per_user.items()
    }


def interval(values: Float64Array) -> MetricValues:
    """The mean over users and the ends of its 95 % bootstrap interval."""
    ends = bootstrap(values)
    return _rounded({"mean": ends.mean, "low": ends.low, "high": ends.high})


def _mean_over_seeds(runs: Sequence[UserMetrics], segment: str, name: str) -> Float64Array:
    """Each user's mean over seeds."""
    return np.asarray(np.mean([run.per_user[segment][name] for run in runs], axis=0), np.float64)


def _values_of(values: dict[str, Float64Array], mask: BoolArray) -> dict[str, Float64Array]:
    return {name: user_values[mask] for name, user_values in values.items()}


def _means(values: dict[str, Float64Array]) -> MetricValues:
    return _rounded({name: float(user_values.mean()) for name, user_values in values.items()})


def _over_seeds(
    runs: Sequence[dict[str, MetricValues]], reduce: Callable[[Sequence[float]], Any]
) -> dict[str, MetricValues]:
    return {
        segment: _rounded({name: float(reduce([run[segment][name] for run in runs])) for name in names})
        for segment, names in runs[0].items()
    }


def _standard_deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))


def _rounded(values: MetricValues) -> MetricValues:
    return {name: round(value, 6) for name, value in values.items()}
