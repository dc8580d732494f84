import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.data.values import LONGEST_ID, boolean, identifier, named_identifier, number, statement, text


@pytest.mark.parametrize("value", [55, 55.0, "55", "55.0", " 55.00 ", "\u200b55", "\t55\n"])
def test_an_id_has_one_spelling(value: object) -> None:
    assert identifier(value) == "55"


@pytest.mark.parametrize(
    ("value", "normalised"),
    [
        ("055", "055"),
        ("5.5", "5.5"),
        ("1e2", "1e2"),
        (-0.0, "0"),
        ("-0.0", "0"),
        ("tate:55.0", "tate:55"),
        ("a  b", "a b"),
        ("e\u0301", "\u00e9"),
        ("", None),
        (" \ufeff", None),
        (None, None),
    ],
)
def test_what_an_id_is(value: object, normalised: str | None) -> None:
    assert identifier(value) == normalised


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "is 1.5, not an id"),
        (1e300, "not an id"),
        (True, "is true, not an id"),
        ({"id": 1}, "not an id"),
        ("a\0b", "not an id"),
        ("a\x07b", "control characters"),
        ("Zo\ufffd", "not UTF-8"),
        ("a" * (LONGEST_ID + 1), "an id of 501 characters"),
        ("\ud800", "surrogates"),
    ],
    ids=str,
)
def test_what_is_no_id_says_why(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identifier(value)


@settings(deadline=None)
@given(st.text() | st.floats() | st.integers())
def test_an_id_that_is_read_again_stays_as_it_is(value: object) -> None:
    try:
        normalised = identifier(value)
    except ValueError:
        return
    assert identifier(normalised) == normalised
    assert normalised is None or (normalised == normalised.strip() and len(normalised.encode()) <= 4 * LONGEST_ID)


def test_text_has_no_blanks_at_its_ends() -> None:
    assert text("like ") == "like"
    assert text(" \n") is None
    assert text("e\u0301") == "\u00e9"
    assert text("two\nlines") == "two\nlines"


def test_text_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="no database stores a NUL"):
        text("the\0sea")


def test_a_statement_may_be_a_list_of_texts() -> None:
    assert statement(["the sea ", "", None, "boats"]) == "the sea; boats"
    assert statement([]) is None
    assert statement("the sea") == "the sea"
    with pytest.raises(ValueError, match="not text"):
        statement([["the sea"]])


@pytest.mark.parametrize("value", ["t", "Yes", "on", 1, 1.0, "1.0", True])
def test_yes_has_many_spellings(value: object) -> None:
    assert boolean(value) is True


@pytest.mark.parametrize("value", ["f", "N", "off", 0, 0.0, "0.0", False])
def test_no_has_many_spellings(value: object) -> None:
    assert boolean(value) is False


@pytest.mark.parametrize("read", [text, number, boolean, identifier])
def test_blank_text_is_nothing(read: object) -> None:
    assert read(" ") is None  # type: ignore[operator]


def test_a_number_has_no_underscores() -> None:
    with pytest.raises(ValueError, match="not a number"):
        number("1_2")


def test_the_error_of_a_named_id_begins_with_its_field() -> None:
    assert named_identifier(" 55.0 ", "id") == "55"
    assert named_identifier(None, "id") is None
    with pytest.raises(ValueError, match=r"^id is true, not an id$"):
        named_identifier(True, "id")
