"""Re-ranking: choosing lists from users' candidates under caps and floors, or for variety. Greedy and deterministic.

A list is filled place by place. Of the candidates that are allowed at a place, the one with the highest value is
taken. The value is the score or, with diversity, the maximal marginal relevance (Carbonell and Goldstein, SIGIR
1998),

    lambda * relevance - (1 - lambda) * largest cosine with an artwork already in the list.

Relevance is the score on a scale where the user's best candidate has 1 and the caller's `zero` has 0. Of equal
values, the candidate with the higher score comes first, then the one with the lower artwork id.

A candidate is allowed at a place if

1. the remaining places can still meet the floors,
2. its creators stay within the cap per creator, and
3. its source stays within the cap per source.

A floor requires a number of places, but no more than the user has candidates in its group. An artwork counts for every
group it is in.

Where no candidate is allowed, constraints are relaxed in this order: 1, then 1 and 2, then all. Once 1 is relaxed, the
candidate is taken that the most unmet floors ask for. So a list is only shorter than K if there are fewer candidates.

Without caps, and with groups that do not overlap, no list that meets the floors has a higher sum of scores. Groups
that overlap are counted as separate until an artwork of both is taken. Floors are still met where candidates allow
it, but possibly earlier in the list than necessary.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from artrec_core.recs.topk.arrays import run_in_threads
from artrec_core.recs.topk.float32_loops import canonical_score, compile_loop

# The columns of `Selection.is_relaxed`.
CONSTRAINT_NAMES = ("floors", "creator_cap", "source_cap", "exploration")


class Constraints(NamedTuple):
    """Constraints of lists as arrays over the artworks (I,); a cap of 0 means no cap.

    The creators of artwork i are creators[creator_starts[i] : creator_starts[i + 1]]. `sources` (I,) are numbers, -1
    where unknown. Bit g of `group_bits` (I,) says that an artwork is in group g, which needs `floor_places[g]`
    places. `vectors` (I, d) have unit length; without diversity, d is 0 and `mmr_lambda` is 1.
    """

    creator_starts: Int64Array
    creators: Int32Array
    creator_cap: int
    sources: Int32Array
    source_cap: int
    group_bits: npt.NDArray[np.uint64]
    floor_places: Int64Array
    vectors: Float32Array
    mmr_lambda: float


class Selection(NamedTuple):
    """Lists as columns of the candidates, (U, k), -1 where no candidate is left; and which constraints were relaxed.

    `is_relaxed` (U, 4) has a column for each of CONSTRAINT_NAMES.
    """

    columns: Int32Array
    is_relaxed: BoolArray


class _Counters(NamedTuple):
    """Artworks of a list by creator and by source, and the places that each group still needs.

    `owed` (groups + 1,) counts the artworks that the user explores as its last group.
    """

    by_creator: Any
    by_source: Any
    owed: Any


class _UserCandidates(NamedTuple):
    """A user's candidates.

    For each: artwork, group bits, lambda * relevance, and whether it is taken. `max_cosine` is its largest cosine
    with the first artworks of the list; `compared_counts` says with how many.
    """

    artworks: Any
    group_bits: Any
    relevance: Any
    is_taken: Any
    max_cosine: Any
    compared_counts: Any


def rerank(
    ids: Int32Array,
    scores: Float32Array,
    k: int,
    constraints: Constraints,
    *,
    zero: Float64Array,
    is_explored: BoolArray | None = None,
    threads: int = 1,
) -> Selection:
    """Choose lists of k from each user's candidates.

    Parameters
    ----------
    ids, scores
        Candidates of each user and their scores, (U, n), best first. Ids are rows of artworks, padded with -1.
    k
        Length of the lists.
    constraints
        The strategy's constraints.
    zero
        The score whose relevance is 0, (U,).
    is_explored
        Whether the user explores a candidate, (U, n). Explored candidates are required, as by a floor.
    threads
        Threads that share the users.
    """
    selection = Selection(np.full((len(ids), k), -1, np.int32), np.zeros((len(ids), len(CONSTRAINT_NAMES)), np.bool_))
    if is_explored is None:
        is_explored = np.zeros(ids.shape, np.bool_)
    run_in_threads(
        lambda begin, end: _fill_lists(ids, scores, zero, is_explored, constraints, *selection, begin, end),
        len(ids),
        threads,
    )
    return selection


@compile_loop
def _fill_lists(
    ids: Any, scores: Any, zero: Any, is_explored: Any, constraints: Any, columns: Any, is_relaxed: Any, begin: Any, end: Any
) -> None:  # fmt: skip
    """Fill the lists of users begin..end."""
    width = ids.shape[1]
    counters = _Counters(
        _zero_counts(constraints.creators),
        _zero_counts(constraints.sources),
        np.zeros(len(constraints.floor_places) + 1, np.int64),
    )
    buffers = _UserCandidates(
        np.empty(width, np.int32),
        np.empty(width, np.uint64),
        np.empty(width),
        np.empty(width, np.bool_),
        np.empty(width, np.float32),
        np.empty(width, np.int64),
    )
    for user in range(begin, end):
        count = 0
        while count < width and ids[user, count] >= 0:
            count += 1
        if count == 0:
            continue
        candidates = _UserCandidates(
            buffers.artworks[:count],
            buffers.group_bits[:count],
            buffers.relevance[:count],
            buffers.is_taken[:count],
            buffers.max_cosine[:count],
            buffers.compared_counts[:count],
        )
        _begin(
            ids[user], scores[user], zero[user], is_explored[user], constraints, candidates, counters, is_relaxed[user]
        )  # fmt: skip
        level, length = 0, min(columns.shape[1], count)
        for rank in range(length):
            # Caps only fill up: once no candidate is within them, none will be.
            level = 0 if level < 2 else level
            best = _best_candidate(level, rank, length, columns[user], constraints, candidates, counters)
            while best < 0:
                level += 1
                best = _best_candidate(level, rank, length, columns[user], constraints, candidates, counters)
            columns[user, rank] = best
            _take(best, constraints, candidates, counters, is_relaxed[user])
        for group in range(len(constraints.floor_places) + 1):
            is_relaxed[user, 0 if group < len(constraints.floor_places) else 3] |= counters.owed[group] > 0
        _reset_counts(columns[user, :length], constraints, candidates, counters)


@compile_loop
def _zero_counts(numbers: Any) -> Any:
    """A counter for each number up to the largest."""
    return np.zeros(max(numbers.max() + 1, 1) if numbers.size else 1, np.int32)


@compile_loop
def _begin(
    ids: Any,
    scores: Any,
    zero: Any,
    is_explored: Any,
    constraints: Any,
    candidates: Any,
    counters: Any,
    is_relaxed: Any,
) -> None:
    """Set up a user's candidates and the places that floors require."""
    artwork_bits, owed, floor_places = constraints.group_bits, counters.owed, constraints.floor_places
    floor_count = floor_places.shape[0]
    best, owed[:] = np.float64(scores[0]), 0
    span = best - zero
    for column in range(candidates.artworks.shape[0]):
        bits = artwork_bits[ids[column]] | (np.uint64(is_explored[column]) << np.uint64(floor_count))
        candidates.artworks[column], candidates.is_taken[column] = ids[column], False
        candidates.group_bits[column] = bits
        candidates.max_cosine[column], candidates.compared_counts[column] = np.float32(-1.0), 0
        relevance = 1.0 - (best - np.float64(scores[column])) / span if span > 0 else 1.0
        candidates.relevance[column] = constraints.mmr_lambda * relevance
        for group in range(floor_count + 1):
            owed[group] += np.int64(bits >> np.uint64(group) & np.uint64(1))
    for group in range(floor_count):
        is_relaxed[0] |= floor_places[group] > owed[group]
        owed[group] = min(floor_places[group], owed[group])


