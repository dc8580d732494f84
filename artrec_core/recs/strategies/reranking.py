"""Lists made from a person's finalists under caps and floors, or for variety: greedy, deterministic, compiled.

A list is filled place by place. Of the finalists that may stand at a place, the one of highest worth is taken: the best score,
or with diversity the best maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998),

    lambda * relevance - (1 - lambda) * largest cosine with a work already in the list,

where relevance is the score, brought to 1 at the person's best finalist and to 0 at a score that the caller says. Of equal worth, the
finalist of higher score comes first, then the one of lower artwork id. A finalist may stand at a place if

1. the places after it can still meet the floors (a floor asks for so many places, though for no more than the person has
   finalists of its group; a work counts for every group it is in),
2. it keeps its creators within the cap a creator, and
3. it keeps its source within the cap a source.

Where no finalist may, these give way in this order: 1 (then the work is taken that the most outstanding floors ask for), 1 and 2,
all. So a list is as long as its finalists are many. Without caps and with groups that do not overlap, no list that meets the floors
has a higher sum of scores. Groups that overlap are counted as if they did not until a work of both is taken: floors are met
all the same where finalists allow, though perhaps sooner in the list than they must.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Float64Array, Int32Array
from artrec_core.recs.topk.arrays import run_in_threads
from artrec_core.recs.topk.float32_loops import canonical_score, compile_loop

Flags = npt.NDArray[np.bool_]
Groups = npt.NDArray[np.uint64]
# What gave way in a list, in the columns of `Chosen.gave_way`.
GAVE_WAY = ("floors", "creator_cap", "source_cap", "exploration")
MOST_GROUPS = 63  # and one more bit for the works that a person explores


class Lines(NamedTuple):
    """What lists must hold, as arrays over works; a cap of 0 is none.

    `creators` of work i are creators[creators_from[i] : creators_from[i + 1]]; `sources` (works,) are numbered, -1 unknown;
    bit g of `groups` (works,) says that a work is in group g, of which `needs[g]` are wanted. `vectors` (works, d) are of unit
    length, with d = 0 where variety does not count, and mmr_lambda is then 1.
    """

    creators_from: npt.NDArray[np.int64]
    creators: Int32Array
    creator_cap: int
    sources: Int32Array
    source_cap: int
    groups: Groups
    needs: npt.NDArray[np.int64]
    vectors: Float32Array
    mmr_lambda: float


class Chosen(NamedTuple):
    """Lists: `places` (U, k) are columns of the finalists, -1 where none are left; `gave_way` (U, 4) as GAVE_WAY says."""

    places: Int32Array
    gave_way: Flags


class _Counters(NamedTuple):
    """How many works of a list have a creator, a source; how many more a group asks for (groups + 1,), explored works last."""

    of_creator: Any
    of_source: Any
    owed: Any


class _Finalists(NamedTuple):
    """A person's finalists: works, groups (bits), relevance times lambda, whether taken, and the largest cosine with the
    first `compared` works of the list."""

    works: Any
    groups: Any
    worth: Any
    taken: Any
    nearest: Any
    compared: Any


def rerank(
    ids: Int32Array,
    scores: Float32Array,
    k: int,
    lines: Lines,
    *,
    zero: Float64Array,
    explored: Flags | None = None,
    threads: int = 1,
) -> Chosen:
    """Choose lists of k from finalists: ids (U, n) rows of works, -1 where there are fewer, with their scores, best first.

    `zero` (U,) is the score whose relevance is 0. `explored` (U, n) marks the works that a person explores: each is asked
    for as if by a floor.
    """
    chosen = Chosen(np.full((len(ids), k), -1, np.int32), np.zeros((len(ids), len(GAVE_WAY)), np.bool_))
    marked = np.zeros(ids.shape, np.bool_) if explored is None else explored
    run_in_threads(lambda begin, end: _fill(ids, scores, zero, marked, lines, *chosen, begin, end), len(ids), threads)
    return chosen


@compile_loop
def _fill(
    ids: Any, scores: Any, zero: Any, explored: Any, lines: Any, places: Any, gave_way: Any, begin: Any, end: Any
) -> None:
    """Make the lists of people begin..end."""
    width = ids.shape[1]
    counters = _Counters(_zeros(lines.creators), _zeros(lines.sources), np.zeros(len(lines.needs) + 1, np.int64))
    whole = _Finalists(
        np.empty(width, np.int32),
        np.empty(width, np.uint64),
        np.empty(width),
        np.empty(width, np.bool_),
        np.empty(width, np.float32),
        np.empty(width, np.int64),
    )
    for person in range(begin, end):
        many = 0
        while many < width and ids[person, many] >= 0:
            many += 1
        if many == 0:
            continue
        some = _Finalists(
            whole.works[:many],
            whole.groups[:many],
            whole.worth[:many],
            whole.taken[:many],
            whole.nearest[:many],
            whole.compared[:many],
        )
        _begin(ids[person], scores[person], zero[person], explored[person], lines, some, counters, gave_way[person])
        level, most = 0, min(places.shape[1], many)
        for rank in range(most):
            # Caps only fill up: once none of the finalists keeps within them, none will.
            level = 0 if level < 2 else level
            best = _best(level, rank, most, places[person], lines, some, counters)
            while best < 0:
                level += 1
                best = _best(level, rank, most, places[person], lines, some, counters)
            places[person, rank] = best
            _take(best, lines, some, counters, gave_way[person])
        for group in range(len(lines.needs) + 1):
            gave_way[person, 0 if group < len(lines.needs) else 3] |= counters.owed[group] > 0
        _forget(places[person, :most], lines, some, counters)


@compile_loop
def _zeros(numbers: Any) -> Any:
    """A counter for each of these numbers."""
    return np.zeros(max(numbers.max() + 1, 1) if numbers.size else 1, np.int32)


@compile_loop
def _begin(
    ids: Any, scores: Any, zero: Any, explored: Any, lines: Any, some: Any, counters: Any, gave_way: Any
) -> None:
    """Set up a person's finalists, and what the floors ask for."""
    of_groups, owed, needs = lines.groups, counters.owed, lines.needs
    many = needs.shape[0]
    best, owed[:] = np.float64(scores[0]), 0
    span = best - zero
    for place in range(some.works.shape[0]):
        groups = of_groups[ids[place]] | (np.uint64(explored[place]) << np.uint64(many))
        some.works[place], some.taken[place], some.groups[place] = ids[place], False, groups
        some.nearest[place], some.compared[place] = np.float32(-1.0), 0
        some.worth[place] = lines.mmr_lambda * (1.0 - (best - np.float64(scores[place])) / span if span > 0 else 1.0)
        for group in range(many + 1):
            owed[group] += np.int64(groups >> np.uint64(group) & np.uint64(1))
    for group in range(many):
        gave_way[0] |= needs[group] > owed[group]
        owed[group] = min(needs[group], owed[group])


