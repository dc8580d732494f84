"""`prepare`: the catalogue, the histories and the people as they are known at the end of the night."""

from collections.abc import Iterator

import polars as pl

from artrec_core.columns import (
    ARTWORK,
    ARTWORK_ID,
    CATALOGUE,
    EVENT_ID,
    LAKE,
    OCCURRED_AT,
    SOURCE,
    USER_ID,
    conform,
    empty,
)
from artrec_core.errors import GateFailed
from artrec_core.lake import Part
from jobs.step import Figures, Night, Step, main

CHECKED = ("artworks_checked", "events_checked", "users_checked")
_ROWS_A_PART = 100_000


def inputs(night: Night) -> dict[str, str]:
    """Every day of the checked tables up to the night; `MissingPartition` where the night itself is missing."""
    found: dict[str, str] = {}
    for table in CHECKED:
        night.lake.manifest(table, night.day)
        for day in night.lake.days(table, night.day):
            found[f"{table}@{day}"] = night.lake.manifest(table, day).digest
    return found


def run(night: Night) -> Figures:
    """Write catalogue, histories and people; `GateFailed` where too few artworks are left to recommend from."""
    from artrec_core.data.histories import histories, people

    prepare = night.recipe.prepare
    events, events_figures = known(night, "events_checked", EVENT_ID)
    users, users_figures = known(night, "users_checked", USER_ID)
    catalogue, artworks_figures = _catalogue(night, events)
    if catalogue.height < prepare.min_artworks:
        raise GateFailed(
            f"only {catalogue.height} artworks are left to recommend from on {night.day}, prepare.min_artworks is"
            f" {prepare.min_artworks}; look at the validation report for what was thrown out"
        )
    rows, counts = histories(events, night.recipe.signals, night.day, users=users, max_history=prepare.max_history)
    everybody = people(users, _in_time(events, night.day))
    users_figures |= {"only_in_events": everybody.height - users_figures["kept"]}
    histories_figures = counts | {
        "rows_in": events_figures["rows_in"],
        "duplicates": events_figures["duplicates"] + counts["duplicates"],
    }
    written = {
        "catalogue": (catalogue, artworks_figures),
        "histories": (rows, histories_figures),
        "people": (everybody, users_figures),
    }
    parts = {table: list(_parts(night, table, frame)) for table, (frame, _) in written.items()}
    for table, (_, figures) in written.items():
        night.commit(table, {"prepare": parts[table]}, figures)
    return {table: figures for table, (_, figures) in written.items()}


def known(night: Night, table: str, key: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """The last known state of every key over all days up to the night, by key, and where the rows went.

    The newest day wins, and within a day the last row. A part that several days hold is read once, as the newest day's:
    a snapshot that is crawled every night costs as much as one night.
    """
    read: set[str] = set()
    rows_in = 0
    last = empty(LAKE[table])
    for day in reversed(night.lake.days(table, night.day)):
        parts = [part for part in night.lake.manifest(table, day).parts if part.digest not in read]
        if not parts:
            continue
        read.update(part.digest for part in parts)
        frame = night.lake.read_parts(table, day, parts)
        rows_in += frame.height
        frame = frame.unique(key, keep="last", maintain_order=True)
        last = pl.concat([last, frame.join(last, on=key, how="anti")])
    kept = last.sort(key)
    return kept, {"rows_in": rows_in, "kept": kept.height, "duplicates": rows_in - kept.height}


def _catalogue(night: Night, events: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """CATALOGUE by artwork id; works that only events know get a bare row where the recipe keeps them."""
    from artrec_core.data.artwork import with_content_hash
    from artrec_core.data.documents import with_documents

    artworks, figures = known(night, "artworks_checked", ARTWORK_ID)
    if night.recipe.rules.unknown_artworks == "keep":
        met = _in_time(events, night.day).select(ARTWORK_ID).drop_nulls().unique()
        bare = met.join(artworks, on=ARTWORK_ID, how="anti").with_columns(
            pl.col(ARTWORK_ID).str.split(":").list.first().alias(SOURCE)
        )
        artworks = pl.concat([artworks, with_content_hash(conform(bare, ARTWORK))]).sort(ARTWORK_ID)
        figures |= {"bare": bare.height}
    catalogue = with_documents(artworks, night.recipe.prepare.max_description_words)
    return conform(catalogue, CATALOGUE), figures


def _in_time(events: pl.DataFrame, day: str) -> pl.DataFrame:
    from artrec_core.data.events import end_of

    return events.filter(pl.col(OCCURRED_AT) < end_of(day))


def _parts(night: Night, table: str, frame: pl.DataFrame) -> Iterator[Part]:
    for rows in frame.iter_slices(_ROWS_A_PART):
        yield night.lake.write_part(table, night.day, rows)


STEP = Step(
    name="prepare",
    help="Make the catalogue, the histories and the people as known at the end of the night.",
    outputs=("catalogue", "histories", "people"),
    inputs=inputs,
    settings=lambda recipe: [recipe.prepare, recipe.signals, recipe.rules.unknown_artworks],
    run=run,
)

if __name__ == "__main__":
    main(STEP)
