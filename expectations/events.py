"""The gate of the events table."""

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
from artrec_core.data.events import end_of_day
from expectations.artworks import volume_rules
from expectations.gate import check
from expectations.rules import (
    IsTrue,
    NotNull,
    OneOf,
    Rule,
    TableRule,
    Within,
    at_least_rows,
    at_most_duplicates,
    at_most_share,
    non_blank,
    reason_text,
)
from expectations.verdict import CheckedTable

# No museum recorded clicks of visitors before this time. An earlier time comes from a clock that was never set.
EARLIEST_TIME = datetime(1990, 1, 1, tzinfo=UTC)

# Facts: columns that the rules read in addition to those of EVENT.
ARTWORK_OR_SEARCH = "target"
RATING = "rating"
ARTWORK_KNOWN = "artwork_known"
BUSIEST_DAY = "busiest_day"
OCCURRED_US = "occurred_us"
DATES_IN_RANGE = "dates_in_range"

# Each source numbers its own events: the same id in two sources means two events.
IDENTITY = "identity"


def event_rules(rules: Rules, day: str) -> list[Rule]:
    """The rules for every event."""
    unknown_artwork = Rule(
        "artwork_is_known",
        IsTrue(ARTWORK_KNOWN),
        "The artwork is described by a source.",
        reason_text("no source describes the artwork {}", ARTWORK_ID),
    )
    return [
        Rule("has_event_id", NotNull(EVENT_ID), "An event has an id.", reason_text("there is no event id")),
        Rule("has_user_id", NotNull(USER_ID), "An event has a visitor.", reason_text("there is no user id")),
        Rule(
            "events_per_day_are_plausible",
            Within(BUSIEST_DAY, high=rules.max_events_per_user_day),
            f"A visitor has at most {rules.max_events_per_user_day:,} events a day."
            " All events of a visitor with more are quarantined.",
            reason_text("{} had {} events in one day", USER_ID, f"fact_{BUSIEST_DAY}"),
        ),
        Rule(
            "kind_is_known",
            OneOf(KIND, EVENT_KINDS),
            f"The kind is one of {', '.join(EVENT_KINDS)}.",
            reason_text("the kind is {}", KIND),
        ),
        Rule(
            "has_artwork_id",
            NotNull(ARTWORK_OR_SEARCH),
            "An event is about an artwork, unless it is a search.",
            reason_text("there is no artwork id"),
        ),
        Rule("has_time", NotNull(OCCURRED_US), "An event has a time.", reason_text("there is no time")),
        Rule(
            "time_is_not_too_early",
            Within(OCCURRED_US, low=_microseconds(EARLIEST_TIME)),
            f"An event occurred in {EARLIEST_TIME.year} or later.",
            reason_text("it occurred at {}", OCCURRED_AT),
        ),
        Rule(
            "time_is_not_after_the_night",
            Within(OCCURRED_US, high=_microseconds(end_of_day(day)) - 1),
            "An event occurred before the end of the night's date (UTC).",
            reason_text(f"it occurred at {{}}, after {day}", OCCURRED_AT),
        ),
        Rule(
            "rating_is_1_to_5",
            Within(RATING, 1.0, 5.0),
            "A rating has a value from 1 to 5.",
            reason_text("the rating is {}", VALUE),
        ),
        Rule(
            "dwell_is_not_negative",
            Within(DWELL_SECONDS, 0.0, sys.float_info.max),
            "The dwell time is a number of 0 or more.",
            reason_text("the dwell time is {} s", DWELL_SECONDS),
        ),
        *([unknown_artwork] if rules.unknown_artworks == "quarantine" else []),
    ]


