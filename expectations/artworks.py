"""The gate of the artworks table."""

import re
import sys
from collections.abc import Mapping

import polars as pl

from artrec_core.columns import (
    ARTWORK,
    ARTWORK_ID,
    CREATORS,
    CURRENCY,
    IMAGE_URL,
    LICENCE,
    MOVEMENT,
    MUSEUM,
    PRICE,
    TITLE,
    URL,
    YEAR_FROM,
    YEAR_TO,
)
from artrec_core.config import Rules
from artrec_core.data.values import LONGEST_ID
from artrec_core.errors import ConfigError
from expectations.gate import check
from expectations.rules import (
    IsTrue,
    Matches,
    NotBelow,
    NotNull,
    OneOf,
    Rule,
    TableRule,
    Within,
    at_least_rows,
    at_most_duplicates,
    at_most_share,
    non_blank,
    reason_text,
)
from expectations.verdict import CheckedTable

# Facts: columns that the rules read in addition to those of ARTWORK.
EARLIEST_YEAR = "first_year"
LATEST_YEAR = "last_year"
SHORTEST_LIFE = "shortest_life"
EARLIEST_BIRTH = "first_birth"
AGE_WHEN_FINISHED = "finished_at_age"
PRICE_CURRENCY = "priced_in"
LONGEST_SEGMENT = "longest_segment"
DATES_IN_RANGE = "dates_in_range"

# After the scheme comes a host in any script: not a space, a control character or a slash.
HTTP = r"[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20/]"
CURRENCY_CODE = "[A-Z][A-Z][A-Z]"

# The year of an artwork and the birth of its maker are often estimates. Only a larger difference is an error.
TOLERANCE_YEARS = 5

# Roles of creators who did not make the artwork themselves. They may be born after it was made, as those who bound,
# printed, sold or restored it later. So may a person to whom it is only attributed.
NOT_THE_MAKER = re.compile(
    "attribut|circle|follower|school|style|manner|after|copy|bind|print|publish|retail|dealer|own|collect|patron"
    "|restor|foundr|cast|fabricat|manufactur|engrav|workshop|studio|unknown|possibly|probably"
).pattern


def artwork_rules(rules: Rules, day: str) -> list[Rule]:
    """The rules for every artwork."""
    general_rules = [
        Rule("has_artwork_id", NotNull(ARTWORK_ID), "An artwork has an id.", reason_text("there is no artwork id")),
        Rule("has_title", NotNull(TITLE), "An artwork has a title.", reason_text("there is no title")),
        Rule(
            "url_is_http",
            Matches(URL, HTTP),
            "The address of the page begins with http:// or https://.",
            reason_text("the url is {}", URL),
        ),
        Rule(
            "image_url_is_http",
            Matches(IMAGE_URL, HTTP),
            "The address of the image begins with http:// or https://.",
            reason_text("the image url is {}", IMAGE_URL),
        ),
        Rule(
            "price_is_not_negative",
            Within(PRICE, 0.0, sys.float_info.max),
            "A price is a number of 0 or more.",
            reason_text("the price is {}", PRICE),
        ),
        Rule(
            "price_has_currency",
            Matches(PRICE_CURRENCY, CURRENCY_CODE),
            "A price has a currency of three capital letters.",
            reason_text("the price is {} but its currency is {}", PRICE, CURRENCY),
        ),
        Rule(
            "segments_are_short",
            Within(LONGEST_SEGMENT, high=LONGEST_ID),
            f"Museum and movement, which are keys of the popular artworks, have at most {LONGEST_ID} characters each.",
            reason_text("its museum or its movement has {} characters", f"fact_{LONGEST_SEGMENT}"),
        ),
    ]
    return [*general_rules, *_art_rules(rules, day)] if rules.art else general_rules


