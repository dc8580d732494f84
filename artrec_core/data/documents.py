"""The document of an artwork: the text that the model reads.

The most informative facts come first, so that they fit into 64 tokens.
"""

import polars as pl

from artrec_core.columns import (
    CATALOGUE,
    CLASSIFICATION,
    CREATORS,
    CULTURE,
    DATE_TEXT,
    DESCRIPTION,
    DOCUMENT,
    MEDIUM,
    MOVEMENT,
    SUBJECTS,
    TITLE,
    TITLE_ORIGINAL,
    YEAR_FROM,
    YEAR_TO,
    conform,
)

_MAX_CREATORS = 3
_MAX_SUBJECTS = 12
_NON_LATIN = r"[^\p{Latin}\p{Common}\p{Inherited}]"
_NO_TITLE = r"(?i)^\[(?:title not known|no title)\]$"
# A role such as "after", "workshop of" or "attributed to" is written before the name. A trade such as "painter" is not.
_ATTRIBUTION_ROLE = r"(?:^after| after| of| to| by| with)$"
# "[INST]", "[/INST]", "[CLS]", "[unused1]" in upper or lower case: tokenizers read them as special tokens.
_BRACKET_TOKEN = r"(?i)\[(/?(?:cls|sep|mask|pad|unk|bos|eos|inst|sys|user|assistant|system|tool|unused)[a-z0-9_]*)\]"
_BRACKET_CAPITALS = r"\[(/?[A-Z][A-Z0-9_]{2,})\]"


def with_documents(artworks: pl.DataFrame, max_description_words: int) -> pl.DataFrame:
    """Add the column DOCUMENT to the artworks (ARTWORK); the result has the columns of CATALOGUE.

    A fact that is null is left out of the document. A description is cut after `max_description_words` words.
    """
    sentences = [
        _titles(),
        _creators(),
        _date(),
        _blank_to_null(pl.concat_str(MOVEMENT, CULTURE, separator="; ", ignore_nulls=True)),
        _blank_to_null(pl.concat_str(CLASSIFICATION, MEDIUM, separator="; ", ignore_nulls=True)),
        pl.col(SUBJECTS).list.drop_nulls().list.head(_MAX_SUBJECTS).list.join(", "),
        pl.col(DESCRIPTION).str.split(" ").list.head(max_description_words).list.join(" "),
    ]
    with_full_stops = [
        pl.when(sentence.str.len_chars() > 0).then(sentence.str.replace(r"[.\s]+$", "") + ".") for sentence in sentences
    ]
    document = replace_special_tokens(pl.concat_str(with_full_stops, separator=" ", ignore_nulls=True))
    return conform(artworks.with_columns(document.fill_null("").alias(DOCUMENT)), CATALOGUE)


def replace_special_tokens(text: pl.Expr) -> pl.Expr:
    """The text without anything that a tokenizer or a chat template would read as a special token."""
    plain = text.str.replace_all("<", "‹", literal=True).str.replace_all(">", "›", literal=True)
    plain = plain.str.replace_all(_BRACKET_TOKEN, "($1)").str.replace_all(_BRACKET_CAPITALS, "($1)")
    return plain.str.replace_all(r"\p{Cc}", " ")


def _blank_to_null(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.len_chars() > 0).then(text)


def _titles() -> pl.Expr:
    """The title, and the original title if it differs. A title in a non-Latin script comes second."""
    title, original = pl.col(TITLE), pl.col(TITLE_ORIGINAL)
    title = pl.when(~title.str.contains(_NO_TITLE)).then(title)
    original = pl.when(original.str.to_lowercase() != title.str.to_lowercase().fill_null("")).then(original)
    original_first = title.str.contains(_NON_LATIN) & ~original.str.contains(_NON_LATIN)
    first = pl.when(original_first).then(original).otherwise(title)
    second = pl.when(original_first).then(title).otherwise(original)
    return _blank_to_null(pl.concat_str(first, second, separator=" / ", ignore_nulls=True))


def _creators() -> pl.Expr:
    """The creators, as in "by Vincent van Gogh (Dutch)" or "after Titian".

    A creator without a name is "by an unknown maker (Thai)". It is left out if the artwork has a culture.
    """
    field = pl.element().struct.field
    role, name, nationality = field("role"), field("name"), field("nationality")
    relation = pl.when(role.str.contains(_ATTRIBUTION_ROLE)).then(role).otherwise(pl.lit("by"))
    in_brackets = pl.when(nationality.is_not_null()).then(pl.format(" ({})", nationality)).otherwise(pl.lit(""))
    placeholder = pl.when(nationality.is_not_null()).then(pl.lit("an unknown maker"))
    creators = pl.col(CREATORS).list.head(_MAX_CREATORS)
    named_only = creators.list.eval(pl.concat_str(relation, pl.lit(" "), name, in_brackets).drop_nulls())
    with_unnamed = creators.list.eval(
        pl.concat_str(relation, pl.lit(" "), name.fill_null(placeholder), in_brackets).drop_nulls()
    )
    phrases = pl.when(pl.col(CULTURE).is_null()).then(with_unnamed).otherwise(named_only)
    text = phrases.list.unique(maintain_order=True).list.join(", ")
    return _blank_to_null(text.str.replace_all(", by ", ", ", literal=True))


def _date() -> pl.Expr:
    """The date in the museum's own words, else the years, followed by the century. The year -400 is "400 BC"."""
    start, end = pl.col(YEAR_FROM), pl.col(YEAR_TO)
    years = pl.when(start == end).then(_year(start)).otherwise(pl.format("{} to {}", _year(start), _year(end)))
    # "971 AH/AD 1563" names two calendars; 1563 alone is clearer.
    words = pl.coalesce(pl.when(~pl.col(DATE_TEXT).str.contains(r"AH\s*/\s*AD")).then(DATE_TEXT), years, DATE_TEXT)
    names_century = words.str.to_lowercase().str.contains(r"century|millennium")
    adds_century = (_century(start) == _century(end)) & ~names_century.fill_null(False)
    century = pl.when(adds_century).then(_century(start))
    return _blank_to_null(pl.concat_str(words, century, separator=", ", ignore_nulls=True))


def _year(year: pl.Expr) -> pl.Expr:
    return pl.when(year < 0).then(pl.format("{} BC", year.abs())).otherwise(year.cast(pl.String))


def _century(year: pl.Expr) -> pl.Expr:
    number = (year.abs() - 1) // 100 + 1
    is_teen = (number % 100).is_between(11, 13)
    ending = (
        pl.when(~is_teen & (number % 10 == 1))
        .then(pl.lit("st"))
        .when(~is_teen & (number % 10 == 2))
        .then(pl.lit("nd"))
        .when(~is_teen & (number % 10 == 3))
        .then(pl.lit("rd"))
        .otherwise(pl.lit("th"))
    )
    era = pl.when(year < 0).then(pl.lit(" BC")).otherwise(pl.lit(""))
    return pl.when(year != 0).then(pl.format("{}{} century{}", number, ending, era))
