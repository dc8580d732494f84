"""What users said of themselves: raw records from files or the simulator, and their mapping to USER and to consents."""

import json
from collections.abc import Iterator

import polars as pl

from artrec_core.columns import CONSENT, CONSENTS, LINE, RECORD, SIMULATED, SOURCE, USER, USER_ID
from artrec_core.config import EventSource, UserSource
from artrec_core.data.demo.visitors import Simulation
from artrec_core.data.events import mapped_rows, raw_rows, simulated
from artrec_core.data.files import MALFORMED, as_records, malformed, path_on, records
from artrec_core.data.mapped import Mapped
from artrec_core.data.values import identifier, truth


def read_raw_users(
    source: UserSource | EventSource,
    day: str,
    artworks: pl.DataFrame | None,
    simulation: Simulation | None = None,
) -> Iterator[pl.DataFrame]:
    """The source's records as received, in chunks of RAW rows; `crawled_at` is left to the caller.

    Of the sources of events, only simulated visitors tell of themselves. Raises `MissingInput` where a file is not there.
    """
    if isinstance(source, UserSource):
        return raw_rows(source.name, records(source.name, path_on(source.path, day)))
    if source.kind != "simulated":
        return iter(())
    return raw_rows(source.name, as_records((simulation or simulated(source, artworks)).users))


def to_users(source: UserSource | EventSource, raw: pl.DataFrame) -> Mapped:
    """Raw rows (RAW) as users: each ends in exactly one of `rows` (LINE + USER) and `unmapped`.

    Somebody of whom nothing says so is not simulated; consent that nobody was asked for stays null.
    """
    mapped = mapped_rows("users", USER, _fields(source), raw, key=USER_ID)
    return Mapped(mapped.rows.with_columns(pl.col(SIMULATED).fill_null(False)), mapped.unmapped)


def stated_consents(source: UserSource | EventSource, raw: pl.DataFrame) -> pl.DataFrame:
    """What raw rows (RAW) say of consent, whatever else is wrong with them: LINE + CONSENTS, in the rows' order.

    A row that does not say whose it is, or nothing of consent, says nothing here. An answer that cannot be read is a
    refusal: whoever was asked and did not clearly agree has not agreed.
    """
    fields = _fields(source)
    of_user, of_consent = fields.get(USER_ID, USER_ID), fields.get(CONSENT, CONSENT)
    lines: list[int] = []
    users: list[str] = []
    answers: list[bool] = []
    for line, text in raw.select(LINE, RECORD).iter_rows():
        user, answer = _consent(text, of_user, of_consent)
        if user is not None and answer is not None:
            lines.append(line)
            users.append(user)
            answers.append(answer)
    found = pl.DataFrame({LINE: lines, USER_ID: users, CONSENT: answers}, schema={LINE: pl.Int64, **_SAID})
    return found.select(LINE, pl.lit(source.name).alias(SOURCE), *_SAID)


_SAID = {name: dtype for name, dtype in CONSENTS.items() if name != SOURCE}


def _fields(source: UserSource | EventSource) -> dict[str, str]:
    return source.fields if isinstance(source, UserSource) else {}


def _consent(text: str | None, of_user: str, of_consent: str) -> tuple[str | None, bool | None]:
    """Whose record it is and what it answers, each None where it does not say."""
    try:
        record = json.loads(text or "null")
        user = identifier(record.get(of_user)) if isinstance(record, dict) else None
    except (ValueError, RecursionError):
        return None, None
    if user is None:
        return None, None
    if malformed(record) is not None:
        # Its cells may stand under the wrong names: that it was asked for consent is all it tells.
        return user, False if of_consent in record[MALFORMED].get("names", []) else None
    try:
        return user, truth(record.get(of_consent))
    except ValueError:
        return user, False
