"""SIMULATED visitors for any catalogue: no user here is a real person, and every row has `simulated` set.

A seeded generator of plausible users, for development and demonstration. The steps are:

1. Tastes (`tastes.py`). Every facet of an artwork (movement, creator, subjects, culture, classification, century, words
   of the medium) has a vector that is drawn from a hash of its name. An artwork's vector is the normalised sum of its
   facets' vectors and a vector of its own, which no text describes. Popularity is log-normal and independent of content.
2. Users and visits (`visits.py`). A user has one to three tastes, each around a facet or an artwork. How often a user
   comes is log-normal. Each visit has a mood: one of the tastes, mostly that of the visit before, which leans towards
   the last picks. So the order of a history carries information that the set of its artworks does not. Artworks are
   picked from softmax(TASTE * mood . artwork + POPULARITY * log popularity), and rarely picked twice.
3. Reactions (`reactions.py`). At the start of a visit popular artworks are shown (impressions), and some are dismissed.
   A pick is viewed for a while. It may be liked, made a favourite, rated, commented on or purchased; most of these are
   more likely for a pick with a higher affinity to the mood.
4. Special users. 3 % of the users have no events and no stated interests, and 3 % have stated interests alone. 15 % of
   the others state interests too. 1 % refuse consent. One is a bot that views thousands of random artworks in a day.

The same artworks, numbers and seed give the same events, byte for byte. `GroundTruth` scores artworks by the true
tastes: an upper bound for every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from artrec_core.arrays import Float32Array, Int64Array
from artrec_core.columns import (
    ARTWORK_ID,
    CONSENT,
    DWELL_SECONDS,
    EVENT,
    EVENT_ID,
    INTERESTS,
    KIND,
    LOCALE,
    OCCURRED_AT,
    PLACE,
    SIMULATED,
    USER,
    USER_ID,
    conform,
)
from artrec_core.data.demo.reactions import (
    ARTWORK_NUMBER,
    EVENTS_PER_VISIT,
    SECOND,
    USER_NUMBER,
    positive_chance,
    react,
)
from artrec_core.data.demo.tastes import LatentSpace, build_latent_space, normalise
from artrec_core.data.demo.visits import (
    ANCHOR_KINDS,
    LEAN,
    POPULARITY,
    SAME_TASTE_CHANCE,
    TASTE,
    Picks,
    Tastes,
    Visits,
    draw_tastes,
    draw_times,
    simulate_visits,
)
from artrec_core.errors import ArtrecError

NO_EVENTS_SHARE = 0.03
INTERESTS_ONLY_SHARE = 0.03
ALSO_INTERESTS_SHARE = 0.15
NO_CONSENT_SHARE = 0.01
_LOCALES = ("en-GB", "en-US", "fr-FR", "de-DE", "ja-JP", "zh-CN", "es-ES", "it-IT")
_PLACES = ("web", "app", "gallery")


@dataclass(frozen=True)
class GroundTruth:
    """An oracle that knows the true tastes of all users, and the mood of every visit that has begun.

    Attributes
    ----------
    picked_at : (picks,) the second at which each pick is viewed
    begins : the beginning of the simulated time
    """

    space: LatentSpace
    tastes: Tastes
    visits: Visits
    picks: Picks
    picked_at: Int64Array
    begins: datetime

    def scores(
        self, user_ids: Sequence[str], artwork_ids: Sequence[str], at: Sequence[datetime] | None = None
    ) -> Float32Array:
        """Score artworks by the log probability that each is the user's next positive one.

        Parameters
        ----------
        user_ids, artwork_ids : users and artworks to score
        at : a time for each user, optional
            The time of a held-out event. If the visit has an earlier pick, the oracle knows its mood. Otherwise it knows
            the probabilities that follow from the user's tastes and the visit before. Without `at`, the next visit of
            each user is scored.

        Returns
        -------
        (users, artworks) log probabilities plus a constant for each user
            Artworks that are not in the simulation score -inf. Users that are not in it are scored by popularity.
        """
        column_of = {artwork_id: column for column, artwork_id in enumerate(self.space.artwork_ids)}
        columns = np.array([column_of.get(artwork_id, -1) for artwork_id in artwork_ids], np.int64)
        users = len(self.tastes.count)
        times = [None] * len(user_ids) if at is None else at
        scores = np.stack(
            [
                self._scores(user if user < users else None, time)
                for user, time in zip(map(_user_number, user_ids), times, strict=True)
            ]
        )
        scores = scores[:, columns]
        scores[:, columns < 0] = -np.inf
        return scores

    def _scores(self, user: int | None, at: datetime | None) -> Float32Array:
        if user is None:
            return POPULARITY * self.space.log_popularity
        probability = np.zeros(len(self.space.artwork_ids))
        for mood, weight in self._moods(user, at):
            affinity = self.space.artwork_vectors @ mood
            logits = TASTE * affinity + POPULARITY * self.space.log_popularity
            pick_weights = np.exp(logits - logits.max())
            probability += weight * pick_weights / pick_weights.sum() * positive_chance(affinity)
        return np.log(probability).astype(np.float32)

    def _moods(self, user: int, at: datetime | None) -> list[tuple[Float32Array, float]]:
        """The possible moods of the visit, with their probabilities."""
        first, last = np.searchsorted(self._user_of_pick, [user, user + 1])
        if at is not None:
            second = int((at - self.begins).total_seconds())
            last = first + int(np.searchsorted(self.picked_at[first:last], second, side="right"))
            held_out = last - 1
            if held_out > first and self.picks.visit[held_out] == self.picks.visit[held_out - 1]:
                return [(self.visits.mood[self.picks.visit[held_out]], 1.0)]
            last = held_out if held_out >= first else last
        count = int(self.tastes.count[user])
        tastes = self.tastes.vectors[user, :count]
        if last <= first:
            return [(taste, 1 / count) for taste in tastes]
        visit = int(self.picks.visit[last - 1])
        leaning = self.visits.next_leaning[visit]
        chances = np.full(count, (1 - SAME_TASTE_CHANCE) / count)
        chances[self.visits.taste[visit]] += SAME_TASTE_CHANCE
        return [
            (normalise(taste + LEAN * leaning), float(chance)) for taste, chance in zip(tastes, chances, strict=True)
        ]

    @cached_property
    def _user_of_pick(self) -> Int64Array:
        return self.visits.user[self.picks.visit]


@dataclass(frozen=True)
class Simulation:
    """EVENT rows sorted by (occurred_at, event_id), USER rows sorted by user_id, and the ground truth."""

    events: pl.DataFrame
    users: pl.DataFrame
    truth: GroundTruth


def simulate(artworks: pl.DataFrame, *, users: int, events: int, days: int, ends: str | date, seed: int) -> Simulation:
    """Simulate users and their events.

    Parameters
    ----------
    artworks : frame of ARTWORK; artworks without an id or a title are left out
    users : number of users
    events : approximate number of events
    days : number of days that the events cover
    ends : the last of these days (UTC)
    seed : seed of the random numbers

    Raises
    ------
    ArtrecError
        If fewer than two artworks have an id and a title.
    """
    space = build_latent_space(artworks, seed)
    if len(space.artwork_ids) < 2:
        raise ArtrecError("the simulated visitors need at least two artworks with a title; check the recipe's sources")
    last = date.fromisoformat(ends) if isinstance(ends, str) else ends
    begins = datetime(last.year, last.month, last.day, tzinfo=UTC) - timedelta(days=days - 1)
    rng = np.random.default_rng([seed, users, events, days])
    tastes = draw_tastes(space, users, rng)
    bot, without_events, interests_only, visitors = np.split(
        rng.permutation(users), np.cumsum([1, round(NO_EVENTS_SHARE * users), round(INTERESTS_ONLY_SHARE * users)])
    )
    bot_views = int(np.clip(0.04 * events, 1100, 5000))
    visit_count = round(max(0, events - bot_views) / EVENTS_PER_VISIT)
    visit_user, start = draw_times(np.sort(visitors), visit_count, days * 86400, rng)
    visits, picks = simulate_visits(space, tastes, visit_user, start, rng)
    visit_events, picked_at = react(space, visits, picks, rng)
    bot_events = _bot(space, int(bot[0]), max(days // 2 - 1, 0), bot_views, rng)
    event_rows = _events(pl.concat([visit_events, bot_events], how="diagonal"), space, begins, rng)
    user_rows = _users(users, tastes, space, without_events, interests_only, rng)
    return Simulation(event_rows, user_rows, GroundTruth(space, tastes, visits, picks, picked_at, begins))


def _bot(space: LatentSpace, bot: int, day: int, views: int, rng: np.random.Generator) -> pl.DataFrame:
    """One day of a bot: a view of a random artwork every few seconds, each shorter than a second."""
    return pl.DataFrame(
        {
            USER_NUMBER: np.full(views, bot),
            ARTWORK_NUMBER: rng.integers(0, len(space.artwork_ids), views),
            SECOND: day * 86400 + np.arange(views) * (80000 // views),
            DWELL_SECONDS: rng.random(views).round(1),
        }
    ).with_columns(pl.lit("view").alias(KIND))


def _events(events: pl.DataFrame, space: LatentSpace, begins: datetime, rng: np.random.Generator) -> pl.DataFrame:
    """The events as EVENT. The number in an event's id counts the events of a user in order of time."""
    ids = pl.Series(ARTWORK_ID, space.artwork_ids, dtype=pl.String)
    ordered = events.sort(USER_NUMBER, SECOND, maintain_order=True)
    ordered = ordered.with_columns(turn=pl.int_range(pl.len()).over(USER_NUMBER))
    places = pl.Series(PLACE, rng.choice(np.array(_PLACES), events.height, p=(0.5, 0.4, 0.1)).tolist(), dtype=pl.String)
    user = _user_id(pl.col(USER_NUMBER))
    return conform(
        ordered.with_columns(
            user.alias(USER_ID),
            (user + "-" + pl.col("turn").cast(pl.String).str.zfill(4)).alias(EVENT_ID),
            (pl.lit(begins) + pl.duration(seconds=SECOND)).alias(OCCURRED_AT),
            pl.lit(True).alias(SIMULATED),
            ids.gather(ordered[ARTWORK_NUMBER]).alias(ARTWORK_ID),
            places,
        ).sort(OCCURRED_AT, EVENT_ID),
        EVENT,
    )


