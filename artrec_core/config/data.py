"""Sources of artworks, events and users; the limits of validation; what an event counts as."""

from typing import Literal

from pydantic import Field, model_validator

from artrec_core.config.sections import Name, Section, Share


class Source(Section):
    """A museum's records: a JSONL file with one record per line, compressed with gzip if the name ends in `.gz`."""

    name: Name = Field(description="Name of the source. It stands before every artwork id, as in `tate:123`.")
    kind: Literal["demo", "tate", "carnegie", "walters", "jsonl"] = Field(
        description="Format of the records. `jsonl` reads any catalogue with the mapping in `fields`."
    )
    path: str | None = Field(
        None, description="File of records. `{date}` is replaced by the run date. Needed for every kind but `demo`."
    )
    required: bool = Field(True, description="Whether the night stops if the file does not exist.")
    museum: str | None = Field(None, description="Name of the holding museum, for records that do not name it.")
    licence: str | None = Field(None, description="Licence of the metadata, for records that do not state it.")
    limit: int | None = Field(None, ge=1, description="Number of lines to read, from the start; not set: all.")
    fields: dict[str, str] = Field(
        {},
        description="Only for `jsonl`: our column = dotted path in the record. Lists are joined where the column holds text.",
    )

    @model_validator(mode="after")
    def _check(self) -> "Source":
        if self.kind != "demo" and not self.path:
            raise ValueError(f"source {self.name!r} of kind {self.kind!r} needs a `path`")
        if self.kind == "jsonl" and not {"artwork_id", "title"} <= self.fields.keys():
            raise ValueError(f"source {self.name!r}: `fields` must map at least artwork_id and title")
        return self


class EventSource(Section):
    """User events: a Parquet, CSV or JSONL file, a file of sequences, or simulated users."""

    name: Name = Field(description="Name of the source.")
    kind: Literal["file", "sequences", "simulated"] = Field(
        description="`file`: one event per row; `sequences`: one user per line; `simulated`: users who do not exist."
    )
    path: str | None = Field(
        None, description="File of events. `{date}` is replaced by the run date. Needed unless `simulated`."
    )
    required: bool = Field(True, description="Whether the night stops if the file does not exist.")
    fields: dict[str, str] = Field({}, description="Only for `file`: our column = column of the file, if they differ.")
    artwork_source: str | None = Field(
        None, description="Source of the artworks: `<artwork_source>:` is put before every artwork id."
    )
    event_kind: str = Field("like", description="Only for `sequences`: the kind of all events.")
    separator: str = Field("\t", description="Only for `sequences`: the text between the user and the artworks.")
    users: int = Field(2000, ge=1, description="Only for `simulated`: number of users.")
    events: int = Field(60000, ge=1, description="Only for `simulated`: approximate number of events.")
    days: int = Field(90, ge=1, description="Only for `simulated`: length of the simulated period, in days.")
    ends: str = Field("2026-03-31", description="Last day of the events of `simulated` and `sequences`, YYYY-MM-DD.")
    seed: int = Field(0, description="Only for `simulated`: random seed.")

    @model_validator(mode="after")
    def _check(self) -> "EventSource":
        if not is_simulated(self) and not self.path:
            raise ValueError(f"events {self.name!r} of kind {self.kind!r} need a `path`")
        return self


class UserSource(Section):
    """Users' stated interests, locale and consent: a Parquet, CSV or JSONL file."""

    name: Name = Field(description="Name of the source.")
    path: str = Field(description="File of users. `{date}` is replaced by the run date.")
    required: bool = Field(True, description="Whether the night stops if the file does not exist.")
    fields: dict[str, str] = Field({}, description="Our column = column of the file, if they differ.")


AnySource = Source | EventSource | UserSource


def is_simulated(source: AnySource) -> bool:
    """Whether the source simulates users and their events."""
    return isinstance(source, EventSource) and source.kind == "simulated"


class Rules(Section):
    """Validation: which rules apply, and the limits of the rules for whole tables."""

    art: bool = Field(True, description="Apply the rules that hold only for art: licences, years and life dates.")
    open_licences: list[str] = Field(
        ["CC0", "CC BY", "CC BY-SA", "public domain", "facts", "GFDL"],
        description="Licences that allow an artwork to be shown. Upper and lower case are the same.",
    )
    min_rows: int = Field(10, ge=0, description="Minimum number of artworks, and of events, in a night.")
    max_volume_drop: Share = Field(
        0.5, description="Maximum drop in the number of rows of a source, as a share of its previous day."
    )
    max_null_share: dict[str, Share] = Field(
        {"title": 0.05}, description="Maximum share of nulls in a column of the artworks: column = share."
    )
    max_quarantine_share: Share = Field(0.2, description="Maximum share of a table's rows in quarantine.")
    max_duplicate_share: Share = Field(0.2, description="Maximum share of a table's rows that are duplicates.")
    max_unknown_artwork_share: Share = Field(
        0.05, description="Maximum share of events with an artwork that is not in the catalogue."
    )
    max_bad_date_share: Share = Field(0.1, description="Maximum share of dated rows with a date out of range.")
    max_unknown_kind_share: Share = Field(0.1, description="Maximum share of events of an unknown kind.")
    min_year: int = Field(-100_000, description="Earliest year of making; an earlier year is taken as an error.")
    max_events_per_user_day: int = Field(
        1000,
        ge=1,
        description="Maximum number of events of a user in a day. A user with more is taken as a bot: all its events go to quarantine.",
    )
    unknown_artworks: Literal["quarantine", "keep"] = Field(
        "quarantine",
        description="What happens to events whose artwork no source describes. `keep` adds a catalogue row with the id only.",
    )


class Signals(Section):
    """Which events are positive, which are negative, and which make an artwork seen."""

    positive: list[str] = Field(["like", "favourite", "purchase"], description="Kinds of events that are positive.")
    negative: list[str] = Field(["dismiss"], description="Kinds of events that are negative.")
    unseen: list[str] = Field(["impression", "search"], description="Kinds of events that do not make an artwork seen.")
    rating_positive_from: float = Field(4.0, description="Lowest rating that is positive.")
    rating_negative_to: float = Field(2.0, description="Highest rating that is negative.")
    long_view_seconds: float | None = Field(30.0, description="Shortest view that is positive, in seconds.")


class Prepare(Section):
    """The catalogue and its text documents."""

    min_artworks: int = Field(10, ge=1, description="Minimum number of artworks to recommend from.")
    max_description_words: int = Field(60, ge=0, description="Maximum number of words of a description in a document.")
    max_history: int = Field(
        10_000,
        ge=1,
        description="Maximum number of events per user; the latest are kept. Artworks of dropped events may be recommended again.",
    )
