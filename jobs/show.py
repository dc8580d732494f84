"""`artrec show`: a user's history and recommendations side by side, as an app reads them."""

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
from artrec_core.lake import Lake, parse_day
from artrec_core.urls import redact
from artrec_core.warehouse import Warehouse, open_warehouse
from artrec_core.warehouse.schema import FAILED, NOTHING_PUBLISHED, PUBLISHED
from jobs.console import make_console
from jobs.pages import PAGE
from jobs.step import ConfigOption, SetOption, run_command

LATEST_EVENTS = 12
# Rows for each of several users: enough to see their taste, few enough for one screen.
ROWS_PER_EXAMPLE = 8
# The tables are printed side by side if the terminal has at least so many columns.
MIN_WIDTH_SIDE_BY_SIDE = 110
LOG_WIDTH = 140


def command(
    config: ConfigOption,
    user: Annotated[str | None, typer.Argument(help="A user_id, as in the events.")] = None,
    date: Annotated[
        str | None,
        typer.Option("--date", "-d", help="A published night; without it, the night that is served.", metavar="DATE"),
    ] = None,
    example_count: Annotated[
        int, typer.Option("--examples", help="Show this many users instead of one.", metavar="N")
    ] = 0,
    overrides: SetOption = [],  # noqa: B006
) -> None:
    """Show a user's history and recommendations, with the reasons."""
    if (user is None) == (example_count < 1):
        raise ArtrecError("say whom to show, as in `artrec show visitor-7 --config FILE`, or `--examples 3`")
    recipe = load(config, overrides)
    day = None if date is None else parse_day(date)
    if user is None:
        show_examples(recipe, example_count, day)
    else:
        show(recipe, user, day)


def show(recipe: Recipe, user: str, day: str | None = None) -> None:
    """Print one user as of a published night.

    Parameters
    ----------
    recipe
        Names the warehouse and the lake.
    user
        A user id, as in the events.
    day
        The run date; None for the night that is served.

    Raises
    ------
    ArtrecError
        If the night is not published, or the text is no user id.
    """
    try:
        user_id = identifier(user) or user
    except ValueError as error:
        raise ArtrecError(f"the user id {error}") from None
    _print(open_night(recipe, day), [user_id], None)


def show_examples(recipe: Recipe, count: int = 3, day: str | None = None) -> None:
    """Print users of a published night, then the addresses of its report and of the warehouse.

    Parameters
    ----------
    recipe
        Names the warehouse and the lake.
    count
        Number of users; they are chosen from a long history to none.
    day
        The run date; None for the night that is served.
    """
    night = open_night(recipe, day)
    _print(night, example_users(night, count), ROWS_PER_EXAMPLE)
    print()
    if night.lake.read_note(PAGE, night.day) is not None:
        print(f"report:    {night.lake.note_address(PAGE, night.day)}")
    print(f"warehouse: {redact(recipe.store.warehouse)}")


