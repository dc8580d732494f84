"""The text of an artwork that the model reads: the most telling facts first, so that 64 tokens hold them."""

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

_MOST_CREATORS = 3
_MOST_SUBJECTS = 12
_OTHER_SCRIPT = r"[^\p{Latin}\p{Common}\p{Inherited}]"
_NO_TITLE = r"(?i)^\[(?:title not known|no title)\]$"
# "after", "workshop of", "attributed to": such a role stands before the name, a trade does not.
_TIE = r"(?:^after| after| of| to| by| with)$"
# "[INST]", "[/INST]", "[CLS]", "[unused1]": what tokenizers take for a command, in any case.
_BRACKET_TOKEN = r"(?i)\[(/?(?:cls|sep|mask|pad|unk|bos|eos|inst|sys|user|assistant|system|tool|unused)[a-z0-9_]*)\]"
_BRACKET_CAPITALS = r"\[(/?[A-Z][A-Z0-9_]{2,})\]"


def with_documents(artworks: pl.DataFrame, max_description_words: int) -> pl.DataFrame:
    """The artworks (ARTWORK) with their DOCUMENT, as CATALOGUE; a fact that is null leaves no trace in it."""
    sentences = [
        _titles(),
        _creators(),
        _date(),
        _one_of(pl.concat_str(MOVEMENT, CULTURE, separator="; ", ignore_nulls=True)),
        _one_of(pl.concat_str(CLASSIFICATION, MEDIUM, separator="; ", ignore_nulls=True)),
        pl.col(SUBJECTS).list.drop_nulls().list.head(_MOST_SUBJECTS).list.join(", "),
        pl.col(DESCRIPTION).str.split(" ").list.head(max_description_words).list.join(" "),
    ]
    ended = [pl.when(one.str.len_chars() > 0).then(one.str.replace(r"[.\s]+$", "") + ".") for one in sentences]
    document = neutral(pl.concat_str(ended, separator=" ", ignore_nulls=True))
    return conform(artworks.with_columns(document.fill_null("").alias(DOCUMENT)), CATALOGUE)


def neutral(text: pl.Expr) -> pl.Expr:
    """The text with what a tokenizer or a chat template would take for a command made plain."""
    plain = text.str.replace_all("<", "‹", literal=True).str.replace_all(">", "›", literal=True)
    plain = plain.str.replace_all(_BRACKET_TOKEN, "($1)").str.replace_all(_BRACKET_CAPITALS, "($1)")
    return plain.str.replace_all(r"\p{Cc}", " ")


def _one_of(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.len_chars() > 0).then(text)


def _titles() -> pl.Expr:
    """The title and the original one where it differs; one in another script comes second."""
    title, original = pl.col(TITLE), pl.col(TITLE_ORIGINAL)
    title = pl.when(~title.str.contains(_NO_TITLE)).then(title)
    original = pl.when(original.str.to_lowercase() != title.str.to_lowercase().fill_null("")).then(original)
    turned = title.str.contains(_OTHER_SCRIPT) & ~original.str.contains(_OTHER_SCRIPT)
    first, second = pl.when(turned).then(original).otherwise(title), pl.when(turned).then(title).otherwise(original)
    return _one_of(pl.concat_str(first, second, separator=" / ", ignore_nulls=True))


def _creators() -> pl.Expr:
    """ "by Vincent van Gogh (Dutch)", "after Titian"; "by an unknown maker (Thai)" where no culture tells it."""
    field = pl.element().struct.field
    role, name, nationality = field("role"), field("name"), field("nationality")
    tie = pl.when(role.str.contains(_TIE)).then(role).otherwise(pl.lit("by"))
    people = pl.when(nationality.is_not_null()).then(pl.format(" ({})", nationality)).otherwise(pl.lit(""))
    unnamed = pl.when(nationality.is_not_null()).then(pl.lit("an unknown maker"))
    makers = pl.col(CREATORS).list.head(_MOST_CREATORS)
    named = makers.list.eval(pl.concat_str(tie, pl.lit(" "), name, people).drop_nulls())
    anyone = makers.list.eval(pl.concat_str(tie, pl.lit(" "), name.fill_null(unnamed), people).drop_nulls())
    made = pl.when(pl.col(CULTURE).is_null()).then(anyone).otherwise(named)
    text = made.list.unique(maintain_order=True).list.join(", ")
    return _one_of(text.str.replace_all(", by ", ", ", literal=True))


def _date() -> pl.Expr:
    """The museum's own words with the century, else the years; a year before Christ is "400 BC"."""
    start, end = pl.col(YEAR_FROM), pl.col(YEAR_TO)
    years = pl.when(start == end).then(_year(start)).otherwise(pl.format("{} to {}", _year(start), _year(end)))
    # "971 AH/AD 1563" tells more plainly as 1563.
    words = pl.coalesce(pl.when(~pl.col(DATE_TEXT).str.contains(r"AH\s*/\s*AD")).then(DATE_TEXT), years, DATE_TEXT)
    told = words.str.to_lowercase().str.contains(r"century|millennium")
    near = (_century(start) == _century(end)) & ~told.fill_null(False)
    return _one_of(pl.concat_str(words, pl.when(near).then(_century(start)), separator=", ", ignore_nulls=True))


def _year(year: pl.Expr) -> pl.Expr:
    return pl.when(year < 0).then(pl.format("{} BC", year.abs())).otherwise(year.cast(pl.String))


def _century(year: pl.Expr) -> pl.Expr:
    number = (year.abs() - 1) // 100 + 1
    teen = (number % 100).is_between(11, 13)
    ending = (
        pl.when(~teen & (number % 10 == 1))
        .then(pl.lit("st"))
        .when(~teen & (number % 10 == 2))
        .then(pl.lit("nd"))
        .when(~teen & (number % 10 == 3))
        .then(pl.lit("rd"))
        .otherwise(pl.lit("th"))
    )
    era = pl.when(year < 0).then(pl.lit(" BC")).otherwise(pl.lit(""))
    return pl.when(year != 0).then(pl.format("{}{} century{}", number, ending, era))
