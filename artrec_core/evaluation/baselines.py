"""Popularity, ALS and EASE at their best: settings chosen on the validation works, then learnt anew with them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from artrec_core.arrays import Int32Array, Int64Array
from artrec_core.evaluation.metrics import rank_accuracy, ranks_of_scores
from artrec_core.evaluation.ranking import seen_works
from artrec_core.evaluation.task import Question
from artrec_core.model.sequences import Sequences
from artrec_core.recs.interaction_models import USERS_IN_BLOCK, Als, Baseline, Ease, Popularity

Settings = dict[str, Any]
SELECTED_BY = "ndcg@10"
# What a person's history counts as: the works with a positive event, or all that were met.
LEARN_FROM = "learn_from"
POSITIVE, SEEN = "positive", "seen"


@dataclass(frozen=True)
class Peer:
    """A baseline with the values its settings may take; the first of each is where the search begins."""

    make: Callable[..., Baseline]
    grid: dict[str, tuple[Any, ...]]


PEERS = {
    "popularity": Peer(Popularity, {}),
    "ease": Peer(Ease, {"regularization": (500.0, 50.0, 100.0, 250.0, 1000.0, 2000.0, 4000.0)}),
    "als": Peer(
        Als,
        {"alpha": (10.0, 1.0, 3.0, 40.0), "factors": (64, 32, 128, 256), "regularization": (0.05, 0.5, 5.0, 50.0)},
    ),
}


@dataclass
class Choice:
    """What was chosen, its validation figure, and all that was tried."""

    settings: Settings = field(default_factory=dict)
    validation: float = -math.inf
    tried: list[dict[str, Any]] = field(default_factory=list)

    def judge(self, settings: Settings, figure: float) -> None:
        """Keep the settings if they are better than all before; a draw goes to the earlier ones."""
        self.tried.append({**settings, SELECTED_BY: round(figure, 6)})
        if figure > self.validation:
            self.settings, self.validation = settings, figure


def chosen(name: str, question: Question, *, seed: int = 0) -> Choice:
    """Settings of a peer, one after the other the best for the others as they stand, by NDCG@10 on the validation works."""
    peer, told = PEERS[name], question.told(question.train)
    people, targets = question.validation_rows
    exclude = seen_works(told, len(question.artwork_ids))[people]
    taken = {what: interactions(told, len(question.artwork_ids), what) for what in (POSITIVE, SEEN)}
    grid = {LEARN_FROM: _learnable(taken), **peer.grid}
    choice, judged = Choice(), set[tuple[Any, ...]]()
    best: Settings = {name: values[0] for name, values in grid.items()}
    if not len(people):
        return Choice(settings=best)
    for setting, values in grid.items():
        for value in values:
            tried = {**(choice.settings or best), setting: value}
            if tuple(tried.values()) in judged:
                continue
            judged.add(tuple(tried.values()))
            model = made(name, tried, seed).fit(taken[tried[LEARN_FROM]])
            choice.judge(tried, _validated(model, people, targets.astype(np.int32), exclude))
    return choice


def _validated(model: Baseline, people: Int64Array, targets: Int32Array, exclude: csr_array) -> float:
    """NDCG@10 on the validation works, every order of ties equally likely."""
    total = 0.0
    for start in range(0, len(people), USERS_IN_BLOCK):
        some = slice(start, start + USERS_IN_BLOCK)
        better, tied = ranks_of_scores(model.scores(people[some]), targets[some], exclude=exclude[some])
        total += float(rank_accuracy(better, tied, [10])[SELECTED_BY].sum())
    return total / len(people)


def fitted(name: str, settings: Settings, question: Question, *, seed: int = 0) -> Baseline:
    """A peer of these settings, learnt from all that came before the test."""
    told = question.told(question.before_test)
    return made(name, settings, seed).fit(interactions(told, len(question.artwork_ids), settings[LEARN_FROM]))


def made(name: str, settings: Settings, seed: int) -> Baseline:
    """An unfitted peer; the seed is ALS's."""
    given = {setting: value for setting, value in settings.items() if setting != LEARN_FROM}
    return PEERS[name].make(**given, **({"seed": seed} if name == "als" else {}))


def interactions(told: Sequences, works: int, learn_from: str) -> csr_array:
    """CSR (people, works): 1 for each work a person took up, or met."""
    met = seen_works(told, works)
    if learn_from == POSITIVE:
        owners = np.repeat(np.arange(told.user_count), told.lengths)[told.positive]
        met = csr_array((np.ones(len(owners), np.float32), (owners, told.works[told.positive])), shape=met.shape)
        met.sum_duplicates()
    met.data[:] = 1
    return met


def _learnable(taken: dict[str, csr_array]) -> tuple[str, ...]:
    """Where nothing but positive events is known, both are the same."""
    return (POSITIVE,) if taken[POSITIVE].nnz == taken[SEEN].nnz else (POSITIVE, SEEN)
