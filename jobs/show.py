"""A person's history and recommendations side by side, as an app would read them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from artrec_core.columns import (
    ARTWORK_ID,
    CREATORS,
    DATE_TEXT,
    HISTORY,
    INTERESTS,
    KIND,
    MODEL_VERSION,
    OCCURRED_AT,
    OVERALL,
    RANK,
    REASON,
    RUN_DATE,
    SEGMENT,
    SIMULATED,
    STATUS,
    STRATEGY,
    TITLE,
    USER_ID,
    empty_frame,
)
from artrec_core.config import Recipe, load
from artrec_core.data.values import identifier
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake, day_of
from artrec_core.urls import redacted
from artrec_core.warehouse import Warehouse, open_warehouse
from artrec_core.warehouse.schema import FAILED, NOTHING_PUBLISHED, PUBLISHED
from jobs.console import make_console
from jobs.pages import PAGE
from jobs.step import ConfigOption, SetOption, run_command

LATEST_EVENTS = 12
# Of each of several people: enough to see what they are like, few enough to fit a screen.
ROWS_OF_AN_EXAMPLE = 8
SIDE_BY_SIDE_FROM = 110  # columns of the terminal
WIDTH_OF_A_LOG = 140


def command(
    config: ConfigOption,
    user: Annotated[str | None, typer.Argument(help="A user_id, as in the events.")] = None,
    date: Annotated[
        str | None, typer.Option("--date", "-d", help="A published night; the one served if left out.", metavar="DATE")
    ] = None,
    examples_wanted: Annotated[int, typer.Option("--examples", help="Show so many people instead of one.")] = 0,
    overrides: SetOption = [],  # noqa: B006
) -> None:
    """Show a person's history and recommendations, with the reasons."""
    if (user is None) == (examples_wanted < 1):
        raise ArtrecError("say whom to show, as in `artrec show visitor-7 --config FILE`, or `--examples 3`")
    recipe = load(config, overrides)
    day = None if date is None else day_of(date)
    if user is None:
        examples(recipe, examples_wanted, day)
    else:
        show(recipe, user, day)


def show(recipe: Recipe, user: str, day: str | None = None) -> None:
    """Print one person as of a published night, the one served by default; `ArtrecError` where there is none."""
    try:
        user_id = identifier(user) or user
    except ValueError as error:
        raise ArtrecError(f"the user id {error}") from None
    _print(open_night(recipe, day), [user_id], None)


def examples(recipe: Recipe, n: int = 3, day: str | None = None) -> None:
    """Print `n` people of a published night, from one with a long history down to one with none, and where to look on."""
    night = open_night(recipe, day)
    _print(night, example_people(night, n), ROWS_OF_AN_EXAMPLE)
    print()
    if night.lake.read_note(PAGE, night.day) is not None:
        print(f"report:    {night.lake.note_address(PAGE, night.day)}")
    print(f"warehouse: {redacted(recipe.store.warehouse)}")


