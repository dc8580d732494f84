"""The reference of recipe keys: every key of the models, its type, its default and what it does."""

import pytest

from artrec_core.config.reference import KeyReference, SectionReference, as_markdown, as_text, list_sections

SECTIONS = {section.header: section for section in list_sections()}
SMALL = [
    SectionReference(
        "[score]", "Scoring.", [KeyReference("k", "integer >= 1", "20", "Number of artworks."),
                                KeyReference("by", '"a" | "b"', "required", "Which.")],
    )
]  # fmt: skip


def key(header: str, name: str) -> KeyReference:
    return next(key for key in SECTIONS[header].keys if key.name == name)


def test_lists_are_headed_as_toml_writes_them() -> None:
    assert {"", "[store]", "[[sources]]", "[[strategies]]", "[strategies.exploration]", "[[strategies.floors]]"} <= set(
        SECTIONS
    )


@pytest.mark.parametrize(
    ("header", "name", "type_", "default"),
    [
        ("[score]", "candidates", "integer >= 1", "5"),
        ("[gate]", "max_drop", "number from 0 to 1", "0.05"),
        ("[train]", "text_learning_rate", "number > 0", "0.0001"),
        ("[train]", "user_epochs", 'integer >= 1 or "auto"', '"auto"'),
        ("[store]", "lake", "text", "required"),
        ("[publish]", "keep_days", "integer >= 1", "not set"),
        ("[signals]", "negative", "list of text", '["dismiss"]'),
        ("[rules]", "max_null_share", "table of number from 0 to 1", "{ title = 0.05 }"),
        ("[tune]", "space", "table of { low, high, log } or list of values", "{}"),
        ("[strategies.exploration]", "nights", "integer from 1 to 60", "14"),
        ("[train]", "use_gpu", "true or false", "false"),
    ],
)
def test_a_key_has_its_type_and_default(header: str, name: str, type_: str, default: str) -> None:
    assert (key(header, name).type, key(header, name).default) == (type_, default)


@pytest.mark.parametrize("section", SECTIONS.values(), ids=lambda section: section.header or "top")
def test_every_section_and_key_is_described_in_sentences(section: SectionReference) -> None:
    assert section.description.endswith(".")
    for item in section.keys:
        assert item.description[:1] in "`01(" or item.description[:1].isupper() or item.description.startswith("log"), (
            item
        )
        assert item.description.endswith("."), item


def test_the_text_fits_its_width() -> None:
    assert max(map(len, as_text(list_sections(), 100).splitlines())) <= 100
    assert as_text(SMALL) == (
        "[score]\nScoring.\n\n  k = 20   (integer >= 1)\n      Number of artworks.\n"
        '  by   ("a" | "b", required)\n      Which.\n'
    )


def test_markdown_has_a_table_for_each_section_with_its_bars_escaped() -> None:
    assert as_markdown(SMALL) == (
        "## `[score]`\n\nScoring.\n\n| key | type | default | description |\n|---|---|---|---|\n"
        "| `k` | integer >= 1 | `20` | Number of artworks. |\n"
        '| `by` | "a" \\| "b" | required | Which. |\n'
    )
