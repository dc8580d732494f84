"""The gate of the users table."""

from collections.abc import Mapping

import polars as pl

from artrec_core.columns import INTERESTS, LOCALE, USER_ID
from artrec_core.config import Rules
from expectations.artworks import volume_rules
from expectations.gate import check
from expectations.rules import Matches, NotNull, Rule, at_most_duplicates, non_blank, reason_text
from expectations.verdict import CheckedTable

LOCALE_CODE = "[A-Za-z][A-Za-z]"


def user_rules() -> list[Rule]:
    """The rules for every user's record."""
    return [
        Rule("has_user_id", NotNull(USER_ID), "A visitor has an id.", reason_text("there is no user id")),
        Rule(
            "locale_is_a_language",
            Matches(LOCALE, LOCALE_CODE),
            "A locale begins with the two letters of a language, as in en or pt-BR.",
            reason_text("the locale is {}", LOCALE),
        ),
    ]


def check_users(
    rows: pl.DataFrame,
    unmapped: pl.DataFrame,
    rules: Rules,
    *,
    min_lines: Mapping[str, int] | None = None,
    lines_received: Mapping[str, int] | None = None,
) -> CheckedTable:
    """Check the users of a night.

    Parameters
    ----------
    rows : frame of SOURCE, LINE and USER
    unmapped : frame of QUARANTINE
    rules : section of the recipe
    min_lines : source -> fewest lines that it may bring
    lines_received : source -> lines received, counted before mapping
    """
    return check(
        "users",
        rows,
        rows.select(non_blank(USER_ID), non_blank(LOCALE), non_blank(INTERESTS)),
        unmapped,
        key=USER_ID,
        rules=user_rules(),
        table_rules=[
            *volume_rules(min_lines or {}),
            at_most_duplicates(rules.max_duplicate_share, USER_ID, "Few visitors come more than once."),
        ],
        max_quarantine_share=rules.max_quarantine_share,
        lines_received=lines_received,
    )
