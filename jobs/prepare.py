"""`prepare`: write the catalogue, the histories and the users as they are known at the end of the night."""

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
from artrec_core.data.artwork import with_content_hash
from artrec_core.data.documents import with_documents
from artrec_core.data.people import merge_users, refusing_users
from artrec_core.errors import GateFailed
from artrec_core.lake import Part
from jobs.step import Figures, Night, Step, main

CHECKED = ("artworks_checked", "events_checked", "users_checked", "consents")
_ROWS_PER_PART = 100_000
# Column with the day that a row was read from.
_AS_OF = "as_of"

# Modules that import SciPy (0.4 s) are imported where they are used: `artrec --help` does not need it.


def inputs(night: Night) -> dict[str, str]:
    """Digests of every day of the checked tables up to the night; `MissingPartition` if the night itself is missing."""
    digests: dict[str, str] = {}
    for table in CHECKED:
        night.lake.manifest(table, night.day)
        for day in night.lake.days(table, night.day):
            digests[f"{table}@{day}"] = night.lake.manifest(table, day).digest
    return digests


def run(night: Night) -> Figures:
    """Write the catalogue, the histories and the table `people` of users; `GateFailed` if too few artworks are left."""
    from artrec_core.data.histories import build_histories

    prepare = night.recipe.prepare
    events, event_figures = last_states(night, "events_checked", EVENT_ID)
    user_states, user_figures = _user_states(night)
    consents = _consents(night)
    catalogue, catalogue_figures = _catalogue(night, events)
    if catalogue.height < prepare.min_artworks:
        raise GateFailed(
            f"only {catalogue.height} artworks are left to recommend from on {night.day}, prepare.min_artworks is"
            f" {prepare.min_artworks}; the validation report shows which rows went to quarantine and why"
        )
    histories, counts = build_histories(
        events,
        night.recipe.signals,
        night.day,
        refusing_users=refusing_users(consents),
        max_history=prepare.max_history,
    )
    users = merge_users(user_states, consents, _until_end_of_day(events, night.day))
    user_figures |= {"without_record": users.height - user_figures["kept"]}
    history_figures = counts | {
        "rows_in": event_figures["rows_in"],
        "duplicates": event_figures["duplicates"] + counts["duplicates"],
    }
    tables = {
        "catalogue": (catalogue, catalogue_figures),
        "histories": (histories, history_figures),
        "people": (users, user_figures),
    }
    parts = {table: list(_write_parts(night, table, frame)) for table, (frame, _) in tables.items()}
    for table, (_, figures) in tables.items():
        night.commit(table, {"prepare": parts[table]}, figures)
    return {table: figures for table, (_, figures) in tables.items()}


