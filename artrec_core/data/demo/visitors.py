"""SIMULATED visitors over any catalogue: nobody here is a real person, and every row says `simulated`.

A seeded generator of plausible people, to develop and to demonstrate with. How it works, in order:

1. Tastes (`tastes.py`). Every facet of a work (movement, creator, subjects, culture, classification, century, words of
   the medium) has a vector drawn from a hash of its name; a work is the normalised sum of its facets' vectors and of one
   of its own, which no text can tell. Popularity is log-normal a work and has nothing to do with content.
2. People and visits (`visits.py`). A person has one to three tastes, each around a facet or a work, and comes more or
   less often (log-normal). Each visit is in the mood of one taste, mostly that of the visit before, leaning towards what
   was picked last: so the order of a history tells something that its set of works does not. Works are picked from
   softmax(TASTE * mood . work + POPULARITY * log popularity), rarely one that was picked before.
3. Reactions (`reactions.py`). The entrance shows popular works (impressions), some are dismissed. A pick is viewed for a
   while, and may be liked, made a favourite, rated, commented on or bought, all the likelier the better it suits.
4. Around them: 3 % of the people are known and have no events; 3 % only stated interests; some others stated interests
   too; 1 % did not consent; one is a bot that views thousands of works at random in a day.

The same artworks, numbers and seed give the same events, byte for byte. `Truth` is what an oracle knows: a ceiling.
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
from artrec_core.data.demo.reactions import EVENTS_A_VISIT, PERSON, SECOND, WORK, positive_chance, react
from artrec_core.data.demo.tastes import Space, space, unit
from artrec_core.data.demo.visits import (
    ANCHOR_KINDS,
    LEAN,
    POPULARITY,
    STAY,
    TASTE,
    Picks,
    Tastes,
    Visits,
    draw_tastes,
    draw_times,
    walk,
)
from artrec_core.errors import ArtrecError

NO_EVENTS_SHARE = 0.03
INTERESTS_ONLY_SHARE = 0.03
ALSO_INTERESTS_SHARE = 0.15
NO_CONSENT_SHARE = 0.01
_LOCALES = ("en-GB", "en-US", "fr-FR", "de-DE", "ja-JP", "zh-CN", "es-ES", "it-IT")
_PLACES = ("web", "app", "gallery")


@dataclass(frozen=True)
class Truth:
    """What an oracle knows: everybody's true tastes, and the mood of every visit once it has begun."""

    space: Space
    tastes: Tastes
    visits: Visits
    picks: Picks
    picked_at: Int64Array
    begins: datetime

    def scores(
        self, user_ids: Sequence[str], artwork_ids: Sequence[str], at: Sequence[datetime] | None = None
    ) -> Float32Array:
        """(people, artworks) the log chance, but for a constant a person, that each work is the next positive one.

        With `at`, a moment a person: the time of a held-out event; the oracle knows the mood of that visit if another
        work was picked in it before, and else what the person's tastes and the visit before make likely. Without it,
        the visit that would come next. Works the generator does not know score -inf; people it does not know, and the
        bot, are scored by popularity.
        """
        where = {one: row for row, one in enumerate(self.space.artwork_ids)}
        columns = np.array([where.get(one, -1) for one in artwork_ids], np.int64)
        people = len(self.tastes.count)
        moments = [None] * len(user_ids) if at is None else at
        scored = np.stack(
            [
                self._scores(person if person < people else None, moment)
                for person, moment in zip(map(_number, user_ids), moments, strict=True)
            ]
        )
        scored = scored[:, columns]
        scored[:, columns < 0] = -np.inf
        return scored

    def _scores(self, person: int | None, at: datetime | None) -> Float32Array:
        if person is None:
            return POPULARITY * self.space.log_popularity
        chance = np.zeros(len(self.space.artwork_ids))
        for mood, weight in self._moods(person, at):
            suits = self.space.works @ mood
            liking = TASTE * suits + POPULARITY * self.space.log_popularity
            picked = np.exp(liking - liking.max())
            chance += weight * picked / picked.sum() * positive_chance(suits)
        return np.log(chance).astype(np.float32)

    def _moods(self, person: int, at: datetime | None) -> list[tuple[Float32Array, float]]:
        """The moods an oracle holds possible, with their chances."""
        first, last = np.searchsorted(self._person_of_pick, [person, person + 1])
        if at is not None:
            second = int((at - self.begins).total_seconds())
            last = first + int(np.searchsorted(self.picked_at[first:last], second, side="right"))
            held = last - 1
            if held > first and self.picks.visit[held] == self.picks.visit[held - 1]:
                return [(self.visits.mood[self.picks.visit[held]], 1.0)]
            last = held if held >= first else last
        count = int(self.tastes.count[person])
        tastes = self.tastes.vectors[person, :count]
        if last <= first:
            return [(taste, 1 / count) for taste in tastes]
        visit = int(self.picks.visit[last - 1])
        leaning = self.visits.next_leaning[visit]
        chances = np.full(count, (1 - STAY) / count)
        chances[self.visits.taste[visit]] += STAY
        return [(unit(taste + LEAN * leaning), float(chance)) for taste, chance in zip(tastes, chances, strict=True)]

    @cached_property
    def _person_of_pick(self) -> Int64Array:
        return self.visits.person[self.picks.visit]


@dataclass(frozen=True)
class Simulation:
    """EVENT rows by (occurred_at, event_id), USER rows by user_id, and what an oracle knows of them."""

    events: pl.DataFrame
    users: pl.DataFrame
    truth: Truth