def _art_rules(rules: Rules, day: str) -> list[Rule]:
    """The rules that apply to art only."""
    this_year = int(day[:4])
    return [
        Rule(
            "years_are_ordered",
            NotBelow(YEAR_TO, YEAR_FROM),
            "The last year of making is not before the first.",
            reason_text("it was made from {} to {}", YEAR_FROM, YEAR_TO),
        ),
        Rule(
            "year_is_not_too_early",
            Within(EARLIEST_YEAR, low=rules.min_year),
            f"The first year of making is {rules.min_year} or later.",
            reason_text("its first year is {}", f"fact_{EARLIEST_YEAR}"),
        ),
        Rule(
            "year_is_not_in_the_future",
            Within(LATEST_YEAR, high=this_year),
            "The last year of making is not after the year of the night.",
            reason_text(f"its last year is {{}}, after {this_year}", f"fact_{LATEST_YEAR}"),
        ),
        Rule(
            "lives_are_ordered",
            Within(SHORTEST_LIFE, low=0),
            "No creator died before birth.",
            reason_text("a creator died {} years before birth", -pl.col(f"fact_{SHORTEST_LIFE}")),
        ),
        Rule(
            "made_after_birth",
            Within(AGE_WHEN_FINISHED, low=-TOLERANCE_YEARS),
            f"An artwork was not finished more than {TOLERANCE_YEARS} years before its first maker was born."
            " Attributions, printers, binders and similar roles do not count.",
            reason_text(
                "it was finished in {}, {} years before its first maker was born",
                f"fact_{LATEST_YEAR}",
                -pl.col(f"fact_{AGE_WHEN_FINISHED}"),
            ),
        ),
        Rule(
            "licence_is_open",
            OneOf(LICENCE, tuple(licence.lower() for licence in rules.open_licences)),
            f"The licence is known and open: {', '.join(rules.open_licences)}.",
            reason_text("the licence is {}", LICENCE),
        ),
    ]


def artwork_facts(rows: pl.DataFrame, rules: Rules, day: str) -> pl.DataFrame:
    """The facts of the artworks (ARTWORK), one row for each: blank text is null, years and lives are summarised."""
    has_price = pl.col(PRICE).is_not_null()
    facts = rows.select(
        non_blank(ARTWORK_ID),
        non_blank(TITLE),
        non_blank(URL),
        non_blank(IMAGE_URL),
        non_blank(LICENCE).str.to_lowercase().fill_null(""),
        # NaN is neither below nor above a bound, so it is replaced by a value that breaks the rule.
        pl.col(PRICE).fill_nan(-1.0),
        pl.when(has_price).then(non_blank(CURRENCY).fill_null("")).alias(PRICE_CURRENCY),
        pl.max_horizontal(pl.col(MUSEUM, MOVEMENT).str.len_chars()).cast(pl.Int64).alias(LONGEST_SEGMENT),
        YEAR_FROM,
        YEAR_TO,
        pl.min_horizontal(YEAR_FROM, YEAR_TO).alias(EARLIEST_YEAR),
        pl.max_horizontal(YEAR_FROM, YEAR_TO).alias(LATEST_YEAR),
        *_lives(),
    )
    in_range = pl.col(EARLIEST_YEAR).ge(rules.min_year) & pl.col(LATEST_YEAR).le(int(day[:4]))
    ordered = (pl.col(YEAR_FROM) <= pl.col(YEAR_TO)).fill_null(True)
    return facts.with_columns(
        (in_range & ordered).alias(DATES_IN_RANGE),
        (pl.col(LATEST_YEAR).cast(pl.Int64) - pl.col(EARLIEST_BIRTH)).alias(AGE_WHEN_FINISHED),
    )


