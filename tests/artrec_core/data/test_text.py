import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.data.text import clean, integer_at, list_at, natural_order, object_at, objects_at


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  Bowl \r\n with  lid ", "Bowl with lid"),
        ("<i>Amazons</i> march<br/>on", "Amazons march on"),
        ("<script>alert(1)</script>Vase", "Vase"),
        ("Erotes &amp; Acanthus", "Erotes & Acanthus"),
        ("&lt;b&gt;Bold&lt;/b&gt;", "Bold"),
        ("a < b and c > d", "a < b and c > d"),
        ("Saint Michael\x92s Church", "Saint Michael’s Church"),
        ("nul\x00 and bell\x07", "nul and bell"),
        ("half a pair \ud800", "half a pair"),
        ("e\u0301tude", "étude"),
        ("\u202eevil\u202c", "evil"),
        ("", None),
        (" \n ", None),
        (None, None),
        (1984, "1984"),
    ],
)
def test_text_is_made_fit_to_show(raw: object, expected: str | None) -> None:
    assert clean(raw) == expected


@pytest.mark.parametrize(
    ("raw", "words"),
    [([], "a list"), ({}, "an object"), (True, "true or false"), pytest.param(10**5000, "more digits", id="huge")],
)
def test_what_is_no_text_is_told_in_words(raw: object, words: str) -> None:
    with pytest.raises(ValueError, match=f"title holds .*{words}"):
        clean(raw, "title")


@settings(deadline=None)
@given(st.text())
def test_clean_text_can_be_stored_and_is_clean(raw: str) -> None:
    text = clean(raw)
    if text is not None:
        text.encode()
        assert text == " ".join(text.split())
        assert not any(ord(character) < 32 for character in text)


def test_the_wrong_kind_of_value_names_its_place() -> None:
    with pytest.raises(ValueError, match="Images holds text where a list was expected"):
        list_at({"Images": "none"}, "Images")
    with pytest.raises(ValueError, match="Images holds a number where a list of objects"):
        objects_at({"Images": [None, 3]}, "Images")
    with pytest.raises(ValueError, match="dateRange holds a list where an object"):
        object_at({"dateRange": []}, "dateRange")
    assert list_at({}, "Images") == []
    assert object_at({"dateRange": None}, "dateRange") == {}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (1995, 1995),
        ("1995", 1995),
        (" -400 ", -400),
        (1995.0, 1995),
        ("no date", None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_whole_numbers_are_read_from_what_holds_them(raw: object, expected: int | None) -> None:
    assert integer_at({"year": raw}, "year") == expected


def test_inverted_terms_are_turned() -> None:
    assert natural_order("boat, sailing") == "sailing boat"
    assert natural_order("politician, Member of Parliament, Labour") == "politician, Member of Parliament, Labour"
