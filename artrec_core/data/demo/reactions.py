"""What simulated people do with what they are shown and what they pick: events of every kind."""

import numpy as np
import polars as pl
from scipy.special import expit, ndtr

from artrec_core.arrays import Float32Array, Int64Array
from artrec_core.columns import DWELL_SECONDS, KIND, TEXT, VALUE
from artrec_core.data.demo.tastes import Space
from artrec_core.data.demo.visits import ANCHOR_KINDS, Picks, Visits

PERSON = "person"
WORK = "work"
# Seconds since the beginning of the simulated time.
SECOND = "second"

SHOWN_A_VISIT = 1.2
SEARCHES_A_VISIT = 0.2
# About what one visit adds up to; a test holds it to what really comes out.
EVENTS_A_VISIT = 7.45
_LONG_VIEW_SECONDS = 30.0
_MOST_DWELL_SECONDS = 600.0

_PRAISE = (
    "I could look at this for hours.",
    "Beautiful.",
    "This one stays with me.",
    "Saw it as a child and never forgot it.",
    "The light!",
)
_DOUBT = ("Not for me.", "I do not see what others see in it.", "Too much.", "Leaves me cold.")


def like_chance(suits: Float32Array) -> Float32Array:
    """How likely a picked work that suits the mood so well is liked."""
    return np.asarray(0.4 * expit(5 * (suits - 0.4)), np.float32)


def log_dwell(suits: Float32Array) -> Float32Array:
    """The mean of the logarithm of the seconds a picked work is looked at; the spread is 1."""
    return (2.2 + 1.4 * suits).astype(np.float32)


def stars(suits: Float32Array) -> Float32Array:
    """The mean of a rating before noise (0.7) and rounding."""
    return (2.2 + 2.6 * suits).astype(np.float32)


_RATED, _FAVOURITE, _BOUGHT, _COMMENTED = 0.12, 0.3, 0.06, 0.06


def positive_chance(suits: Float32Array) -> Float32Array:
    """How likely a pick becomes a positive event under the default signals."""
    long_view = ndtr(log_dwell(suits) - np.log(_LONG_VIEW_SECONDS))
    rated = _RATED * ndtr((stars(suits) - 3.5) / 0.7)
    return np.asarray(1 - (1 - long_view) * (1 - like_chance(suits)) * (1 - rated), np.float32)


def react(space: Space, visits: Visits, picks: Picks, rng: np.random.Generator) -> tuple[pl.DataFrame, Int64Array]:
    """Events of all visits (PERSON, WORK, KIND, VALUE, DWELL_SECONDS, TEXT, SECOND; unordered), and when each pick is viewed."""
    dwell = np.minimum(np.exp(rng.normal(log_dwell(picks.suits), 1.0)), _MOST_DWELL_SECONDS).round(1)
    viewed = _view_seconds(visits, picks, dwell, rng)
    after = viewed + dwell.astype(np.int64) + 1
    person = visits.person[picks.visit]
    liked = rng.random(len(person)) < like_chance(picks.suits)
    favourite = liked & (rng.random(len(person)) < _FAVOURITE)
    bought = liked & (rng.random(len(person)) < _BOUGHT)
    rated = rng.random(len(person)) < _RATED
    value = np.clip(np.round(rng.normal(stars(picks.suits), 0.7)), 1, 5)
    commented = rng.random(len(person)) < _COMMENTED
    words = np.where(
        liked | (value >= 4), rng.choice(np.array(_PRAISE), len(person)), rng.choice(np.array(_DOUBT), len(person))
    )
    clicked = rng.random(len(person)) < 0.15

    def of(kind: str, which: np.ndarray, second: Int64Array, **more: np.ndarray) -> pl.DataFrame:
        columns = {PERSON: person, WORK: picks.work, SECOND: second, **more}
        return _frame(kind, {name: column[which] for name, column in columns.items()})

    made = pl.concat(
        [
            of("impression", clicked, viewed - 1),
            of("view", np.ones(len(person), bool), viewed, **{DWELL_SECONDS: dwell}),
            of("like", liked, after),
            of("favourite", favourite, after + 1),
            of("rating", rated, after + 1, **{VALUE: value}),
            of("comment", commented, after + 2, **{TEXT: words}),
            of("purchase", bought, after + 3),
            *_shown(space, visits, rng),
            _searches(space, visits, picks, rng),
        ],
        how="diagonal",
    )
    return made, viewed


def _view_seconds(visits: Visits, picks: Picks, dwell: Float32Array, rng: np.random.Generator) -> Int64Array:
    """When each pick is looked at: after all that was done with the one before."""
    takes = dwell.astype(np.int64) + rng.integers(8, 30, len(dwell))
    passed = np.cumsum(takes) - takes
    first = np.flatnonzero(np.diff(picks.visit, prepend=-1))
    begun = np.repeat(passed[first], np.diff(np.append(first, len(dwell))))
    return np.asarray(visits.start[picks.visit] + 60 + passed - begun)


def _shown(space: Space, visits: Visits, rng: np.random.Generator) -> list[pl.DataFrame]:
    """What the entrance shows, the popular works to everybody; some of what does not suit is dismissed."""
    count = rng.poisson(SHOWN_A_VISIT, len(visits.person))
    visit = np.repeat(np.arange(len(visits.person)), count)
    weights = np.cumsum(np.exp(space.log_popularity.astype(np.float64)))
    work = np.searchsorted(weights, rng.random(len(visit)) * weights[-1], side="right").clip(max=len(weights) - 1)
    second = visits.start[visit] + rng.integers(0, 40, len(visit))
    suits = np.einsum("nd,nd->n", space.works[work], visits.mood[visit])
    dismissed = rng.random(len(visit)) < 0.25 * expit(-6 * (suits + 0.1))
    columns = {PERSON: visits.person[visit], WORK: work, SECOND: second}
    away = {name: column[dismissed] for name, column in columns.items()}
    away[SECOND] = away[SECOND] + 5
    return [_frame("impression", columns), _frame("dismiss", away)]


def _searches(space: Space, visits: Visits, picks: Picks, rng: np.random.Generator) -> pl.DataFrame:
    """What people type before they pick: a facet of the first work they are after."""
    first = np.flatnonzero(np.diff(picks.visit, prepend=-1))
    asking = [int(at) for at in first if rng.random() < SEARCHES_A_VISIT]
    texts = []
    for at in asking:
        facets = [one for one in space.facets_of(int(picks.work[at])) if space.facets[one][0] in ANCHOR_KINDS][:4]
        chosen = int(rng.integers(0, len(facets))) if facets else 0
        texts.append(space.facets[facets[chosen]][1].lower() if facets else "")
    visit = picks.visit[asking] if asking else np.zeros(0, np.int64)
    columns = {PERSON: visits.person[visit], SECOND: visits.start[visit] + 45, TEXT: np.array(texts, dtype=object)}
    return _frame("search", columns).filter(pl.col(TEXT) != "")


def _frame(kind: str, columns: dict[str, np.ndarray]) -> pl.DataFrame:
    types = {
        PERSON: pl.Int64(),
        WORK: pl.Int64(),
        SECOND: pl.Int64(),
        VALUE: pl.Float64(),
        DWELL_SECONDS: pl.Float64(),
        TEXT: pl.String(),
    }
    return pl.DataFrame(
        {name: pl.Series(name, column.tolist(), dtype=types[name]) for name, column in columns.items()}
    ).with_columns(pl.lit(kind).alias(KIND))