def event_facts(rows: pl.DataFrame, artworks: pl.Series, day: str) -> pl.DataFrame:
    """The facts of the events (SOURCE + EVENT), one row for each. `artworks` are the known artwork ids."""
    busiest = (
        rows.filter(pl.col(USER_ID).is_not_null() & pl.col(OCCURRED_AT).is_not_null())
        .group_by(USER_ID, pl.col(OCCURRED_AT).dt.date().alias("date"))
        # Distinct ids: a file that is sent twice doubles every event, but does not make a user a bot.
        .agg(pl.struct(SOURCE, EVENT_ID).n_unique().alias(BUSIEST_DAY))
        .group_by(USER_ID)
        .agg(pl.col(BUSIEST_DAY).max().cast(pl.Int64))
    )
    occurred = pl.col(OCCURRED_AT).dt.epoch("us")
    in_time = occurred.is_between(_microseconds(EARLIEST_TIME), _microseconds(end_of_day(day)) - 1)
    return rows.join(busiest, on=USER_ID, how="left", maintain_order="left").select(
        non_blank(EVENT_ID),
        non_blank(USER_ID),
        non_blank(KIND).fill_null(""),
        pl.when(pl.col(KIND) == "search")
        .then(non_blank(ARTWORK_ID).fill_null(""))
        .otherwise(non_blank(ARTWORK_ID))
        .alias(ARTWORK_OR_SEARCH),
        occurred.alias(OCCURRED_US),
        pl.when(pl.col(KIND) == "rating").then(pl.col(VALUE).fill_null(0.0).fill_nan(0.0)).alias(RATING),
        pl.col(DWELL_SECONDS).fill_nan(-1.0),
        # Null for an event without an artwork: it breaks `has_artwork_id`, or it is a search.
        pl.col(ARTWORK_ID).is_in(artworks.implode()).alias(ARTWORK_KNOWN),
        BUSIEST_DAY,
        in_time.alias(DATES_IN_RANGE),
        pl.concat_str(SOURCE, pl.lit("\x1f"), EVENT_ID).alias(IDENTITY),
    )


def event_table_rules(rules: Rules, min_lines: Mapping[str, int]) -> list[TableRule]:
    """The rules for the whole table. `min_lines` maps a source to the fewest lines that it may bring."""
    return [
        at_least_rows("min_rows", rules.min_rows, "There are enough events."),
        *volume_rules(min_lines),
        at_most_duplicates(rules.max_duplicate_share, IDENTITY, "Few events come more than once."),
        at_most_share(
            rules.max_bad_date_share, "dates_in_range", IsTrue(DATES_IN_RANGE), "Nearly all times are in range."
        ),
        at_most_share(
            rules.max_unknown_kind_share,
            "known_kinds",
            OneOf(KIND, EVENT_KINDS),
            "Nearly all events are of a known kind.",
        ),
        at_most_share(
            rules.max_unknown_artwork_share,
            "known_artworks",
            IsTrue(ARTWORK_KNOWN),
            "Nearly all events are about artworks that are described by a source.",
        ),
    ]


def check_events(
    rows: pl.DataFrame,
    unmapped: pl.DataFrame,
    rules: Rules,
    day: str,
    *,
    artworks: pl.Series,
    min_lines: Mapping[str, int] | None = None,
    lines_received: Mapping[str, int] | None = None,
) -> CheckedTable:
    """Check the events of a night. The events of all sources are checked together, so that a user's events are complete.

    Parameters
    ----------
    rows : frame of SOURCE, LINE and EVENT
    unmapped : frame of QUARANTINE
    rules : section of the recipe
    day : run date
    artworks : series of the known artwork ids
    min_lines : source -> fewest lines that it may bring
    lines_received : source -> lines received, counted before mapping

    No values in the data raise an exception.
    """
    return check(
        "events",
        rows,
        event_facts(rows, artworks, day),
        unmapped,
        key=EVENT_ID,
        rules=event_rules(rules, day),
        table_rules=event_table_rules(rules, min_lines or {}),
        max_quarantine_share=rules.max_quarantine_share,
        lines_received=lines_received,
    )


def _microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
