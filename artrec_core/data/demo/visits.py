"""Simulated people walk through a catalogue: who they are, when they come, in what mood, and which works they pick."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from artrec_core.arrays import Float32Array, Int64Array
from artrec_core.data.demo.tastes import DIM, Space, unit

# A pick is drawn from softmax(TASTE * mood . work + POPULARITY * log popularity).
TASTE = 9.0
POPULARITY = 1.0
# The next visit has the same taste in mind with this chance, else any of the person's tastes.
STAY = 0.85
# The mood leans towards what was picked in the last visit, and keeps some of its earlier leaning.
LEAN = 0.3
KEEP = 0.5
# The kinds of facets a taste may be built around.
ANCHOR_KINDS = ("movement", "creator", "subject", "culture", "classification")
# How much a person's taste is its own, beside the work or facet it is built around.
OWN_TASTE = 0.3
SHARES_OF_TASTES = (0.1, 0.4, 0.5)
MORE_PICKS = 2.6
MOST_PICKS = 8
AGAIN = 0.04
ACTIVITY_SPREAD = 0.8
# Above so many works, a visit chooses among those that suit its taste best: 60,000 visits x 112,000 works would be slow.
POOL = 1024
_ANCHORS = 1500
_BATCH = 512
_CANDIDATES = 128
_SECONDS_BETWEEN_VISITS = 3 * 3600


@dataclass(frozen=True)
class Tastes:
    """What each person (p) likes: `count` (p,) tastes, each a unit vector in `vectors` (p, 3, DIM) around an anchor.

    `anchors` (p, 3) index `anchor_vectors`; `facet_of` and `work_of` say what an anchor is (-1: not that).
    """

    count: Int64Array
    anchors: Int64Array
    vectors: Float32Array
    anchor_vectors: Float32Array
    facet_of: Int64Array
    work_of: Int64Array


@dataclass(frozen=True)
class Visits:
    """One row a visit (v), by person and time: its start, the taste in mind, `mood` (v, DIM), and `next_leaning` (v, DIM),
    where what was picked makes the mood of the next visit lean.
    """

    person: Int64Array
    start: Int64Array
    taste: Int64Array
    mood: Float32Array
    next_leaning: Float32Array


@dataclass(frozen=True)
class Picks:
    """One row a pick, by visit and order: which work, and how well it suits the mood (`suits`, -1 to 1)."""

    visit: Int64Array
    work: Int64Array
    suits: Float32Array


def draw_tastes(space: Space, people: int, rng: np.random.Generator) -> Tastes:
    """One to three tastes a person, around facets and works of the catalogue."""
    counts = np.diff(space.has.indptr)
    sayable = np.array([kind in ANCHOR_KINDS for kind, _ in space.facets], bool)
    common = np.flatnonzero(sayable & (counts >= 2) & (counts <= max(2, 0.4 * len(space.artwork_ids))))
    facets = _some(common, np.sqrt(counts[common]), rng)
    every = np.arange(len(space.artwork_ids))
    works = _some(every, np.exp(0.5 * space.log_popularity), rng)
    centres = space.has[facets] @ space.works
    vectors = np.vstack([unit(centres.reshape(-1, DIM)), space.works[works]])
    of_work = rng.random((people, 3)) < (0.5 if len(facets) else 1.0)
    anchors = np.where(
        of_work,
        len(facets) + rng.integers(0, len(works), (people, 3)),
        rng.integers(0, max(1, len(facets)), (people, 3)),
    )
    own = unit(rng.standard_normal((people, 3, DIM)))
    return Tastes(
        count=rng.choice([1, 2, 3], people, p=SHARES_OF_TASTES),
        anchors=anchors,
        vectors=unit(vectors[anchors] + OWN_TASTE * own),
        anchor_vectors=vectors,
        facet_of=np.concatenate([facets, np.full(len(works), -1)]),
        work_of=np.concatenate([np.full(len(facets), -1), works]),
    )


def _some(candidates: Int64Array, weights: Int64Array, rng: np.random.Generator) -> Int64Array:
    """At most so many of the candidates as anchors, the weightier ones likelier, in their order."""
    if len(candidates) <= _ANCHORS:
        return candidates
    return np.sort(rng.choice(candidates, _ANCHORS, replace=False, p=weights / weights.sum()))


def draw_times(
    people: Int64Array, visits: int, seconds: int, rng: np.random.Generator
) -> tuple[Int64Array, Int64Array]:
    """(person, start in seconds) of about so many visits, by person and time: few people come often, most seldom."""
    activity = rng.lognormal(0.0, ACTIVITY_SPREAD, len(people))
    each = 1 + rng.poisson(activity / activity.sum() * max(0, visits - len(people)))
    joined = np.where(rng.random(len(people)) < 0.6, 0.0, rng.random(len(people)) * 0.97) * seconds
    person = np.repeat(people, each)
    since = np.repeat(joined, each)
    day = (since + rng.random(len(person)) * (seconds - since)) // 86400
    start = (day * 86400 + rng.triangular(7 * 3600, 19 * 3600, 23 * 3600, len(person))).astype(np.int64)
    order = np.lexsort((start, person))
    person, start = person[order], start[order]
    # No visit begins before the one before it is over: starts are pushed apart, those pushed past the end are dropped.
    turn = np.arange(len(person)) - np.repeat(np.cumsum(each) - each, each)
    apart = start - turn * _SECONDS_BETWEEN_VISITS + person * (10 * seconds + len(person) * _SECONDS_BETWEEN_VISITS)
    start = start + (np.maximum.accumulate(apart) - apart)
    kept = start < seconds - _SECONDS_BETWEEN_VISITS // 2
    return person[kept], start[kept]


def walk(
    space: Space, tastes: Tastes, person: Int64Array, start: Int64Array, rng: np.random.Generator
) -> tuple[Visits, Picks]:
    """Let people make their visits, one after another; what they picked moves their mood for the next."""
    pools = _pools(space, tastes)
    wanted = np.minimum(1 + rng.poisson(MORE_PICKS, len(person)), MOST_PICKS)
    shape = (len(person), DIM)
    visits = Visits(
        person, start, np.zeros(len(person), np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    )
    people = int(person.max()) + 1 if len(person) else 0
    in_mind = rng.integers(0, tastes.count)
    leaning = np.zeros((people, DIM), np.float32)
    seen: list[set[int]] = [set() for _ in range(people)]
    picked: list[tuple[int, list[int]]] = []
    for now in _rounds(person):
        who = person[now]
        moved = rng.random(len(who)) >= STAY
        in_mind[who] = np.where(moved, rng.integers(0, tastes.count[who]), in_mind[who])
        taste = tastes.vectors[who, in_mind[who]]
        mood = unit(taste + LEAN * leaning[who])
        visits.taste[now], visits.mood[now] = in_mind[who], mood
        candidates = _candidates(space, pools[tastes.anchors[who, in_mind[who]]], mood, rng)
        again = rng.random(len(who)) < AGAIN
        for at, visit in enumerate(now):
            works = _unseen(candidates[at], seen[who[at]], int(wanted[visit]), bool(again[at]))
            seen[who[at]].update(works)
            picked.append((int(visit), works))
            towards = space.works[works].mean(axis=0) if works else 0 * mood[at]
            leaning[who[at]] = KEEP * leaning[who[at]] + towards
        visits.next_leaning[now] = leaning[who]
    picked.sort()
    visit = np.repeat([one for one, _ in picked], [len(works) for _, works in picked]).astype(np.int64)
    work = np.array([one for _, works in picked for one in works], np.int64)
    return visits, Picks(visit, work, np.einsum("nd,nd->n", space.works[work], visits.mood[visit]))


def _rounds(person: Int64Array) -> Iterator[Int64Array]:
    """Batches of visits: everybody's first ones, then the second ones, and so on."""
    if not len(person):
        return
    first = np.concatenate([[True], person[1:] != person[:-1]])
    starts = np.flatnonzero(first)
    turn = np.arange(len(person)) - np.repeat(starts, np.diff(np.append(starts, len(person))))
    order = np.argsort(turn, kind="stable")
    for one in np.split(order, np.flatnonzero(np.diff(turn[order])) + 1):
        yield from (one[at : at + _BATCH] for at in range(0, len(one), _BATCH))