@compile_loop
def _best(level: Any, rank: Any, most: Any, listed: Any, lines: Any, some: Any, counters: Any) -> Any:
    """The finalist for the next place, -1 where none may stand there; at a higher `level` more gives way.

    Its largest cosine with the list is brought up to date only where it could win: it never falls, so the old one bounds
    a finalist's worth from above.
    """
    # Taken out once: reading a field counts a reference, which costs more than the loop.
    works, groups, worth, taken = some.works, some.groups, some.worth, some.taken
    nearest, compared, vectors = some.nearest, some.compared, lines.vectors
    sources, of_source, source_cap = lines.sources, counters.of_source, lines.source_cap if level < 3 else 0
    creators_from, creators, of_creator = lines.creators_from, lines.creators, counters.of_creator
    creator_cap, against = lines.creator_cap if level < 2 else 0, 1.0 - lines.mmr_lambda
    asked, debt = np.uint64(0), 0
    for group in range(counters.owed.shape[0]):
        if counters.owed[group] > 0:
            asked |= np.uint64(1) << np.uint64(group)
            debt += counters.owed[group]
    chosen, served, best = -1, -1, -np.inf
    for place in range(works.shape[0]):
        if (level == 0 or served == _bits(asked)) and worth[place] + against <= best:
            break
        work = works[place]
        if taken[place] or (source_cap > 0 and _source_is_full(work, sources, source_cap, of_source)):
            continue
        if creator_cap > 0 and _creator_is_full(work, creators_from, creators, creator_cap, of_creator):
            continue
        serves = _bits(groups[place] & asked)
        if level == 0:
            if debt - serves > most - rank - 1:
                continue
            serves = 0
        if serves < served:
            continue
        floor = best if serves == served else -np.inf
        while against > 0.0 and compared[place] < rank and worth[place] - against * nearest[place] > floor:
            cosine = canonical_score(vectors[work], vectors[works[listed[compared[place]]]])
            nearest[place] = max(nearest[place], cosine)
            compared[place] += 1
        value = worth[place] - against * nearest[place]
        if value > floor:
            chosen, served, best = place, serves, value
    return chosen


@compile_loop
def _take(place: Any, lines: Any, some: Any, counters: Any, gave_way: Any) -> None:
    """Put a finalist into the list."""
    sources, of_source, source_cap = lines.sources, counters.of_source, lines.source_cap
    creators_from, creators, of_creator = lines.creators_from, lines.creators, counters.of_creator
    work, groups = some.works[place], some.groups[place]
    some.taken[place] = True
    if lines.creator_cap > 0:
        gave_way[1] |= _creator_is_full(work, creators_from, creators, lines.creator_cap, of_creator)
    if source_cap > 0:
        gave_way[2] |= _source_is_full(work, sources, source_cap, of_source)
    for at in range(creators_from[work], creators_from[work + 1]):
        of_creator[creators[at]] += 1
    if sources[work] >= 0:
        of_source[sources[work]] += 1
    for group in range(counters.owed.shape[0]):
        counters.owed[group] -= np.int64(groups >> np.uint64(group) & np.uint64(1))


@compile_loop
def _forget(listed: Any, lines: Any, some: Any, counters: Any) -> None:
    """Clear the counters that a list has touched; there may be many more."""
    for place in listed:
        work = some.works[place]
        for at in range(lines.creators_from[work], lines.creators_from[work + 1]):
            counters.of_creator[lines.creators[at]] = 0
        if lines.sources[work] >= 0:
            counters.of_source[lines.sources[work]] = 0


@compile_loop
def _creator_is_full(work: Any, creators_from: Any, creators: Any, cap: Any, of_creator: Any) -> Any:
    """Whether a creator of the work has as many works in the list as may be."""
    full = False
    for at in range(creators_from[work], creators_from[work + 1]):
        full |= of_creator[creators[at]] >= cap
    return full


@compile_loop
def _source_is_full(work: Any, sources: Any, cap: Any, of_source: Any) -> Any:
    """Whether the source of the work has as many works in the list as may be."""
    return sources[work] >= 0 and of_source[sources[work]] >= cap


@compile_loop
def _bits(flags: Any) -> Any:
    """How many bits are set."""
    count = 0
    while flags:
        flags &= flags - np.uint64(1)
        count += 1
    return count