@dataclass(frozen=True)
class PublishedNight:
    """A night in the warehouse, and the lake it came from."""

    warehouse: Warehouse
    lake: Lake
    publication: dict[str, Any]
    failed_since: str | None

    @property
    def day(self) -> str:
        """The night's date."""
        return str(self.publication[RUN_DATE])

    def recommendations(self, user: str) -> pl.DataFrame:
        """The person's rows in the default strategy, by rank."""
        return self._rows("recommendations_v1", f"{STRATEGY} = $2 AND {USER_ID} = $3", self.publication[STRATEGY], user)

    def popular(self) -> pl.DataFrame:
        """What an unknown user gets: the artworks that are popular overall."""
        return self._rows("popular_artworks_v1", f"{SEGMENT} = $2", OVERALL)

    def works(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What is shown of these works."""
        found = self._rows("artworks_v1", f"{ARTWORK_ID} = ANY($2)", sorted(set(ids)))
        return {str(row[ARTWORK_ID]): row for row in found.iter_rows(named=True)}

    def history(self, user: str) -> pl.DataFrame:
        """The person's events, latest first; none where the lake no longer has the day."""
        there = self.lake.find_manifest("histories", self.day) is not None
        frames = self.lake.iterate("histories", self.day) if there else []
        mine = [frame.filter(pl.col(USER_ID) == user) for frame in frames]
        return pl.concat([empty_frame(HISTORY), *mine]).sort(OCCURRED_AT, descending=True, maintain_order=True)

    def person(self, user: str) -> pl.DataFrame:
        """What is known of the person besides events: a row, or none."""
        return self.lake.read_or_empty("people", self.day).filter(pl.col(USER_ID) == user)

    def _rows(self, table: str, condition: str, *parameters: Any) -> pl.DataFrame:
        order = RANK if table != "artworks_v1" else ARTWORK_ID
        statement = f"SELECT * FROM artrec.{table} WHERE {RUN_DATE} = $1 AND {condition} ORDER BY {order}"
        return self.warehouse.query(statement, [self.day, *parameters])


def open_night(recipe: Recipe, day: str | None = None) -> PublishedNight:
    """The published night of that date, or the one served; `ArtrecError` that names those there are."""
    warehouse = open_warehouse(recipe.store.warehouse)
    log = warehouse.publications()
    last = log.filter(pl.col(STATUS) != FAILED).unique(RUN_DATE, keep="last", maintain_order=True)
    there = last.filter(pl.col(STATUS) == PUBLISHED).sort(RUN_DATE)
    if not there.height:
        raise ArtrecError(NOTHING_PUBLISHED.format(where=f"the warehouse of {recipe.name}"))
    wanted = there.filter(pl.col(RUN_DATE) == day) if day is not None else there.tail(1)
    if not wanted.height:
        nights = ", ".join(there.get_column(RUN_DATE).tail(5))
        raise ArtrecError(f"{day} is not published; the latest nights are {nights}")
    publication = wanted.row(0, named=True)
    attempts = log.filter(pl.col(STATUS).is_in([PUBLISHED, FAILED])).sort(RUN_DATE, maintain_order=True).tail(1)
    newest = attempts.row(0, named=True)
    failed_since = str(newest[RUN_DATE]) if day is None and newest[STATUS] == FAILED else None
    return PublishedNight(warehouse, Lake(recipe.store.lake), publication, failed_since)


def example_people(night: PublishedNight, n: int) -> list[str]:
    """`n` served people, spread over the lengths of histories, longest first; the same for the same night."""
    statement = f"SELECT DISTINCT {USER_ID} FROM artrec.recommendations_v1 WHERE {RUN_DATE} = $1 AND {STRATEGY} = $2"
    served = night.warehouse.query(statement, [night.day, night.publication[STRATEGY]])
    if not served.height:
        return []
    events = night.lake.read_or_empty("histories", night.day).group_by(USER_ID).len("events")
    ranked = (
        served.join(events, on=USER_ID, how="left")
        .sort(pl.col("events").fill_null(0), USER_ID, descending=[True, False])
        .get_column(USER_ID)
        .to_list()
    )
    steps = max(n - 1, 1)
    places = [round(place * (len(ranked) - 1) / steps) for place in range(min(n, len(ranked)))]
    return [str(ranked[place]) for place in places]


def _print(night: PublishedNight, users: Sequence[str], most: int | None) -> None:
    console = make_console(WIDTH_OF_A_LOG)
    says = f"night of {night.day}, model {night.publication[MODEL_VERSION]}, strategy {night.publication[STRATEGY]}"
    console.print(Text(says, "dim"))
    if night.failed_since is not None:
        console.print(Text(f"the night of {night.failed_since} failed; what is older is still served", "yellow"))
    for user in users:
        console.print()
        _print_person(console, night, user, most)


def _print_person(console: Console, night: PublishedNight, user: str, most: int | None) -> None:
    recommended = night.recommendations(user)
    served = recommended.height > 0
    events, person = night.history(user), night.person(user)
    known = served or events.height > 0 or person.height > 0
    rows = recommended if known else night.popular()
    rows = rows if most is None else rows.head(most)
    works = night.works([*rows.get_column(ARTWORK_ID), *events.head(LATEST_EVENTS).get_column(ARTWORK_ID).drop_nulls()])
    heading = Text(_plain(user), "bold")
    if any(frame.get_column(SIMULATED).any() for frame in (rows, events, person)):
        # What is popular may be so among simulated people, though the asker is not one.
        heading.append("  SIMULATED" if known else "  popular among SIMULATED visitors", "bold magenta")
    console.print(heading)
    for interests in person.get_column(INTERESTS).drop_nulls():
        console.print(Text(f"stated interests: {_plain(interests)}"))
    if not known:
        console.print(
            Text("nobody known by this name: this is what somebody unknown gets, the popular works", "yellow")
        )
    elif not served:
        console.print(Text("nothing left to recommend: every work that may be shown was seen", "yellow"))
    left, right = _history(events, works), _recommendations(rows, works, known)
    if not known:
        console.print(right)
    elif not served:
        console.print(left)
    elif console.width < SIDE_BY_SIDE_FROM:
        console.print(left, right)
    else:
        both = Table.grid(padding=(0, 3), expand=True)
        both.add_column(ratio=2)
        both.add_column(ratio=3)
        both.add_row(left, right)
        console.print(both)


def _history(events: pl.DataFrame, works: dict[str, dict[str, Any]]) -> Group:
    shown = min(events.height, LATEST_EVENTS)
    said = f"history: the latest {shown} of {events.height:,} events" if events.height else "history: no events"
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("when", "what", "work"):
        table.add_column(column, style="dim" if column != "work" else "", no_wrap=column != "work")
    for row in events.head(LATEST_EVENTS).iter_rows(named=True):
        when = row[OCCURRED_AT].strftime("%Y-%m-%d") if row[OCCURRED_AT] else ""
        table.add_row(Text(when), Text(_plain(row[KIND])), _work(row[ARTWORK_ID], works))
    return Group(Text(said, "underline"), table)


def _recommendations(rows: pl.DataFrame, works: dict[str, dict[str, Any]], known: bool) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("rank", style="dim", justify="right")
    table.add_column("work", ratio=1)
    if known:
        table.add_column("why", ratio=1, style="dim")
    for row in rows.iter_rows(named=True):
        why = [Text(_plain(row[REASON]))] if known else []
        table.add_row(str(row[RANK]), _work(row[ARTWORK_ID], works), *why)
    return Group(Text("recommended, and why" if known else "popular", "underline"), table)


def _work(artwork_id: str | None, works: dict[str, dict[str, Any]]) -> Text:
    """`Sunflowers, Vincent van Gogh (1888)`; a work the warehouse lacks is shown by its id."""
    work = works.get(artwork_id or "")
    if work is None:
        return Text(_plain(artwork_id), "dim")
    text = Text(_plain(work[TITLE]) or str(artwork_id))
    if work[CREATORS]:
        text.append(f", {_plain(work[CREATORS])}", "cyan")
    if work[DATE_TEXT]:
        text.append(f" ({_plain(work[DATE_TEXT])})", "dim")
    return text


def _plain(value: str | None) -> str:
    """A crawled text without the control characters that a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in value or "")


if __name__ == "__main__":
    run_command(command, "python -m jobs.show")
