"""The gate of the events."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import polars as pl

from artrec_core.columns import (
    ARTWORK_ID,
    DWELL_SECONDS,
    EVENT_ID,
    EVENT_KINDS,
    KIND,
    OCCURRED_AT,
    SOURCE,
    USER_ID,
    VALUE,
)
from artrec_core.config import Rules
from expectations.artworks import volume_rules
from expectations.gate import check
from expectations.rules import (
    Holds,
    OneOf,
    Present,
    Rule,
    TableRule,
    Within,
    at_most,
    enough_rows,
    few_duplicates,
    present,
    say,
)
from expectations.verdict import Checked

# No museum recorded its visitors' clicks before: an earlier time is a clock that was never set.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)

# Facts: what the rules read of an event beside its own columns.
TARGET = "target"
RATING = "rating"
ARTWORK_KNOWN = "artwork_known"
BUSIEST_DAY = "busiest_day"
OCCURRED_US = "occurred_us"
DATES_IN_RANGE = "dates_in_range"

# Sources count their events each for themselves: the same id in two of them is two events.
IDENTITY = "identity"


def event_rules(rules: Rules, day: str) -> list[Rule]:
    """What every event must hold."""
    unknown_artwork = Rule(
        "artwork_is_known",
        Holds(ARTWORK_KNOWN),
        "The artwork is one that a source describes.",
        say("no source describes the artwork {}", ARTWORK_ID),
    )
    return [
        Rule("has_event_id", Present(EVENT_ID), "An event has an id.", say("there is no event id")),
        Rule("has_user_id", Present(USER_ID), "An event has a person.", say("there is no user id")),
        Rule(
            "person_is_plausible",
            Within(BUSIEST_DAY, high=rules.max_events_per_person_day),
            f"A person has at most {rules.max_events_per_person_day:,} events a day; all events of one with more are out.",
            say("{} had {} events in one day", USER_ID, f"fact_{BUSIEST_DAY}"),
        ),
        Rule(
            "kind_is_known",
            OneOf(KIND, EVENT_KINDS),
            f"The kind is one of {', '.join(EVENT_KINDS)}.",
            say("the kind is {}", KIND),
        ),
        Rule(
            "has_artwork_id",
            Present(TARGET),
            "An event is about an artwork, unless it is a search.",
            say("there is no artwork id"),
        ),
        Rule("has_time", Present(OCCURRED_US), "An event has a time.", say("there is no time")),
        Rule(
            "time_is_not_too_early",
            Within(OCCURRED_US, low=_microseconds(EARLIEST)),
            f"An event occurred in {EARLIEST.year} or later.",
            say("it occurred at {}", OCCURRED_AT),
        ),
        Rule(
            "time_is_not_after_the_night",
            Within(OCCURRED_US, high=_microseconds(end_of(day)) - 1),
            "An event occurred before the end of the night (UTC).",
            say(f"it occurred at {{}}, after {day}", OCCURRED_AT),
        ),
        Rule(
            "rating_is_1_to_5",
            Within(RATING, 1.0, 5.0),
            "A rating has a value from 1 to 5.",
            say("the rating is {}", VALUE),
        ),
        Rule(
            "dwell_is_not_negative",
            Within(DWELL_SECONDS, 0.0, sys.float_info.max),
            "The dwell time is a number of 0 or more.",
            say("the dwell time is {} s", DWELL_SECONDS),
        ),
        *([unknown_artwork] if rules.unknown_artworks == "quarantine" else []),
    ]


def event_facts(rows: pl.DataFrame, artworks: pl.Series, day: str) -> pl.DataFrame:
    """What the rules read of the events (SOURCE, EVENT columns), row by row; `artworks` are the ids that are known."""
    busiest = (
        rows.filter(pl.col(USER_ID).is_not_null() & pl.col(OCCURRED_AT).is_not_null())
        .group_by(USER_ID, pl.col(OCCURRED_AT).dt.date().alias("date"))
        # A file sent twice doubles every event; that makes nobody a bot.
        .agg(pl.struct(SOURCE, EVENT_ID).n_unique().alias(BUSIEST_DAY))
        .group_by(USER_ID)
        .agg(pl.col(BUSIEST_DAY).max().cast(pl.Int64))
    )
    occurred = pl.col(OCCURRED_AT).dt.epoch("us")
    in_time = occurred.is_between(_microseconds(EARLIEST), _microseconds(end_of(day)) - 1)
    return rows.join(busiest, on=USER_ID, how="left", maintain_order="left").select(
        present(EVENT_ID),
        present(USER_ID),
        present(KIND).fill_null(""),
        pl.when(pl.col(KIND) == "search")
        .then(present(ARTWORK_ID).fill_null(""))
        .otherwise(present(ARTWORK_ID))
        .alias(TARGET),
        occurred.alias(OCCURRED_US),
        pl.when(pl.col(KIND) == "rating").then(pl.col(VALUE).fill_null(0.0).fill_nan(0.0)).alias(RATING),
        pl.col(DWELL_SECONDS).fill_nan(-1.0),
        # An event without an artwork breaks `has_artwork_id`, or is a search.
        pl.col(ARTWORK_ID).is_in(artworks.implode()).alias(ARTWORK_KNOWN),
        BUSIEST_DAY,
        in_time.alias(DATES_IN_RANGE),
        pl.concat_str(SOURCE, pl.lit("\x1f"), EVENT_ID).alias(IDENTITY),
    )


def event_table_rules(rules: Rules, least: Mapping[str, int]) -> list[TableRule]:
    """What stops the night; `least` are the fewest lines a source may bring, after its last committed night."""
    return [
        enough_rows("min_rows", rules.min_rows, "There are events enough."),
        *volume_rules(least),
        few_duplicates(rules.max_duplicate_share, IDENTITY, "Few events come twice."),
        at_most(rules.max_bad_date_share, "dates_in_range", Holds(DATES_IN_RANGE), "Nearly all times are in range."),
        at_most(
            rules.max_unknown_kind_share,
            "known_kinds",
            OneOf(KIND, EVENT_KINDS),
            "Nearly all events are of a known kind.",
        ),
        at_most(
            rules.max_unknown_artwork_share,
            "known_artworks",
            Holds(ARTWORK_KNOWN),
            "Nearly all events are about artworks that a source describes.",
        ),
    ]


def check_events(
    rows: pl.DataFrame,
    unmapped: pl.DataFrame,
    rules: Rules,
    day: str,
    *,
    artworks: pl.Series,
    least: Mapping[str, int] | None = None,
    received: Mapping[str, int] | None = None,
) -> Checked:
    """Judge a night's events, of all sources together, so that a person is seen whole.

    `rows` hold SOURCE, LINE and EVENT, `unmapped` QUARANTINE, `artworks` the known artwork ids. Nothing is raised for
    what the data holds.
    """
    return check(
        "events",
        rows,
        event_facts(rows, artworks, day),
        unmapped,
        key=EVENT_ID,
        rules=event_rules(rules, day),
        table_rules=event_table_rules(rules, least or {}),
        max_quarantine_share=rules.max_quarantine_share,
        received=received,
    )


def end_of(day: str) -> datetime:
    """The first moment after the night (UTC)."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