@dataclass(frozen=True)
class PublishedNight:
    """A night in the warehouse, and the lake that it was made from.

    Attributes
    ----------
    warehouse : where the night is published
    lake : where the night's histories and users are
    publication : the night's row of PUBLICATION
    failed_since : a later night that could not be published, if there is one and the served night was asked for
    """

    warehouse: Warehouse
    lake: Lake
    publication: dict[str, Any]
    failed_since: str | None

    @property
    def day(self) -> str:
        """The night's date."""
        return str(self.publication[RUN_DATE])

    def recommendations(self, user: str) -> pl.DataFrame:
        """The user's rows in the default strategy, by rank."""
        return self._rows("recommendations_v1", f"{STRATEGY} = $2 AND {USER_ID} = $3", self.publication[STRATEGY], user)

    def popular(self) -> pl.DataFrame:
        """What an unknown user gets: the artworks that are popular overall."""
        return self._rows("popular_artworks_v1", f"{SEGMENT} = $2", OVERALL)

    def artworks(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The published rows of these artworks, by artwork id."""
        rows = self._rows("artworks_v1", f"{ARTWORK_ID} = ANY($2)", sorted(set(ids)))
        return {str(row[ARTWORK_ID]): row for row in rows.iter_rows(named=True)}

    def history(self, user: str) -> pl.DataFrame:
        """The user's events, latest first; empty if the lake no longer has the night."""
        in_lake = self.lake.find_manifest("histories", self.day) is not None
        frames = self.lake.iterate("histories", self.day) if in_lake else []
        events = [frame.filter(pl.col(USER_ID) == user) for frame in frames]
        return pl.concat([empty_frame(HISTORY), *events]).sort(OCCURRED_AT, descending=True, maintain_order=True)

    def user_record(self, user: str) -> pl.DataFrame:
        """The user's row in the lake table `people`; empty if there is none."""
        return self.lake.read_or_empty("people", self.day).filter(pl.col(USER_ID) == user)

    def _rows(self, table: str, condition: str, *parameters: Any) -> pl.DataFrame:
        order = RANK if table != "artworks_v1" else ARTWORK_ID
        statement = f"SELECT * FROM artrec.{table} WHERE {RUN_DATE} = $1 AND {condition} ORDER BY {order}"
        return self.warehouse.query(statement, [self.day, *parameters])


def open_night(recipe: Recipe, day: str | None = None) -> PublishedNight:
    """The published night of a date, by default the night that is served.

    Raises
    ------
    ArtrecError
        If the night is not published; the message names the latest nights that are.
    """
    warehouse = open_warehouse(recipe.store.warehouse)
    publications = warehouse.publications()
    last_states = publications.filter(pl.col(STATUS) != FAILED).unique(RUN_DATE, keep="last", maintain_order=True)
    published_nights = last_states.filter(pl.col(STATUS) == PUBLISHED).sort(RUN_DATE)
    if not published_nights.height:
        raise ArtrecError(NOTHING_PUBLISHED.format(where=f"the warehouse of {recipe.name}"))
    matches = published_nights.filter(pl.col(RUN_DATE) == day) if day is not None else published_nights.tail(1)
    if not matches.height:
        nights = ", ".join(published_nights.get_column(RUN_DATE).tail(5))
        raise ArtrecError(f"{day} is not published; the latest nights are {nights}")
    publication = matches.row(0, named=True)
    attempts = publications.filter(pl.col(STATUS).is_in([PUBLISHED, FAILED])).sort(RUN_DATE, maintain_order=True)
    latest_attempt = attempts.row(-1, named=True)
    failed_since = str(latest_attempt[RUN_DATE]) if day is None and latest_attempt[STATUS] == FAILED else None
    return PublishedNight(warehouse, Lake(recipe.store.lake), publication, failed_since)


def example_users(night: PublishedNight, count: int) -> list[str]:
    """`count` users with recommendations, evenly spread over history lengths, longest first; deterministic."""
    statement = f"SELECT DISTINCT {USER_ID} FROM artrec.recommendations_v1 WHERE {RUN_DATE} = $1 AND {STRATEGY} = $2"
    users = night.warehouse.query(statement, [night.day, night.publication[STRATEGY]])
    if not users.height:
        return []
    event_counts = night.lake.read_or_empty("histories", night.day).group_by(USER_ID).len("events")
    by_history_length = (
        users.join(event_counts, on=USER_ID, how="left")
        .sort(pl.col("events").fill_null(0), USER_ID, descending=[True, False])
        .get_column(USER_ID)
        .to_list()
    )
    intervals = max(count - 1, 1)
    last = len(by_history_length) - 1
    positions = [round(example * last / intervals) for example in range(min(count, len(by_history_length)))]
    return [str(by_history_length[position]) for position in positions]


def _print(night: PublishedNight, users: Sequence[str], max_rows: int | None) -> None:
    console = make_console(LOG_WIDTH)
    title = f"night of {night.day}, model {night.publication[MODEL_VERSION]}, strategy {night.publication[STRATEGY]}"
    console.print(Text(title, "dim"))
    if night.failed_since is not None:
        warning = f"the night of {night.failed_since} failed; an older night is still served"
        console.print(Text(warning, "yellow"))
    for user in users:
        console.print()
        _print_user(console, night, user, max_rows)


def _print_user(console: Console, night: PublishedNight, user: str, max_rows: int | None) -> None:
    recommendations = night.recommendations(user)
    has_recommendations = recommendations.height > 0
    events, record = night.history(user), night.user_record(user)
    is_known = has_recommendations or events.height > 0 or record.height > 0
    rows = recommendations if is_known else night.popular()
    rows = rows if max_rows is None else rows.head(max_rows)
    latest_events = events.head(LATEST_EVENTS)
    artworks = night.artworks([*rows.get_column(ARTWORK_ID), *latest_events.get_column(ARTWORK_ID).drop_nulls()])
    heading = Text(_printable(user), "bold")
    if any(frame.get_column(SIMULATED).any() for frame in (rows, events, record)):
        # The user who asks may be real even if the artworks are popular among simulated users.
        heading.append("  SIMULATED" if is_known else "  popular among SIMULATED users", "bold magenta")
    console.print(heading)
    for interests in record.get_column(INTERESTS).drop_nulls():
        console.print(Text(f"stated interests: {_printable(interests)}"))
    if not is_known:
        console.print(Text("no user has this id; an unknown user gets the popular artworks", "yellow"))
    elif not has_recommendations:
        console.print(Text("nothing left to recommend: the user has seen every artwork that may be shown", "yellow"))
    history_table = _history_table(events, artworks)
    recommendation_table = _recommendation_table(rows, artworks, is_known)
    if not is_known:
        console.print(recommendation_table)
    elif not has_recommendations:
        console.print(history_table)
    elif console.width < MIN_WIDTH_SIDE_BY_SIDE:
        console.print(history_table, recommendation_table)
    else:
        side_by_side = Table.grid(padding=(0, 3), expand=True)
        side_by_side.add_column(ratio=2)
        side_by_side.add_column(ratio=3)
        side_by_side.add_row(history_table, recommendation_table)
        console.print(side_by_side)


def _history_table(events: pl.DataFrame, artworks: dict[str, dict[str, Any]]) -> Group:
    latest = events.head(LATEST_EVENTS)
    title = (
        f"history: the latest {latest.height} of {events.height:,} events" if events.height else "history: no events"
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("when", "kind", "artwork"):
        table.add_column(column, style="dim" if column != "artwork" else "", no_wrap=column != "artwork")
    for row in latest.iter_rows(named=True):
        when = row[OCCURRED_AT].strftime("%Y-%m-%d") if row[OCCURRED_AT] else ""
        table.add_row(Text(when), Text(_printable(row[KIND])), _artwork_text(row[ARTWORK_ID], artworks))
    return Group(Text(title, "underline"), table)


def _recommendation_table(rows: pl.DataFrame, artworks: dict[str, dict[str, Any]], is_known: bool) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("rank", style="dim", justify="right")
    table.add_column("artwork", ratio=1)
    if is_known:
        table.add_column("reason", ratio=1, style="dim")
    for row in rows.iter_rows(named=True):
        reasons = [Text(_printable(row[REASON]))] if is_known else []
        table.add_row(str(row[RANK]), _artwork_text(row[ARTWORK_ID], artworks), *reasons)
    return Group(Text("recommended, and why" if is_known else "popular", "underline"), table)


def _artwork_text(artwork_id: str | None, artworks: dict[str, dict[str, Any]]) -> Text:
    """`Sunflowers, Vincent van Gogh (1888)`; an artwork that is not in the warehouse is shown by its id."""
    artwork = artworks.get(artwork_id or "")
    if artwork is None:
        return Text(_printable(artwork_id), "dim")
    text = Text(_printable(artwork[TITLE]) or str(artwork_id))
    if artwork[CREATORS]:
        text.append(f", {_printable(artwork[CREATORS])}", "cyan")
    if artwork[DATE_TEXT]:
        text.append(f" ({_printable(artwork[DATE_TEXT])})", "dim")
    return text


def _printable(value: str | None) -> str:
    """A crawled text with a blank in place of each control character, which a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in value or "")


if __name__ == "__main__":
    run_command(command, "python -m jobs.show")