@compile_loop
def _best_candidate(
    level: Any, rank: Any, length: Any, columns: Any, constraints: Any, candidates: Any, counters: Any
) -> Any:
    """The column of the best allowed candidate for the next place, -1 where none is allowed.

    A higher `level` relaxes more constraints. A candidate's largest cosine with the list is updated only where it
    could win: it never falls, so the old cosine bounds the candidate's value from above.
    """
    # Fields are read once: each read counts a reference, which costs more than the loop.
    artworks, group_bits = candidates.artworks, candidates.group_bits
    relevance, is_taken = candidates.relevance, candidates.is_taken
    max_cosine, compared_counts, vectors = candidates.max_cosine, candidates.compared_counts, constraints.vectors
    sources, by_source = constraints.sources, counters.by_source
    source_cap = constraints.source_cap if level < 3 else 0
    creator_starts, creators, by_creator = constraints.creator_starts, constraints.creators, counters.by_creator
    creator_cap, diversity_weight = constraints.creator_cap if level < 2 else 0, 1.0 - constraints.mmr_lambda
    owed_bits, owed_places = np.uint64(0), 0
    for group in range(counters.owed.shape[0]):
        if counters.owed[group] > 0:
            owed_bits |= np.uint64(1) << np.uint64(group)
            owed_places += counters.owed[group]
    best_column, best_floors, best_value = -1, -1, -np.inf
    for column in range(artworks.shape[0]):
        if (level == 0 or best_floors == _count_bits(owed_bits)) and relevance[column] + diversity_weight <= best_value:
            break
        artwork = artworks[column]
        if is_taken[column] or (source_cap > 0 and _is_source_full(artwork, sources, source_cap, by_source)):
            continue
        if creator_cap > 0 and _is_creator_full(artwork, creator_starts, creators, creator_cap, by_creator):
            continue
        floors = _count_bits(group_bits[column] & owed_bits)
        if level == 0:
            if owed_places - floors > length - rank - 1:
                continue
            floors = 0
        if floors < best_floors:
            continue
        value_to_beat = best_value if floors == best_floors else -np.inf
        while (
            diversity_weight > 0.0
            and compared_counts[column] < rank
            and relevance[column] - diversity_weight * max_cosine[column] > value_to_beat
        ):
            cosine = canonical_score(vectors[artwork], vectors[artworks[columns[compared_counts[column]]]])
            max_cosine[column] = max(max_cosine[column], cosine)
            compared_counts[column] += 1
        value = relevance[column] - diversity_weight * max_cosine[column]
        if value > value_to_beat:
            best_column, best_floors, best_value = column, floors, value
    return best_column


