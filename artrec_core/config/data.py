"""Sources of artworks, events and users; the gates' limits; what an event counts as."""

from typing import Literal

from pydantic import Field, model_validator

from artrec_core.config.sections import Name, Section, Share


class Source(Section):
    """A museum's crawled records: one raw JSON record a line (gzip where the name ends in .gz)."""

    name: Name
    kind: Literal["demo", "tate", "carnegie", "walters", "jsonl"]
    path: str | None = Field(None, description="file of records; `{date}` in it is replaced by the night")
    required: bool = Field(True, description="whether the night stops when the file is not there")
    museum: str | None = Field(None, description="name of the holding museum, where the records do not say")
    licence: str | None = Field(None, description="licence of the metadata, where the records do not say")
    limit: int | None = Field(None, ge=1, description="read only the first so many lines")
    fields: dict[str, str] = Field(
        {},
        description="jsonl only: our column = dotted path in the record; `creators` takes names, lists are joined or kept as the column needs",
    )

    @model_validator(mode="after")
    def _whole(self) -> "Source":
        if self.kind != "demo" and not self.path:
            raise ValueError(f"source {self.name!r} of kind {self.kind!r} needs a `path`")
        if self.kind == "jsonl" and not {"artwork_id", "title"} <= self.fields.keys():
            raise ValueError(f"source {self.name!r}: `fields` must map at least artwork_id and title")
        return self


class EventSource(Section):
    """People's events: a Parquet, CSV or JSONL file, a file of sequences, or the simulator."""

    name: Name
    kind: Literal["file", "sequences", "simulated"]
    path: str | None = Field(None, description="file of events; `{date}` in it is replaced by the night")
    required: bool = True
    fields: dict[str, str] = Field({}, description="file only: our column = their column, where the names differ")
    artwork_source: str | None = Field(None, description="put `<artwork_source>:` before every artwork id of the file")
    event_kind: str = Field("like", description="sequences only: the kind every event gets")
    separator: str = Field("\t", description="sequences only: what stands between the person and the works")
    users: int = Field(2000, ge=1, description="simulated only")
    events: int = Field(60000, ge=1, description="simulated only: about so many")
    days: int = Field(90, ge=1, description="simulated only: the length of the simulated time")
    ends: str = Field("2026-03-31", description="the last day of simulated or sequence time")
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> "EventSource":
        if self.kind != "simulated" and not self.path:
            raise ValueError(f"events {self.name!r} of kind {self.kind!r} need a `path`")
        return self


class UserSource(Section):
    """What people said of themselves: a Parquet, CSV or JSONL file. Optional."""

    name: Name
    path: str
    required: bool = True
    fields: dict[str, str] = Field({}, description="our column = their column, where the names differ")


class Rules(Section):
    """The gates: which rules hold for this data, and the limits of the table rules."""

    art: bool = Field(True, description="rules that only make sense for art: licence, years, life dates")
    open_licences: list[str] = Field(
        ["CC0", "CC BY", "CC BY-SA", "public domain", "facts", "GFDL"],
        description="licences that may be shown, in any case",
    )
    min_rows: int = Field(10, ge=0, description="fewest artworks, and fewest events, of a night")
    max_volume_drop: Share = Field(0.5, description="largest drop of a source's rows against its previous day")
    max_null_share: dict[str, Share] = Field(
        {"title": 0.05}, description="largest share of nulls a column of the artworks may have"
    )
    max_quarantine_share: Share = Field(0.2, description="largest share of a table's rows in quarantine")
    max_duplicate_share: Share = 0.2
    max_unknown_artwork_share: Share = Field(
        0.05, description="largest share of events whose artwork the catalogue does not know"
    )
    max_bad_date_share: Share = Field(0.1, description="largest share of dated rows whose dates are out of range")
    max_unknown_kind_share: Share = Field(0.1, description="largest share of events of a kind we do not know")
    min_year: int = Field(-100_000, description="works older than this are taken for slips of the pen")
    max_events_per_user_day: int = Field(
        1000, ge=1, description="a person with more events in a day is taken for a bot; all its events are quarantined"
    )
    unknown_artworks: Literal["quarantine", "keep"] = Field(
        "quarantine",
        description="events whose artwork no source describes: quarantined, or kept with a bare catalogue row",
    )


class Signals(Section):
    """What an event counts as."""

    positive: list[str] = Field(["like", "favourite", "purchase"], description="kinds of events that are positive")
    negative: list[str] = Field(["dismiss"], description="kinds of events that are negative")
    unseen: list[str] = Field(["impression", "search"], description="kinds that do not make a work seen")
    rating_positive_from: float = 4.0
    rating_negative_to: float = 2.0
    long_view_seconds: float | None = Field(30.0, description="a view this long is positive; null: never")


class Prepare(Section):
    """How the catalogue and the documents are made."""

    min_artworks: int = Field(10, ge=1, description="fewest artworks to recommend from")
    max_description_words: int = Field(60, ge=0)
    max_history: int = Field(
        10_000, ge=1, description="latest events a person that are kept; works known from earlier ones may come again"
    )
