"""Records of users: reading them from files or the simulator, and mapping them to USER and to answers on consent."""

import json
from collections.abc import Iterator

import polars as pl

from artrec_core.columns import CONSENT, CONSENTS, LINE, RECORD, SIMULATED, SOURCE, USER, USER_ID
from artrec_core.config import EventSource, UserSource, is_simulated
from artrec_core.data.demo.visitors import Simulation
from artrec_core.data.events import map_rows, raw_rows, simulate_source
from artrec_core.data.files import MALFORMED, csv_fault, path_for_day, read_records, rows_as_json
from artrec_core.data.mapped_rows import MappedRows
from artrec_core.data.values import boolean, identifier


def read_raw_users(
    source: UserSource | EventSource,
    day: str,
    artworks: pl.DataFrame | None,
    simulation: Simulation | None = None,
) -> Iterator[pl.DataFrame]:
    """Read the source's records as received, in chunks of RAW rows.

    Parameters
    ----------
    source : source of users or of events
        Among the sources of events, only simulated visitors have records of users; the others give no rows.
    day : run date, which replaces `{date}` in the source's path
    artworks : frame of ARTWORK that simulated visitors look at
    simulation : a simulation of this source, if there is one already

    The column `crawled_at` is null; the caller fills it. Raises `MissingInput` if the file does not exist.
    """
    if isinstance(source, UserSource):
        return raw_rows(source.name, read_records(source.name, path_for_day(source.path, day)))
    if not is_simulated(source):
        return iter(())
    return raw_rows(source.name, rows_as_json((simulation or simulate_source(source, artworks)).users))


def to_users(source: UserSource | EventSource, raw: pl.DataFrame) -> MappedRows:
    """Map raw rows (RAW) to users: each row ends in exactly one of `rows` (LINE + USER) and `unmapped`.

    A user is not simulated unless the record says so. A missing answer on consent stays null.
    """
    mapping = map_rows("users", USER, _fields(source), raw, key=USER_ID)
    return MappedRows(mapping.rows.with_columns(pl.col(SIMULATED).fill_null(False)), mapping.unmapped)


def consent_answers(source: UserSource | EventSource, raw: pl.DataFrame) -> pl.DataFrame:
    """The answers on consent in raw rows (RAW), whatever else is wrong with a row: LINE + CONSENTS, in the rows' order.

    A row without a user id or without an answer is left out. An answer that cannot be read is a refusal: a user who was
    asked and did not clearly agree has not agreed.
    """
    fields = _fields(source)
    user_field, consent_field = fields.get(USER_ID, USER_ID), fields.get(CONSENT, CONSENT)
    lines: list[int] = []
    users: list[str] = []
    answers: list[bool] = []
    for line, text in raw.select(LINE, RECORD).iter_rows():
        user, answer = _consent(text, user_field, consent_field)
        if user is not None and answer is not None:
            lines.append(line)
            users.append(user)
            answers.append(answer)
    rows = pl.DataFrame({LINE: lines, USER_ID: users, CONSENT: answers}, schema={LINE: pl.Int64, **_ANSWER})
    return rows.select(LINE, pl.lit(source.name).alias(SOURCE), *_ANSWER)


_ANSWER = {name: dtype for name, dtype in CONSENTS.items() if name != SOURCE}


def _fields(source: UserSource | EventSource) -> dict[str, str]:
    return source.fields if isinstance(source, UserSource) else {}


def _consent(text: str | None, user_field: str, consent_field: str) -> tuple[str | None, bool | None]:
    """The user and the answer of a record, each None if the record does not state it."""
    try:
        record = json.loads(text or "null")
        user = identifier(record.get(user_field)) if isinstance(record, dict) else None
    except (ValueError, RecursionError):
        return None, None
    if user is None:
        return None, None
    if csv_fault(record) is not None:
        # The cells may be under the wrong column names. All that is sure is whether the file asks for consent.
        return user, False if consent_field in record[MALFORMED].get("names", []) else None
    try:
        return user, boolean(record.get(consent_field))
    except ValueError:
        return user, False