def _pools(space: Space, tastes: Tastes) -> Int64Array:
    """(anchors, pool) the works each anchor's visits choose among."""
    n, anchors = len(space.artwork_ids), len(tastes.anchor_vectors)
    if n <= POOL:
        return np.broadcast_to(np.arange(n), (anchors, n))
    pools = np.empty((anchors, POOL), np.int64)
    for at in range(0, anchors, _BATCH):
        liking = TASTE * tastes.anchor_vectors[at : at + _BATCH] @ space.works.T + POPULARITY * space.log_popularity
        pools[at : at + _BATCH] = np.sort(np.argpartition(-liking, POOL, axis=1)[:, :POOL], axis=1)
    return pools


def _candidates(space: Space, pools: Int64Array, mood: Float32Array, rng: np.random.Generator) -> Int64Array:
    """(visits, some) works in the order in which softmax draws without replacement would give them (Gumbel top-k)."""
    liking = TASTE * np.matmul(space.works[pools], mood[:, :, None])[:, :, 0]
    liking += POPULARITY * space.log_popularity[pools]
    liking += rng.gumbel(size=liking.shape).astype(np.float32)
    if liking.shape[1] > _CANDIDATES:
        some = np.argpartition(-liking, _CANDIDATES, axis=1)[:, :_CANDIDATES]
        pools, liking = np.take_along_axis(pools, some, axis=1), np.take_along_axis(liking, some, axis=1)
    return np.take_along_axis(pools, np.argsort(-liking, axis=1, kind="stable"), axis=1)


def _unseen(candidates: Int64Array, seen: set[int], wanted: int, again: bool) -> list[int]:
    works = [int(work) for work in candidates[: wanted + len(seen)] if again or int(work) not in seen]
    return works[:wanted]
