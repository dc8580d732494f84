"""Baselines with tuned settings: popularity, ALS and EASE.

Settings are chosen on the validation artworks. Then the baseline is fitted again with them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import Float64Array, Int64Array
from artrec_core.evaluation.ranking import held_out_accuracy, measure_ranking, seen_matrix
from artrec_core.evaluation.task import EvaluationTask
from artrec_core.model.sequences import Sequences
from artrec_core.recs.interaction_models import Als, Baseline, Ease, Popularity

Settings = dict[str, Any]
SELECTED_BY = "ndcg@10"
# The setting that says what a baseline learns from: artworks with a positive event, or all seen artworks.
LEARN_FROM = "learn_from"
POSITIVE, SEEN = "positive", "seen"


@dataclass(frozen=True)
class BaselineGrid:
    """A baseline's constructor and the values of each setting; the search starts from the first values."""

    build: Callable[..., Baseline]
    values: dict[str, tuple[Any, ...]]


BASELINES = {
    "popularity": BaselineGrid(Popularity, {}),
    "ease": BaselineGrid(Ease, {"regularization": (500.0, 50.0, 100.0, 250.0, 1000.0, 2000.0, 4000.0)}),
    "als": BaselineGrid(
        Als,
        {"alpha": (10.0, 1.0, 3.0, 40.0), "factors": (64, 32, 128, 256), "regularization": (0.05, 0.5, 5.0, 50.0)},
    ),
}


@dataclass
class SettingsSearch:
    """The best settings so far, their metric on the validation artworks, and all trials."""

    settings: Settings = field(default_factory=dict)
    validation: float = -math.inf
    trials: list[dict[str, Any]] = field(default_factory=list)

    def record(self, settings: Settings, metric: float) -> None:
        """Record a trial. Its settings become the best if the metric is higher than all before."""
        self.trials.append({**settings, SELECTED_BY: round(metric, 6)})
        if metric > self.validation:
            self.settings, self.validation = settings, metric


def choose_settings(name: str, task: EvaluationTask, *, seed: int = 0) -> SettingsSearch:
    """Choose a baseline's settings by NDCG@10 on the validation artworks.

    One setting is varied after the other; the other settings stay at their best values so far.

    Parameters
    ----------
    name
        One of `BASELINES`.
    task
        The evaluation task; only its training histories and validation pairs are read.
    seed
        Seed of ALS.
    """
    grid, histories = BASELINES[name], task.train_sequences
    users, targets = task.validation_rows
    exclude = seen_matrix(histories, len(task.artwork_ids))[users]
    matrices = {
        learn_from: interaction_matrix(histories, len(task.artwork_ids), learn_from) for learn_from in (POSITIVE, SEEN)
    }
    values_by_setting = {LEARN_FROM: _learn_from_values(matrices), **grid.values}
    search, tested = SettingsSearch(), set[tuple[Any, ...]]()
    defaults: Settings = {setting: values[0] for setting, values in values_by_setting.items()}
    if not len(users):
        return SettingsSearch(settings=defaults)
    for setting, values in values_by_setting.items():
        for value in values:
            settings = {**(search.settings or defaults), setting: value}
            if tuple(settings.values()) in tested:
                continue
            tested.add(tuple(settings.values()))
            model = build_baseline(name, settings, seed).fit(matrices[settings[LEARN_FROM]])
            ndcg = held_out_accuracy(model, users, targets, exclude=exclude)[SELECTED_BY]
            search.record(settings, float(ndcg.mean()))
    return search


def fit_baseline(name: str, settings: Settings, task: EvaluationTask, *, seed: int = 0) -> Baseline:
    """Fit a baseline with these settings to all histories before the test; `seed` is the seed of ALS."""
    interactions = interaction_matrix(task.before_test_sequences, len(task.artwork_ids), settings[LEARN_FROM])
    return build_baseline(name, settings, seed).fit(interactions)


def measure_baseline(
    name: str, task: EvaluationTask, targets: Int64Array, *, seed: int = 0
) -> tuple[dict[str, Float64Array], SettingsSearch]:
    """Choose a baseline's settings, fit it and measure it on the test artworks.

    Parameters
    ----------
    name
        One of `BASELINES`.
    task
        The evaluation task.
    targets
        Row of the test artwork of each test user, (n,).
    seed
        Seed of ALS.

    Returns
    -------
    values, search
        As `measure_ranking` and `choose_settings` return them.
    """
    search = choose_settings(name, task, seed=seed)
    model = fit_baseline(name, search.settings, task, seed=seed)
    exclude = task.excluded_pairs(with_hidden=True)
    return measure_ranking(model, task.test_user_rows, targets, exclude=exclude), search


def build_baseline(name: str, settings: Settings, seed: int) -> Baseline:
    """An unfitted baseline; `seed` is the seed of ALS."""
    arguments = {setting: value for setting, value in settings.items() if setting != LEARN_FROM}
    return BASELINES[name].build(**arguments, **({"seed": seed} if name == "als" else {}))


def interaction_matrix(histories: Sequences, artwork_count: int, learn_from: str) -> csr_array:
    """CSR (U, I) with 1 for each artwork of a user: those with a positive event, or all seen ones."""
    matrix = seen_matrix(histories, artwork_count)
    if learn_from == POSITIVE:
        owners = np.repeat(np.arange(histories.user_count), histories.lengths)[histories.positive]
        columns = histories.artworks[histories.positive]
        matrix = csr_array((np.ones(len(owners), np.float32), (owners, columns)), shape=matrix.shape)
        matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _learn_from_values(matrices: dict[str, csr_array]) -> tuple[str, ...]:
    """The values of LEARN_FROM; only one where all seen artworks are positive."""
    return (POSITIVE,) if matrices[POSITIVE].nnz == matrices[SEEN].nnz else (POSITIVE, SEEN)
