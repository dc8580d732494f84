"""The visits of simulated users: what a user likes, when a visit begins, its mood, and the artworks that are picked."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from artrec_core.arrays import Float32Array, Int64Array
from artrec_core.data.demo.tastes import DIM, LatentSpace, normalise

# A pick is drawn from softmax(TASTE * mood . artwork + POPULARITY * log popularity).
TASTE = 9.0
POPULARITY = 1.0
# The chance that the next visit has the same taste in mind. Otherwise it is any of the user's tastes.
SAME_TASTE_CHANCE = 0.85
# How far the mood leans towards the picks of the last visit, and how much of the earlier leaning stays.
LEAN = 0.3
KEEP = 0.5
# The kinds of facets that a taste may be built around.
ANCHOR_KINDS = ("movement", "creator", "subject", "culture", "classification")
# The weight of a random vector in a user's taste, besides the artwork or facet that it is built around.
OWN_TASTE = 0.3
# The shares of users with one, two and three tastes.
SHARES_OF_TASTES = (0.1, 0.4, 0.5)
# Picks of a visit: one plus a Poisson number with this mean, and at most MAX_PICKS.
MORE_PICKS = 2.6
MAX_PICKS = 8
# The chance that a visit may pick artworks that the user has picked before.
REPEAT_CHANCE = 0.04
# The standard deviation of the logarithm of a user's activity.
ACTIVITY_SPREAD = 0.8
# In a catalogue of more artworks than this, a visit chooses among those with the highest affinity to its taste:
# 60,000 visits x 112,000 artworks would be slow.
POOL = 1024
_MAX_ANCHORS = 1500
_BATCH = 512
_CANDIDATES = 128
_SECONDS_BETWEEN_VISITS = 3 * 3600


@dataclass(frozen=True)
class Tastes:
    """What each user likes: one to three tastes, each a vector near an anchor.

    Attributes
    ----------
    count : (users,) number of tastes of a user
    anchors : (users, 3) row in `anchor_vectors` of each taste
    vectors : (users, 3, DIM) unit vector of each taste
    anchor_vectors : (anchors, DIM)
    facet_of, artwork_of : (anchors,) the facet or the artwork that the anchor is; -1 in the other array
    """

    count: Int64Array
    anchors: Int64Array
    vectors: Float32Array
    anchor_vectors: Float32Array
    facet_of: Int64Array
    artwork_of: Int64Array


@dataclass(frozen=True)
class Visits:
    """Visits, sorted by user and time.

    Attributes
    ----------
    user : (visits,)
    start : (visits,) seconds since the beginning of the simulated time
    taste : (visits,) which of the user's tastes the visit has in mind
    mood : (visits, DIM)
    next_leaning : (visits, DIM) how the picks of this visit change the mood of the next
    """

    user: Int64Array
    start: Int64Array
    taste: Int64Array
    mood: Float32Array
    next_leaning: Float32Array


@dataclass(frozen=True)
class Picks:
    """Picked artworks, sorted by visit and order: visit, artwork, and affinity to the mood (-1 to 1), each (picks,)."""

    visit: Int64Array
    artwork: Int64Array
    affinity: Float32Array


def draw_tastes(space: LatentSpace, users: int, rng: np.random.Generator) -> Tastes:
    """Draw one to three tastes for each of `users` users, around facets and artworks of the catalogue."""
    counts = np.diff(space.facet_weights.indptr)
    is_anchor_kind = np.array([kind in ANCHOR_KINDS for kind, _ in space.facets], bool)
    max_count = max(2, 0.4 * len(space.artwork_ids))
    common = np.flatnonzero(is_anchor_kind & (counts >= 2) & (counts <= max_count))
    facets = _sample_anchors(common, np.sqrt(counts[common]), rng)
    all_artworks = np.arange(len(space.artwork_ids))
    artworks = _sample_anchors(all_artworks, np.exp(0.5 * space.log_popularity), rng)
    centres = space.facet_weights[facets] @ space.artwork_vectors
    vectors = np.vstack([normalise(centres.reshape(-1, DIM)), space.artwork_vectors[artworks]])
    around_artwork = rng.random((users, 3)) < (0.5 if len(facets) else 1.0)
    anchors = np.where(
        around_artwork,
        len(facets) + rng.integers(0, len(artworks), (users, 3)),
        rng.integers(0, max(1, len(facets)), (users, 3)),
    )
    own = normalise(rng.standard_normal((users, 3, DIM)))
    return Tastes(
        count=rng.choice([1, 2, 3], users, p=SHARES_OF_TASTES),
        anchors=anchors,
        vectors=normalise(vectors[anchors] + OWN_TASTE * own),
        anchor_vectors=vectors,
        facet_of=np.concatenate([facets, np.full(len(artworks), -1)]),
        artwork_of=np.concatenate([np.full(len(facets), -1), artworks]),
    )


def _sample_anchors(candidates: Int64Array, weights: Int64Array, rng: np.random.Generator) -> Int64Array:
    """At most `_MAX_ANCHORS` of the candidates, drawn by their weights, in their order."""
    if len(candidates) <= _MAX_ANCHORS:
        return candidates
    return np.sort(rng.choice(candidates, _MAX_ANCHORS, replace=False, p=weights / weights.sum()))


def draw_times(users: Int64Array, visits: int, seconds: int, rng: np.random.Generator) -> tuple[Int64Array, Int64Array]:
    """Draw the times of about `visits` visits: few users come often, most come seldom.

    Returns
    -------
    (visits,) user and (visits,) start in seconds, sorted by user and time
    """
    activity = rng.lognormal(0.0, ACTIVITY_SPREAD, len(users))
    visits_per_user = 1 + rng.poisson(activity / activity.sum() * max(0, visits - len(users)))
    first_second = np.where(rng.random(len(users)) < 0.6, 0.0, rng.random(len(users)) * 0.97) * seconds
    user = np.repeat(users, visits_per_user)
    since = np.repeat(first_second, visits_per_user)
    day = (since + rng.random(len(user)) * (seconds - since)) // 86400
    start = (day * 86400 + rng.triangular(7 * 3600, 19 * 3600, 23 * 3600, len(user))).astype(np.int64)
    order = np.lexsort((start, user))
    user, start = user[order], start[order]
    # A visit must not begin before the last one is over, so starts are moved apart. A visit moved past the end is dropped.
    turn = np.arange(len(user)) - np.repeat(np.cumsum(visits_per_user) - visits_per_user, visits_per_user)
    apart = start - turn * _SECONDS_BETWEEN_VISITS + user * (10 * seconds + len(user) * _SECONDS_BETWEEN_VISITS)
    start = start + (np.maximum.accumulate(apart) - apart)
    in_time = start < seconds - _SECONDS_BETWEEN_VISITS // 2
    return user[in_time], start[in_time]


def simulate_visits(
    space: LatentSpace, tastes: Tastes, user: Int64Array, start: Int64Array, rng: np.random.Generator
) -> tuple[Visits, Picks]:
    """Simulate the visits that begin at these times, in order: the picks of a visit change the mood of the next.

    `user` and `start` are (visits,), as from `draw_times`.
    """
    pools = _pools(space, tastes)
    pick_counts = np.minimum(1 + rng.poisson(MORE_PICKS, len(user)), MAX_PICKS)
    shape = (len(user), DIM)
    visits = Visits(
        user, start, np.zeros(len(user), np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    )
    users = int(user.max()) + 1 if len(user) else 0
    in_mind = rng.integers(0, tastes.count)
    leaning = np.zeros((users, DIM), np.float32)
    seen_by_user: list[set[int]] = [set() for _ in range(users)]
    picks: list[tuple[int, list[int]]] = []
    for batch in _batches(user):
        batch_users = user[batch]
        changes_taste = rng.random(len(batch_users)) >= SAME_TASTE_CHANCE
        in_mind[batch_users] = np.where(changes_taste, rng.integers(0, tastes.count[batch_users]), in_mind[batch_users])
        taste = tastes.vectors[batch_users, in_mind[batch_users]]
        mood = normalise(taste + LEAN * leaning[batch_users])
        visits.taste[batch], visits.mood[batch] = in_mind[batch_users], mood
        candidates = _candidates(space, pools[tastes.anchors[batch_users, in_mind[batch_users]]], mood, rng)
        may_repeat = rng.random(len(batch_users)) < REPEAT_CHANCE
        for row, visit in enumerate(batch):
            seen_artworks = seen_by_user[batch_users[row]]
            artworks = _first_picks(candidates[row], seen_artworks, int(pick_counts[visit]), bool(may_repeat[row]))
            seen_artworks.update(artworks)
            picks.append((int(visit), artworks))
            towards = space.artwork_vectors[artworks].mean(axis=0) if artworks else 0 * mood[row]
            leaning[batch_users[row]] = KEEP * leaning[batch_users[row]] + towards
        visits.next_leaning[batch] = leaning[batch_users]
    picks.sort()
    visit_of_pick = np.repeat([visit for visit, _ in picks], [len(artworks) for _, artworks in picks]).astype(np.int64)
    artwork = np.array([artwork for _, artworks in picks for artwork in artworks], np.int64)
    affinity = np.einsum("nd,nd->n", space.artwork_vectors[artwork], visits.mood[visit_of_pick])
    return visits, Picks(visit_of_pick, artwork, affinity)


def _batches(user: Int64Array) -> Iterator[Int64Array]:
    """Batches of visits: the first visits of all users, then the second visits, and so on."""
    if not len(user):
        return
    is_first = np.concatenate([[True], user[1:] != user[:-1]])
    starts = np.flatnonzero(is_first)
    turn = np.arange(len(user)) - np.repeat(starts, np.diff(np.append(starts, len(user))))
    order = np.argsort(turn, kind="stable")
    for visits in np.split(order, np.flatnonzero(np.diff(turn[order])) + 1):
        yield from (visits[begin : begin + _BATCH] for begin in range(0, len(visits), _BATCH))


def _pools(space: LatentSpace, tastes: Tastes) -> Int64Array:
    """(anchors, pool) the artworks among which the visits of each anchor choose."""
    n, anchors = len(space.artwork_ids), len(tastes.anchor_vectors)
    if n <= POOL:
        return np.broadcast_to(np.arange(n), (anchors, n))
    pools = np.empty((anchors, POOL), np.int64)
    for begin in range(0, anchors, _BATCH):
        rows = slice(begin, begin + _BATCH)
        logits = TASTE * tastes.anchor_vectors[rows] @ space.artwork_vectors.T + POPULARITY * space.log_popularity
        pools[rows] = np.sort(np.argpartition(-logits, POOL, axis=1)[:, :POOL], axis=1)
    return pools


def _candidates(space: LatentSpace, pools: Int64Array, mood: Float32Array, rng: np.random.Generator) -> Int64Array:
    """(visits, candidates) artworks of each visit's pool, in the order of a draw from the softmax without replacement.

    Gumbel top-k: sorting the logits plus Gumbel noise gives such a draw.
    """
    logits = TASTE * np.matmul(space.artwork_vectors[pools], mood[:, :, None])[:, :, 0]
    logits += POPULARITY * space.log_popularity[pools]
    logits += rng.gumbel(size=logits.shape).astype(np.float32)
    if logits.shape[1] > _CANDIDATES:
        top = np.argpartition(-logits, _CANDIDATES, axis=1)[:, :_CANDIDATES]
        pools, logits = np.take_along_axis(pools, top, axis=1), np.take_along_axis(logits, top, axis=1)
    return np.take_along_axis(pools, np.argsort(-logits, axis=1, kind="stable"), axis=1)


def _first_picks(candidates: Int64Array, seen_artworks: set[int], count: int, may_repeat: bool) -> list[int]:
    """The first `count` candidates; artworks the user has seen are left out unless the visit may repeat picks."""
    first = candidates[: count + len(seen_artworks)]
    artworks = [int(artwork) for artwork in first if may_repeat or int(artwork) not in seen_artworks]
    return artworks[:count]
