"""The gate of the users table."""

import pytest

from expectations.users import check_users, user_rules
from expectations.verdict import CheckedTable, Counts
from tests.expectations.worlds import NONE_UNMAPPED, RULES, Row, user, users

MUTATIONS: dict[str, tuple[Row, str]] = {
    "has_user_id": ({"user_id": ""}, "no user id"),
    "locale_is_a_language": ({"locale": "12"}, "the locale is 12"),
}


def check(rows: list[Row]) -> CheckedTable:
    return check_users(users(rows), NONE_UNMAPPED, RULES)


def test_every_rule_has_a_mutation() -> None:
    assert list(MUTATIONS) == [rule.name for rule in user_rules()]


@pytest.mark.parametrize("rule", MUTATIONS)
def test_a_mutation_breaks_exactly_its_rule(rule: str) -> None:
    change, reason = MUTATIONS[rule]
    checked = check([user(number, **(change if number == 3 else {})) for number in range(10)])
    assert [result.rule for result in checked.results if not result.success] == [rule]
    assert [reason in text for text in checked.quarantine.get_column("reason")] == [True]
    assert checked.verdict().counts == Counts(received=10, kept=9, quarantined=1)


def test_the_last_row_of_a_user_counts() -> None:
    checked = check([*(user(number) for number in range(9)), user(20, user_id="u3", interests="mountains")])
    assert checked.verdict().counts == Counts(received=10, kept=9, merged=1)
    assert "mountains" in checked.kept_rows.get_column("interests").to_list()


def test_no_users_break_no_rule() -> None:
    checked = check([])
    assert (checked.failed_rules, checked.unchecked_rules, checked.kept_rows.height) == ([], [], 0)
