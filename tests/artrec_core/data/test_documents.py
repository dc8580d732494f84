from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.columns import ARTWORK, CATALOGUE
from artrec_core.data.artwork import build_frame
from artrec_core.data.documents import with_documents
from artrec_core.data.names import creator


def document(words: int = 60, **fields: Any) -> str:
    return str(with_documents(build_frame([fields], ARTWORK), words)["document"][0])


def test_the_most_telling_facts_come_first() -> None:
    assert (
        document(
            title="The Starry Night",
            title_original="De sterrennacht",
            creators=[creator("Vincent van Gogh", role="artist", nationality="Dutch")],
            year_from=1889,
            year_to=1889,
            date_text="June 1889",
            movement="Post-Impressionism",
            culture="Dutch",
            classification="painting",
            medium="oil on canvas",
            subjects=["night", "stars"],
            description="A swirling sky over a quiet village.",
        )
        == "The Starry Night / De sterrennacht. by Vincent van Gogh (Dutch). June 1889, 19th century. "
        "Post-Impressionism; Dutch. painting; oil on canvas. night, stars. A swirling sky over a quiet village."
    )


def test_a_fact_that_is_not_known_leaves_no_trace() -> None:
    assert document(title="Bowl") == "Bowl."
    assert document(title="Bowl", creators=[], subjects=[], description="") == "Bowl."
    assert document(artwork_id="a:1") == ""


@pytest.mark.parametrize(
    ("title", "original", "expected"),
    [
        ("Along the River", "清明上河圖", "Along the River / 清明上河圖."),
        ("清明上河圖", "Along the River", "Along the River / 清明上河圖."),
        ("清明上河圖", None, "清明上河圖."),
        ("Angst", "angst", "Angst."),
        ("Fuji (富士)", "Fuji Red", "Fuji Red / Fuji (富士)."),
        (None, "Sans titre", "Sans titre."),
        ("[title not known]", None, ""),
    ],
)
def test_the_title_a_small_model_can_read_comes_first(title: str | None, original: str | None, expected: str) -> None:
    assert document(title=title, title_original=original) == expected


def test_creators_are_tied_to_the_work_by_their_role() -> None:
    makers = [
        creator("Guido Reni", role="workshop of", nationality="Italian"),
        creator("Ann", role="painter"),
        creator("Titian", role="after"),
    ]
    assert document(creators=makers) == "workshop of Guido Reni (Italian), Ann, after Titian."
    assert document(creators=[creator("Ann"), creator("Bob")]) == "by Ann, Bob."
    unnamed = [creator(None, nationality="Thai")]
    assert document(creators=unnamed) == "by an unknown maker (Thai)."
    assert document(creators=unnamed, culture="Thai") == "Thai."


@pytest.mark.parametrize(
    ("start", "end", "text", "expected"),
    [
        (1901, 1905, "c. 1903", "c. 1903, 20th century."),
        (1890, 1910, "c. 1900", "c. 1900."),
        (1801, 1900, "19th century", "19th century."),
        (1717, 1717, "1121 AH/AD 1717", "1717, 18th century."),
        (-400, -301, None, "400 BC to 301 BC, 4th century BC."),
        (1203, 1203, None, "1203, 13th century."),
        (150, 150, None, "150, 2nd century."),
        (2001, 2001, None, "2001, 21st century."),
        (None, 1984, None, ""),
        (None, None, "undated", "undated."),
    ],
)
def test_dates_are_told_in_words_and_centuries(
    start: int | None, end: int | None, text: str | None, expected: str
) -> None:
    assert document(year_from=start, year_to=end, date_text=text) == expected


def test_the_description_is_cut_to_so_many_words() -> None:
    assert document(3, description="one two three four") == "one two three."
    assert document(0, description="one two three four") == ""


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>",
        "<|endoftext|>",
        "[INST]",
        "[/INST]",
        "</s>",
        "<s>",
        "[CLS]",
        "[sep]",
        "[MASK]",
        "<<SYS>>",
        "<bos>",
    ],
)
@pytest.mark.parametrize("field", ["title", "medium", "description"])
def test_what_a_model_takes_for_a_command_is_made_plain(token: str, field: str) -> None:
    text = document(**{field: f"a {token} b"})
    assert token not in text
    assert text.startswith("a ")
    assert text.endswith(" b.")


def test_brackets_of_the_museum_stay() -> None:
    assert document(title="Bridge; [plan, section]") == "Bridge; [plan, section]."


def test_the_catalogue_has_its_columns_and_no_rows_from_none() -> None:
    assert with_documents(build_frame([], ARTWORK), 60).schema == pl.Schema(CATALOGUE)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {}, optional={name: st.text() for name in ("title", "title_original", "medium", "description")}
    )
)
def test_any_text_makes_a_document_without_commands(fields: dict[str, str]) -> None:
    text = document(**{name: value.encode("utf-8", "ignore").decode() for name, value in fields.items()})
    assert not set("<>\x00") & set(text)
    assert "None" not in text or any("None" in value for value in fields.values())