def _lives() -> list[pl.Expr]:
    """The shortest life and the earliest birth of an artwork's creators; the birth is null unless all are known."""
    field = pl.element().struct.field
    life = field("died").cast(pl.Int64) - field("born").cast(pl.Int64)
    is_secondary_role = field("role").str.to_lowercase().str.contains(NOT_THE_MAKER)
    has_attributed_name = (
        field("name")
        .str.to_lowercase()
        .str.contains(r"\b(?:attributed|circle of|follower of|school of|style of|manner of|after|copy|workshop)\b")
    )
    is_not_maker = is_secondary_role | has_attributed_name
    # A creator without a known birth may have begun the artwork. So may another person, if a creator is not its maker.
    birth = pl.when(~is_not_maker.fill_null(False)).then(field("born").cast(pl.Int64)).fill_null(_UNKNOWN_BIRTH)
    return [
        pl.col(CREATORS).list.eval(life).list.min().alias(SHORTEST_LIFE),
        pl.col(CREATORS).list.eval(birth).list.min().replace(_UNKNOWN_BIRTH, None).alias(EARLIEST_BIRTH),
    ]


_UNKNOWN_BIRTH = -(10**9)


def artwork_table_rules(rules: Rules, min_lines: Mapping[str, int]) -> list[TableRule]:
    """The rules for the whole table. `min_lines` maps a source to the fewest lines that it may bring."""
    unknown_columns = sorted(rules.max_null_share.keys() - ARTWORK.keys())
    if unknown_columns:
        raise ConfigError(f"rules.max_null_share names {unknown_columns[0]!r}, which is not a column of an artwork")
    dates = at_most_share(
        rules.max_bad_date_share,
        "dates_in_range",
        IsTrue(DATES_IN_RANGE),
        "The years of nearly all dated artworks are in order and in range.",
    )
    return [
        at_least_rows("min_rows", rules.min_rows, "There are enough artworks."),
        *volume_rules(min_lines),
        *(
            at_most_share(
                share, "nulls", NotNull(_has_value(column)), "Few artworks lack a value in this column.", column
            )
            for column, share in sorted(rules.max_null_share.items())
        ),
        at_most_duplicates(rules.max_duplicate_share, ARTWORK_ID, "Few artworks come more than once."),
        *([dates] if rules.art else []),
    ]


def volume_rules(min_lines: Mapping[str, int]) -> list[TableRule]:
    """One rule for each source: it must bring at least `min_lines[source]` lines."""
    says = "A source brings about as many lines as on its last night that passed."
    return [at_least_rows("volume", minimum, says, source=source) for source, minimum in sorted(min_lines.items())]


def check_artworks(
    rows: pl.DataFrame,
    unmapped: pl.DataFrame,
    rules: Rules,
    day: str,
    *,
    min_lines: Mapping[str, int] | None = None,
    lines_received: Mapping[str, int] | None = None,
) -> CheckedTable:
    """Check the artworks of a night.

    Parameters
    ----------
    rows : frame of LINE and ARTWORK
    unmapped : frame of QUARANTINE
    rules : section of the recipe
    day : run date
    min_lines : source -> fewest lines that it may bring
    lines_received : source -> lines received, counted before mapping

    Raises
    ------
    ConfigError
        If `rules` names a column that does not exist. No values in the data raise an exception.
    """
    table_rules = artwork_table_rules(rules, min_lines or {})
    facts = artwork_facts(rows, rules, day).with_columns(
        rows.select(_true_or_null(column).alias(_has_value(column)) for column in sorted(rules.max_null_share))
    )
    return check(
        "artworks",
        rows,
        facts,
        unmapped,
        key=ARTWORK_ID,
        rules=artwork_rules(rules, day),
        table_rules=table_rules,
        max_quarantine_share=rules.max_quarantine_share,
        lines_received=lines_received,
    )


def _has_value(column: str) -> str:
    """The name of the fact whether the column has a value."""
    return f"{column}_has_value"


def _true_or_null(column: str) -> pl.Expr:
    """True if the column has a value; null if it is null, blank text or an empty list."""
    dtype = ARTWORK[column]
    if isinstance(dtype, pl.List):
        has_value = pl.col(column).list.len() > 0
    elif dtype == pl.String:
        has_value = pl.col(column).str.strip_chars() != ""
    else:
        has_value = pl.col(column).is_not_null()
    return pl.when(has_value).then(pl.lit(True))