def _users(
    users: int,
    tastes: Tastes,
    space: LatentSpace,
    without_events: Int64Array,
    interests_only: Int64Array,
    rng: np.random.Generator,
) -> pl.DataFrame:
    has_interests = rng.random(users) < ALSO_INTERESTS_SHARE
    has_interests[without_events] = False
    has_interests[interests_only] = True
    interests = [_interests(user, tastes, space) if has_interests[user] else None for user in range(users)]
    no_consent = rng.random(users) < NO_CONSENT_SHARE
    return conform(
        pl.DataFrame({USER_NUMBER: np.arange(users)}).select(
            _user_id(pl.col(USER_NUMBER)).alias(USER_ID),
            pl.Series(LOCALE, rng.choice(np.array(_LOCALES), users).tolist(), dtype=pl.String),
            pl.Series(INTERESTS, interests, dtype=pl.String),
            pl.Series(CONSENT, (~no_consent).tolist()),
            pl.lit(True).alias(SIMULATED),
        ),
        USER,
    )


def _interests(user: int, tastes: Tastes, space: LatentSpace) -> str:
    """An English sentence from the facets of the user's tastes: "I love Impressionism and pictures of boats."."""
    phrases: list[str] = []
    for anchor in tastes.anchors[user, : tastes.count[user]]:
        anchor_facet, artwork = int(tastes.facet_of[anchor]), int(tastes.artwork_of[anchor])
        artwork_facets = [facet for facet in space.facets_of(artwork) if space.facets[facet][0] in ANCHOR_KINDS]
        for facet in [anchor_facet] if anchor_facet >= 0 else artwork_facets[:2]:
            phrase = _phrase(*space.facets[facet])
            if phrase not in phrases:
                phrases.append(phrase)
    if not phrases:
        return "I love art."
    *first, last = phrases
    return f"I love {', '.join(first)} and {last}." if first else f"I love {last}."


def _phrase(kind: str, value: str) -> str:
    match kind:
        case "movement":
            return value
        case "creator":
            return f"the work of {value}"
        case "culture":
            return f"{value} art"
        case "subject":
            return f"pictures of {value.lower()}"
    return value.lower()


def _user_id(number: pl.Expr) -> pl.Expr:
    return "sim-" + number.cast(pl.String).str.zfill(5)


def _user_number(user_id: str) -> int:
    """The number of a simulated user; for any other id, a number above those of all users."""
    digits = user_id.removeprefix("sim-")
    return int(digits) if digits.isdecimal() else 2**62
