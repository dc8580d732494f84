"""The figures of an evaluation: what lists come to beside the test works, over people, segments and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.columns import ARTWORK_ID, POSITIVE, SEEN, USER_ID
from artrec_core.data.holdout import Holdout
from artrec_core.evaluation.lists import accuracy_of_lists
from artrec_core.evaluation.metrics import accuracy, bootstrap, coverage, diversity, novelty
from artrec_core.evaluation.ranking import KS
from artrec_core.evaluation.task import Question, rows

Figures = dict[str, float]
EVERYONE = "everyone"
FEW_EVENTS = "people_with_few_events"
UNSEEN = "unseen_artworks"
HIDDEN = "hidden_artworks"
HIDDEN_EVENTS = "hidden_events"
AMONG_HIDDEN = "among_hidden_artworks"
# People with fewer events than this before the test have few.
MANY_EVENTS = 10
BEYOND_AT = 10
# Figures that get an interval.
WITH_INTERVAL = ("hr@10", "ndcg@10")


@dataclass(frozen=True)
class Exam:
    """The answers to a question, and what lists are measured by besides; all in the rows of the question.

    `targets` (asked,) are the test works. `segments` say whose accuracy is told apart, masks (asked,). `hidden_events` (asked, works)
    are the positive works that hiding took out of a person's history, where works were hidden. `people_a_work` (works,) counts the
    people who know a work, of `people`; `item_vectors` (works, d) are text vectors of the base model, the same for every model measured.
    """

    targets: Int64Array
    segments: dict[str, NDArray[np.bool_]]
    hidden_events: csr_array | None
    people_a_work: NDArray[np.float64]
    people: int
    item_vectors: Float32Array


@dataclass(frozen=True)
class Card:
    """One model, one seed, each by segment: means, figures at ten that know no target, a value a person of what gets an interval."""

    accuracy: dict[str, Figures]
    beyond: dict[str, Figures]
    values: dict[str, dict[str, Float64Array]]


def exam(question: Question, held_out: Holdout, item_vectors: Float32Array) -> Exam:
    """The exam of a holdout, before works were hidden from it."""
    targets = rows(held_out.test[ARTWORK_ID], question.artwork_ids)
    seen = question.before_test.filter(SEEN)
    events = question.asked.join(seen.group_by(USER_ID).len("events"), on=USER_ID, how="left", maintain_order="left")
    known = seen.group_by(ARTWORK_ID).agg(pl.col(USER_ID).n_unique().alias("people"))
    works = question.catalogue.join(known, on=ARTWORK_ID, how="left", maintain_order="left")["people"].fill_null(0)
    met = np.zeros(len(question.artwork_ids), bool)
    met[rows(seen[ARTWORK_ID].unique(), question.artwork_ids)] = True
    segments = {
        EVERYONE: np.ones(len(targets), bool),
        FEW_EVENTS: (events["events"].fill_null(0) < MANY_EVENTS).to_numpy(),
        UNSEEN: ~met[targets],
    }
    removed = None
    if question.hidden:
        segments[HIDDEN] = held_out.test[ARTWORK_ID].is_in(question.hidden).to_numpy()
        removed = _hidden_events(question, held_out)
    return Exam(targets, segments, removed, works.to_numpy().astype(np.float64), len(question.user_ids), item_vectors)


def _hidden_events(question: Question, held_out: Holdout) -> csr_array:
    """The positive works that each person asked lost to hiding, (asked, works)."""
    lost = held_out.before_test.filter(pl.col(POSITIVE) & pl.col(ARTWORK_ID).is_in(question.hidden))
    lost = lost.select(USER_ID, ARTWORK_ID).unique().join(question.asked, on=USER_ID, how="semi")
    pairs = rows(lost[USER_ID], question.asked[USER_ID].to_list()), rows(lost[ARTWORK_ID], question.artwork_ids)
    shape = (len(question.asked), len(question.artwork_ids))
    return csr_array((np.ones(lost.height, np.float32), pairs), shape=shape)


def card(
    exam: Exam, ids: Int32Array, hidden_ids: Int32Array | None = None, among_hidden_ids: Int32Array | None = None
) -> Card:
    """The figures of lists (asked, K).

    Where works were hidden, `hidden_ids` are the lists that should hold all of them that a person met, and `among_hidden_ids`
    those that rank the hidden works alone.
    """
    told: list[tuple[str, Int32Array, dict[str, Float64Array]]] = []
    values = accuracy_of_lists(ids, exam.targets)
    told += [(name, ids[mask], _of(values, mask)) for name, mask in exam.segments.items()]
    if among_hidden_ids is not None:
        mask = exam.segments[HIDDEN]
        told.append(
            (AMONG_HIDDEN, among_hidden_ids[mask], _of(accuracy_of_lists(among_hidden_ids, exam.targets), mask))
        )
    if exam.hidden_events is not None and hidden_ids is not None:
        lost = np.diff(exam.hidden_events.indptr) > 0
        told.append((HIDDEN_EVENTS, hidden_ids[lost], accuracy(hidden_ids, exam.hidden_events, KS)))
    told = [one for one in told if len(one[1])]
    return Card(
        accuracy={name: _means(each) for name, _, each in told},
        beyond={name: _beyond(exam, lists[:, :BEYOND_AT]) for name, lists, _ in told},
        values={name: {figure: each[figure] for figure in WITH_INTERVAL} for name, _, each in told},
    )


def _beyond(exam: Exam, lists: Int32Array) -> Figures:
    varied = diversity(lists, exam.item_vectors)
    return _rounded(
        {
            f"coverage@{BEYOND_AT}": coverage(lists, len(exam.people_a_work)),
            f"novelty@{BEYOND_AT}": novelty(lists, exam.people_a_work, exam.people),
            f"diversity@{BEYOND_AT}": float(varied.mean()) if len(varied) else 0.0,
        }
    )


def asked_a_segment(exam: Exam) -> dict[str, int]:
    """How many people each segment's accuracy is a mean over."""
    counts = {name: int(mask.sum()) for name, mask in exam.segments.items()}
    if exam.hidden_events is not None:
        counts[AMONG_HIDDEN] = counts[HIDDEN]
        counts[HIDDEN_EVENTS] = int((np.diff(exam.hidden_events.indptr) > 0).sum())
    return counts


