"""What simulated users do with the artworks they are shown and the artworks they pick: events of every kind."""

import numpy as np
import polars as pl
from scipy.special import expit, ndtr

from artrec_core.arrays import Float32Array, Int64Array
from artrec_core.columns import DWELL_SECONDS, KIND, TEXT, VALUE
from artrec_core.data.demo.tastes import LatentSpace
from artrec_core.data.demo.visits import ANCHOR_KINDS, Picks, Visits

# Columns of the events before they become EVENT. Users and artworks are numbers here.
USER_NUMBER = "user"
ARTWORK_NUMBER = "artwork"
# Seconds since the beginning of the simulated time.
SECOND = "second"

IMPRESSIONS_PER_VISIT = 1.2
SEARCHES_PER_VISIT = 0.2
# The mean number of events of a visit. A test compares it with the simulated events.
EVENTS_PER_VISIT = 7.45
_LONG_VIEW_SECONDS = 30.0
_MAX_DWELL_SECONDS = 600.0

_PRAISE = (
    "I could look at this for hours.",
    "Beautiful.",
    "This one stays with me.",
    "Saw it as a child and never forgot it.",
    "The light!",
)
_DOUBT = ("Not for me.", "I do not see what others see in it.", "Too much.", "Leaves me cold.")


def like_chance(affinity: Float32Array) -> Float32Array:
    """The probability that a picked artwork is liked, given its affinity to the mood (-1 to 1)."""
    return np.asarray(0.4 * expit(5 * (affinity - 0.4)), np.float32)


def log_dwell(affinity: Float32Array) -> Float32Array:
    """The mean of the logarithm of the seconds for which a picked artwork is viewed. The standard deviation is 1."""
    return (2.2 + 1.4 * affinity).astype(np.float32)


def mean_stars(affinity: Float32Array) -> Float32Array:
    """The mean of a rating before noise (standard deviation 0.7) and rounding."""
    return (2.2 + 2.6 * affinity).astype(np.float32)


_RATING_CHANCE, _FAVOURITE_CHANCE, _PURCHASE_CHANCE, _COMMENT_CHANCE = 0.12, 0.3, 0.06, 0.06


def positive_chance(affinity: Float32Array) -> Float32Array:
    """The probability that a pick becomes a positive event under the default signals."""
    long_view = ndtr(log_dwell(affinity) - np.log(_LONG_VIEW_SECONDS))
    high_rating = _RATING_CHANCE * ndtr((mean_stars(affinity) - 3.5) / 0.7)
    return np.asarray(1 - (1 - long_view) * (1 - like_chance(affinity)) * (1 - high_rating), np.float32)


def react(
    space: LatentSpace, visits: Visits, picks: Picks, rng: np.random.Generator
) -> tuple[pl.DataFrame, Int64Array]:
    """Simulate the events of all visits.

    Returns
    -------
    frame of USER_NUMBER, ARTWORK_NUMBER, KIND, VALUE, DWELL_SECONDS, TEXT and SECOND, in no particular order
    (picks,) the second at which each pick is viewed
    """
    dwell = np.minimum(np.exp(rng.normal(log_dwell(picks.affinity), 1.0)), _MAX_DWELL_SECONDS).round(1)
    view_second = _view_seconds(visits, picks, dwell, rng)
    after = view_second + dwell.astype(np.int64) + 1
    user = visits.user[picks.visit]
    is_liked = rng.random(len(user)) < like_chance(picks.affinity)
    is_favourite = is_liked & (rng.random(len(user)) < _FAVOURITE_CHANCE)
    is_purchased = is_liked & (rng.random(len(user)) < _PURCHASE_CHANCE)
    is_rated = rng.random(len(user)) < _RATING_CHANCE
    value = np.clip(np.round(rng.normal(mean_stars(picks.affinity), 0.7)), 1, 5)
    is_commented = rng.random(len(user)) < _COMMENT_CHANCE
    comments = np.where(
        is_liked | (value >= 4), rng.choice(np.array(_PRAISE), len(user)), rng.choice(np.array(_DOUBT), len(user))
    )
    has_impression = rng.random(len(user)) < 0.15

    def events_of(kind: str, mask: np.ndarray, second: Int64Array, **columns: np.ndarray) -> pl.DataFrame:
        all_columns = {USER_NUMBER: user, ARTWORK_NUMBER: picks.artwork, SECOND: second, **columns}
        return _frame(kind, {name: column[mask] for name, column in all_columns.items()})

    events = pl.concat(
        [
            events_of("impression", has_impression, view_second - 1),
            events_of("view", np.ones(len(user), bool), view_second, **{DWELL_SECONDS: dwell}),
            events_of("like", is_liked, after),
            events_of("favourite", is_favourite, after + 1),
            events_of("rating", is_rated, after + 1, **{VALUE: value}),
            events_of("comment", is_commented, after + 2, **{TEXT: comments}),
            events_of("purchase", is_purchased, after + 3),
            *_impressions(space, visits, rng),
            _searches(space, visits, picks, rng),
        ],
        how="diagonal",
    )
    return events, view_second


