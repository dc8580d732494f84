"""`prepare`: the catalogue, the histories and the users as they are known at the end of the night."""

from collections.abc import Collection, Iterator, Sequence

import polars as pl

from artrec_core.columns import (
    ARTWORK,
    ARTWORK_ID,
    CATALOGUE,
    CONSENT,
    CONSENTS,
    EVENT_ID,
    LAKE,
    OCCURRED_AT,
    SOURCE,
    USER,
    USER_ID,
    conform,
    empty_frame,
)
from artrec_core.errors import GateFailed
from artrec_core.lake import Part
from jobs.step import Figures, Night, Step, main

CHECKED = ("artworks_checked", "events_checked", "users_checked", "consents")
_ROWS_A_PART = 100_000
# The night that a row was read from.
_AS_OF = "as_of"


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
    from artrec_core.data.histories import build_histories
    from artrec_core.data.people import merge_users, refusing_users

    prepare = night.recipe.prepare
    events, events_figures = known(night, "events_checked", EVENT_ID)
    users, users_figures = _users(night)
    consents = _consents(night)
    catalogue, artworks_figures = _catalogue(night, events)
    if catalogue.height < prepare.min_artworks:
        raise GateFailed(
            f"only {catalogue.height} artworks are left to recommend from on {night.day}, prepare.min_artworks is"
            f" {prepare.min_artworks}; look at the validation report for what was thrown out"
        )
    rows, counts = build_histories(
        events,
        night.recipe.signals,
        night.day,
        refusing_users=refusing_users(consents),
        max_history=prepare.max_history,
    )
    everybody = merge_users(users, consents, _in_time(events, night.day))
    users_figures |= {"without_record": everybody.height - users_figures["kept"]}
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
    """The last known state of every key over all days up to the night, by key, and where the rows went."""
    states, rows_in = _last_states(night, table, [key])
    kept = conform(states.sort(key), LAKE[table])
    return kept, {"rows_in": rows_in, "kept": kept.height, "duplicates": rows_in - kept.height}


def _users(night: Night) -> tuple[pl.DataFrame, dict[str, int]]:
    """SOURCE + USER of what each source last said of a user, the newest last, and where the rows went."""
    states, rows_in = _last_states(night, "users_checked", [SOURCE, USER_ID])
    users = states.sort(_AS_OF, SOURCE, USER_ID).select(SOURCE, *USER)
    kept = users[USER_ID].n_unique()
    return users, {"rows_in": rows_in, "kept": kept, "duplicates": rows_in - kept}


def _consents(night: Night) -> pl.DataFrame:
    """CONSENTS: each source's last answer for a user, over all days up to the night."""
    answers, _ = _last_states(night, "consents", [SOURCE, USER_ID])
    # Nights of an earlier version of artrec have no such table.
    committed = set(night.lake.days("consents", night.day))
    earlier, _ = _last_states(
        night, "users_checked", [SOURCE, USER_ID], only=pl.col(CONSENT).is_not_null(), without=committed
    )
    every = pl.concat([conform(frame, {**CONSENTS, _AS_OF: pl.String()}) for frame in (earlier, answers)])
    return every.sort(_AS_OF).unique([SOURCE, USER_ID], keep="last").select(*CONSENTS)


def _last_states(
    night: Night, table: str, keys: Sequence[str], *, only: pl.Expr | None = None, without: Collection[str] = ()
) -> tuple[pl.DataFrame, int]:
    """The last row of every key over all days up to the night, and how many rows were read.

    The newest day wins, and within a day the last row. Beside the table's columns stand _AS_OF, the day of a row, and
    SOURCE, its writer. A part that several days hold is read once, as the newest day's: a snapshot that is crawled every
    night costs as much as one night. `only` says which rows count, `without` names days to leave out.
    """
    read: set[tuple[str, str]] = set()
    rows_in = 0
    schema = {**LAKE[table], SOURCE: pl.String(), _AS_OF: pl.String()}
    last = empty_frame(schema)
    for day in reversed(night.lake.days(table, night.day)):
        if day in without:
            continue
        frames = [empty_frame(schema)]
        for writer, parts in sorted(night.lake.manifest(table, day).writers.items()):
            unread = [part for part in parts if (writer, part.digest) not in read]
            read.update((writer, part.digest) for part in unread)
            rows = night.lake.read_parts(table, day, unread).with_columns(pl.lit(day).alias(_AS_OF))
            frames.append(rows if SOURCE in rows.columns else rows.with_columns(pl.lit(writer).alias(SOURCE)))
        frame = pl.concat(frames, how="diagonal")
        rows_in += frame.height
        frame = frame if only is None else frame.filter(only)
        frame = frame.unique(keys, keep="last", maintain_order=True)
        last = pl.concat([last, frame.join(last, on=keys, how="anti")])
    return last, rows_in


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
    from artrec_core.data.events import end_of_day

    return events.filter(pl.col(OCCURRED_AT) < end_of_day(day))


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