@compile_loop
def _take(column: Any, constraints: Any, candidates: Any, counters: Any, is_relaxed: Any) -> None:
    """Put a candidate into the list."""
    sources, by_source, source_cap = constraints.sources, counters.by_source, constraints.source_cap
    creator_starts, creators, by_creator = constraints.creator_starts, constraints.creators, counters.by_creator
    artwork, bits = candidates.artworks[column], candidates.group_bits[column]
    candidates.is_taken[column] = True
    if constraints.creator_cap > 0:
        is_relaxed[1] |= _is_creator_full(artwork, creator_starts, creators, constraints.creator_cap, by_creator)
    if source_cap > 0:
        is_relaxed[2] |= _is_source_full(artwork, sources, source_cap, by_source)
    for index in range(creator_starts[artwork], creator_starts[artwork + 1]):
        by_creator[creators[index]] += 1
    if sources[artwork] >= 0:
        by_source[sources[artwork]] += 1
    for group in range(counters.owed.shape[0]):
        counters.owed[group] -= np.int64(bits >> np.uint64(group) & np.uint64(1))


@compile_loop
def _reset_counts(columns: Any, constraints: Any, candidates: Any, counters: Any) -> None:
    """Reset the counters that a list has changed; most counters it has not."""
    for column in columns:
        artwork = candidates.artworks[column]
        for index in range(constraints.creator_starts[artwork], constraints.creator_starts[artwork + 1]):
            counters.by_creator[constraints.creators[index]] = 0
        if constraints.sources[artwork] >= 0:
            counters.by_source[constraints.sources[artwork]] = 0


@compile_loop
def _is_creator_full(artwork: Any, creator_starts: Any, creators: Any, cap: Any, by_creator: Any) -> Any:
    """Whether any creator of the artwork has reached the cap."""
    is_full = False
    for index in range(creator_starts[artwork], creator_starts[artwork + 1]):
        is_full |= by_creator[creators[index]] >= cap
    return is_full


@compile_loop
def _is_source_full(artwork: Any, sources: Any, cap: Any, by_source: Any) -> Any:
    """Whether the source of the artwork has reached the cap."""
    return sources[artwork] >= 0 and by_source[sources[artwork]] >= cap


@compile_loop
def _count_bits(flags: Any) -> Any:
    """The number of bits that are set."""
    count = 0
    while flags:
        flags &= flags - np.uint64(1)
        count += 1
    return count