def summary(cards: Sequence[Card]) -> dict[str, Any]:
    """By segment: means over seeds, their standard deviation where there are several, intervals over people of each person's mean."""
    told: dict[str, Any] = {
        "accuracy": _over([one.accuracy for one in cards], np.mean),
        "beyond": _over([one.beyond for one in cards], np.mean),
        "interval": {
            segment: {name: interval(_of_people(cards, segment, name)) for name in values}
            for segment, values in cards[0].values.items()
        },
    }
    if len(cards) > 1:
        told["sd"] = _over([one.accuracy for one in cards], _sd)
        told["sd_beyond"] = _over([one.beyond for one in cards], _sd)
    return told


def difference(ours: Sequence[Card], theirs: Sequence[Card]) -> dict[str, dict[str, Figures]]:
    """By segment, how much better we are for the same people, with the interval over people of the paired difference."""
    return {
        segment: {
            name: interval(_of_people(ours, segment, name) - _of_people(theirs, segment, name)) for name in values
        }
        for segment, values in ours[0].values.items()
    }


def _of_people(cards: Sequence[Card], segment: str, name: str) -> Float64Array:
    """Each person's mean over seeds."""
    return np.asarray(np.mean([one.values[segment][name] for one in cards], axis=0), np.float64)


def interval(values: Float64Array) -> Figures:
    """Mean over people and the ends of its bootstrap interval of 95 %."""
    found = bootstrap(values)
    return _rounded({"mean": found.mean, "low": found.low, "high": found.high})


def _of(values: dict[str, Float64Array], mask: NDArray[np.bool_]) -> dict[str, Float64Array]:
    return {name: each[mask] for name, each in values.items()}


def _means(values: dict[str, Float64Array]) -> Figures:
    return _rounded({name: float(each.mean()) for name, each in values.items()})


def _over(figures: Sequence[dict[str, Figures]], of: Any) -> dict[str, Figures]:
    return {
        segment: _rounded({name: float(of([one[segment][name] for one in figures])) for name in names})
        for segment, names in figures[0].items()
    }


def _sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))


def _rounded(figures: Figures) -> Figures:
    return {name: round(value, 6) for name, value in figures.items()}