def simulate(artworks: pl.DataFrame, *, people: int, events: int, days: int, ends: str | date, seed: int) -> Simulation:
    """Simulated `people` and about so many `events` of theirs over `days` days, the last of which is `ends` (UTC).

    `artworks` has ARTWORK's columns; works without an id or a title are shown to nobody. Raises `ArtrecError` where
    fewer than two are left.
    """
    world = space(artworks, seed)
    if len(world.artwork_ids) < 2:
        raise ArtrecError("the simulated visitors need at least two artworks with a title; check the recipe's sources")
    last = date.fromisoformat(ends) if isinstance(ends, str) else ends
    begins = datetime(last.year, last.month, last.day, tzinfo=UTC) - timedelta(days=days - 1)
    rng = np.random.default_rng([seed, people, events, days])
    tastes = draw_tastes(world, people, rng)
    parts = rng.permutation(people)
    bot, silent, stated, comers = np.split(
        parts, np.cumsum([1, round(NO_EVENTS_SHARE * people), round(INTERESTS_ONLY_SHARE * people)])
    )
    bot_views = int(np.clip(0.04 * events, 1100, 5000))
    expected = round(max(0, events - bot_views) / EVENTS_A_VISIT)
    person, start = draw_times(np.sort(comers), expected, days * 86400, rng)
    visits, picks = walk(world, tastes, person, start, rng)
    made, picked_at = react(world, visits, picks, rng)
    bots = _bot(world, int(bot[0]), max(days // 2 - 1, 0), bot_views, rng)
    rows = _events(pl.concat([made, bots], how="diagonal"), world, begins, rng)
    users = _users(people, tastes, world, silent, stated, rng)
    return Simulation(rows, users, Truth(world, tastes, visits, picks, picked_at, begins))


def _bot(world: Space, bot: int, day: int, views: int, rng: np.random.Generator) -> pl.DataFrame:
    """One day of a bot: works at random, a view every few seconds, none longer than a second."""
    return pl.DataFrame(
        {
            PERSON: np.full(views, bot),
            WORK: rng.integers(0, len(world.artwork_ids), views),
            SECOND: day * 86400 + np.arange(views) * (80000 // views),
            DWELL_SECONDS: rng.random(views).round(1),
        }
    ).with_columns(pl.lit("view").alias(KIND))


def _events(made: pl.DataFrame, world: Space, begins: datetime, rng: np.random.Generator) -> pl.DataFrame:
    """The rows as EVENT, numbered within each person in order of time."""
    ids = pl.Series(ARTWORK_ID, world.artwork_ids, dtype=pl.String)
    ordered = made.sort(PERSON, SECOND, maintain_order=True).with_columns(turn=pl.int_range(pl.len()).over(PERSON))
    places = pl.Series(PLACE, rng.choice(np.array(_PLACES), made.height, p=(0.5, 0.4, 0.1)).tolist(), dtype=pl.String)
    user = _user_id(pl.col(PERSON))
    return conform(
        ordered.with_columns(
            user.alias(USER_ID),
            (user + "-" + pl.col("turn").cast(pl.String).str.zfill(4)).alias(EVENT_ID),
            (pl.lit(begins) + pl.duration(seconds=SECOND)).alias(OCCURRED_AT),
            pl.lit(True).alias(SIMULATED),
            ids.gather(ordered[WORK]).alias(ARTWORK_ID),
            places,
        ).sort(OCCURRED_AT, EVENT_ID),
        EVENT,
    )


def _users(
    people: int, tastes: Tastes, world: Space, silent: Int64Array, stated: Int64Array, rng: np.random.Generator
) -> pl.DataFrame:
    says = rng.random(people) < ALSO_INTERESTS_SHARE
    says[silent] = False
    says[stated] = True
    interests = [_interests(person, tastes, world) if says[person] else None for person in range(people)]
    no_consent = rng.random(people) < NO_CONSENT_SHARE
    return conform(
        pl.DataFrame({PERSON: np.arange(people)}).select(
            _user_id(pl.col(PERSON)).alias(USER_ID),
            pl.Series(LOCALE, rng.choice(np.array(_LOCALES), people).tolist(), dtype=pl.String),
            pl.Series(INTERESTS, interests, dtype=pl.String),
            pl.Series(CONSENT, (~no_consent).tolist()),
            pl.lit(True).alias(SIMULATED),
        ),
        USER,
    )


def _interests(person: int, tastes: Tastes, world: Space) -> str:
    """An English sentence from the facets of the person's tastes: "I love Impressionism and pictures of boats."."""
    phrases: list[str] = []
    for anchor in tastes.anchors[person, : tastes.count[person]]:
        facet, work = int(tastes.facet_of[anchor]), int(tastes.work_of[anchor])
        told = [one for one in world.facets_of(work) if world.facets[one][0] in ANCHOR_KINDS]
        for one in [facet] if facet >= 0 else told[:2]:
            phrase = _phrase(*world.facets[one])
            if phrase not in phrases:
                phrases.append(phrase)
    if not phrases:
        return "I love art."
    *others, last = phrases
    return f"I love {', '.join(others)} and {last}." if others else f"I love {last}."


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


def _user_id(person: pl.Expr) -> pl.Expr:
    return "sim-" + person.cast(pl.String).str.zfill(5)


def _number(user_id: str) -> int:
    """The person a user id stands for; a number beyond all people where it is none of ours."""
    digits = user_id.removeprefix("sim-")
    return int(digits) if digits.isdecimal() else 2**62