def _view_seconds(visits: Visits, picks: Picks, dwell: Float32Array, rng: np.random.Generator) -> Int64Array:
    """The second at which each pick is viewed: after the user has finished with the pick before it."""
    duration = dwell.astype(np.int64) + rng.integers(8, 30, len(dwell))
    elapsed = np.cumsum(duration) - duration
    first = np.flatnonzero(np.diff(picks.visit, prepend=-1))
    visit_begin = np.repeat(elapsed[first], np.diff(np.append(first, len(dwell))))
    return np.asarray(visits.start[picks.visit] + 60 + elapsed - visit_begin)


def _impressions(space: LatentSpace, visits: Visits, rng: np.random.Generator) -> list[pl.DataFrame]:
    """Impressions at the start of a visit, drawn by popularity for every user; some with low affinity are dismissed."""
    counts = rng.poisson(IMPRESSIONS_PER_VISIT, len(visits.user))
    visit = np.repeat(np.arange(len(visits.user)), counts)
    weights = np.cumsum(np.exp(space.log_popularity.astype(np.float64)))
    artwork = np.searchsorted(weights, rng.random(len(visit)) * weights[-1], side="right").clip(max=len(weights) - 1)
    second = visits.start[visit] + rng.integers(0, 40, len(visit))
    affinity = np.einsum("nd,nd->n", space.artwork_vectors[artwork], visits.mood[visit])
    is_dismissed = rng.random(len(visit)) < 0.25 * expit(-6 * (affinity + 0.1))
    columns = {USER_NUMBER: visits.user[visit], ARTWORK_NUMBER: artwork, SECOND: second}
    dismissals = {name: column[is_dismissed] for name, column in columns.items()}
    dismissals[SECOND] = dismissals[SECOND] + 5
    return [_frame("impression", columns), _frame("dismiss", dismissals)]


def _searches(space: LatentSpace, visits: Visits, picks: Picks, rng: np.random.Generator) -> pl.DataFrame:
    """Searches before the first pick of a visit: the text is a facet of that artwork."""
    first = np.flatnonzero(np.diff(picks.visit, prepend=-1))
    search_picks = [int(pick) for pick in first if rng.random() < SEARCHES_PER_VISIT]
    texts = []
    for pick in search_picks:
        facets = [
            facet for facet in space.facets_of(int(picks.artwork[pick])) if space.facets[facet][0] in ANCHOR_KINDS
        ][:4]
        choice = int(rng.integers(0, len(facets))) if facets else 0
        texts.append(space.facets[facets[choice]][1].lower() if facets else "")
    visit = picks.visit[search_picks] if search_picks else np.zeros(0, np.int64)
    columns = {USER_NUMBER: visits.user[visit], SECOND: visits.start[visit] + 45, TEXT: np.array(texts, dtype=object)}
    return _frame("search", columns).filter(pl.col(TEXT) != "")


def _frame(kind: str, columns: dict[str, np.ndarray]) -> pl.DataFrame:
    types = {
        USER_NUMBER: pl.Int64(),
        ARTWORK_NUMBER: pl.Int64(),
        SECOND: pl.Int64(),
        VALUE: pl.Float64(),
        DWELL_SECONDS: pl.Float64(),
        TEXT: pl.String(),
    }
    return pl.DataFrame(
        {name: pl.Series(name, column.tolist(), dtype=types[name]) for name, column in columns.items()}
    ).with_columns(pl.lit(kind).alias(KIND))
