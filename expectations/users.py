"""The gate of what people said of themselves."""

from collections.abc import Mapping

import polars as pl

from artrec_core.columns import INTERESTS, LOCALE, USER_ID
from artrec_core.config import Rules
from expectations.artworks import volume_rules
from expectations.gate import check
from expectations.rules import Matches, Present, Rule, few_duplicates, present, say
from expectations.verdict import Checked

LOCALE_CODE = "[A-Za-z][A-Za-z]"


def user_rules() -> list[Rule]:
    """What every person's record must hold."""
    return [
        Rule("has_user_id", Present(USER_ID), "A person has an id.", say("there is no user id")),
        Rule(
            "locale_is_a_language",
            Matches(LOCALE, LOCALE_CODE),
            "A locale begins with a language's two letters, as in en or pt-BR.",
            say("the locale is {}", LOCALE),
        ),
    ]


def check_users(
    rows: pl.DataFrame,
    unmapped: pl.DataFrame,
    rules: Rules,
    *,
    least: Mapping[str, int] | None = None,
    received: Mapping[str, int] | None = None,
) -> Checked:
    """Judge a night's people. `rows` hold SOURCE, LINE and USER, `unmapped` QUARANTINE."""
    return check(
        "users",
        rows,
        rows.select(present(USER_ID), present(LOCALE), present(INTERESTS)),
        unmapped,
        key=USER_ID,
        rules=user_rules(),
        table_rules=[
            *volume_rules(least or {}),
            few_duplicates(rules.max_duplicate_share, USER_ID, "Few people come twice."),
        ],
        max_quarantine_share=rules.max_quarantine_share,
        received=received,
    )