def last_states(night: Night, table: str, key: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """The last row of each key over all days up to the night.

    Parameters
    ----------
    night
        The night up to which days are read.
    table
        A checked table of the lake.
    key
        The column that identifies a row.

    Returns
    -------
    rows : pl.DataFrame
        The table's columns, one row for each key, sorted by key.
    figures : dict of str to int
        `rows_in`, the rows that were read, and how many of them were `kept` and were `duplicates`.
    """
    states, rows_in = _last_rows(night, table, [key])
    rows = conform(states.sort(key), LAKE[table])
    return rows, {"rows_in": rows_in, "kept": rows.height, "duplicates": rows_in - rows.height}


def _user_states(night: Night) -> tuple[pl.DataFrame, dict[str, int]]:
    """SOURCE + USER, the last row of each source for each user with the newest last, and figures as of `last_states`."""
    states, rows_in = _last_rows(night, "users_checked", [SOURCE, USER_ID])
    users = states.sort(_AS_OF, SOURCE, USER_ID).select(SOURCE, *USER)
    user_count = users[USER_ID].n_unique()
    return users, {"rows_in": rows_in, "kept": user_count, "duplicates": rows_in - user_count}


def _consents(night: Night) -> pl.DataFrame:
    """CONSENTS: the last answer of each source for each user, over all days up to the night."""
    answers, _ = _last_rows(night, "consents", [SOURCE, USER_ID])
    # An earlier version of artrec wrote no table `consents`: the answers of its days are in `users_checked`.
    days_with_consents = set(night.lake.days("consents", night.day))
    earlier_answers, _ = _last_rows(
        night,
        "users_checked",
        [SOURCE, USER_ID],
        condition=pl.col(CONSENT).is_not_null(),
        skipped_days=days_with_consents,
    )
    schema = {**CONSENTS, _AS_OF: pl.String()}
    all_answers = pl.concat([conform(frame, schema) for frame in (earlier_answers, answers)])
    return all_answers.sort(_AS_OF).unique([SOURCE, USER_ID], keep="last").select(*CONSENTS)


def _last_rows(
    night: Night,
    table: str,
    keys: Sequence[str],
    *,
    condition: pl.Expr | None = None,
    skipped_days: Collection[str] = (),
) -> tuple[pl.DataFrame, int]:
    """The last row of each key over all days up to the night, and how many rows were read.

    The newest day wins, and within a day the last row. Two columns are added: _AS_OF, the day of the row, and SOURCE, its
    writer, where the table does not have it. If several days hold the same part, it is read once, as part of the newest
    day. So a snapshot that is crawled every night costs as much as one night.

    Parameters
    ----------
    night
        The night up to which days are read.
    table
        A table of the lake.
    keys
        The columns that together identify a row.
    condition
        Rows that do not fulfil it are ignored.
    skipped_days
        Days that are not read.
    """
    read_parts: set[tuple[str, str]] = set()
    rows_in = 0
    schema = {**LAKE[table], SOURCE: pl.String(), _AS_OF: pl.String()}
    last_rows = empty_frame(schema)
    for day in reversed(night.lake.days(table, night.day)):
        if day in skipped_days:
            continue
        frames = [empty_frame(schema)]
        for writer, parts in sorted(night.lake.manifest(table, day).writers.items()):
            new_parts = [part for part in parts if (writer, part.digest) not in read_parts]
            read_parts.update((writer, part.digest) for part in new_parts)
            rows = night.lake.read_parts(table, day, new_parts).with_columns(pl.lit(day).alias(_AS_OF))
            frames.append(rows if SOURCE in rows.columns else rows.with_columns(pl.lit(writer).alias(SOURCE)))
        frame = pl.concat(frames, how="diagonal")
        rows_in += frame.height
        frame = frame if condition is None else frame.filter(condition)
        frame = frame.unique(keys, keep="last", maintain_order=True)
        last_rows = pl.concat([last_rows, frame.join(last_rows, on=keys, how="anti")])
    return last_rows, rows_in


def _catalogue(night: Night, events: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """CATALOGUE by artwork id, and its figures.

    With `rules.unknown_artworks` = "keep", an artwork that is known only from events gets a row with its id and source.
    """
    artworks, figures = last_states(night, "artworks_checked", ARTWORK_ID)
    if night.recipe.rules.unknown_artworks == "keep":
        event_artworks = _until_end_of_day(events, night.day).select(ARTWORK_ID).drop_nulls().unique()
        id_only = event_artworks.join(artworks, on=ARTWORK_ID, how="anti").with_columns(
            pl.col(ARTWORK_ID).str.split(":").list.first().alias(SOURCE)
        )
        artworks = pl.concat([artworks, with_content_hash(conform(id_only, ARTWORK))]).sort(ARTWORK_ID)
        figures |= {"bare": id_only.height}
    catalogue = with_documents(artworks, night.recipe.prepare.max_description_words)
    return conform(catalogue, CATALOGUE), figures


def _until_end_of_day(events: pl.DataFrame, day: str) -> pl.DataFrame:
    from artrec_core.data.events import end_of_day

    return events.filter(pl.col(OCCURRED_AT) < end_of_day(day))


def _write_parts(night: Night, table: str, frame: pl.DataFrame) -> Iterator[Part]:
    for rows in frame.iter_slices(_ROWS_PER_PART):
        yield night.lake.write_part(table, night.day, rows)


STEP = Step(
    name="prepare",
    help="Write the catalogue, the histories and the users as they are known at the end of the night.",
    outputs=("catalogue", "histories", "people"),
    inputs=inputs,
    settings=lambda recipe: [recipe.prepare, recipe.signals, recipe.rules.unknown_artworks],
    run=run,
)

if __name__ == "__main__":
    main(STEP)
