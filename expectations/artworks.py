"""The gate of the artworks."""

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
    Holds,
    Matches,
    NotBelow,
    OneOf,
    Present,
    Rule,
    TableRule,
    Within,
    at_most,
    enough_rows,
    few_duplicates,
    present,
    say,
)
from expectations.verdict import Checked

# Facts: what the rules read of an artwork beside its own columns.
FIRST_YEAR = "first_year"
LAST_YEAR = "last_year"
SHORTEST_LIFE = "shortest_life"
FIRST_BIRTH = "first_birth"
FINISHED_AT_AGE = "finished_at_age"
PRICED_IN = "priced_in"
LONGEST_SEGMENT = "longest_segment"
DATES_IN_RANGE = "dates_in_range"

# Not a space, a control character or a slash: a host of any script follows.
HTTP = r"[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20/]"
CURRENCY_CODE = "[A-Z][A-Z][A-Z]"

# Both the year of a work and the birth of its maker are often guesses; only what no guess explains is an error.
YEARS_OF_DOUBT = 5

# Whoever bound, printed, sold or restored an old work was born after it; so was whoever it is only said to be near.
NOT_THE_MAKER = re.compile(
    "attribut|circle|follower|school|style|manner|after|copy|bind|print|publish|retail|dealer|own|collect|patron"
    "|restor|foundr|cast|fabricat|manufactur|engrav|workshop|studio|unknown|possibly|probably"
).pattern


def artwork_rules(rules: Rules, day: str) -> list[Rule]:
    """What every artwork must hold."""
    always = [
        Rule("has_artwork_id", Present(ARTWORK_ID), "An artwork has an id.", say("there is no artwork id")),
        Rule("has_title", Present(TITLE), "An artwork has a title.", say("there is no title")),
        Rule("url_is_http", Matches(URL, HTTP), "The page's address is http(s).", say("the url is {}", URL)),
        Rule(
            "image_url_is_http",
            Matches(IMAGE_URL, HTTP),
            "The image's address is http(s).",
            say("the image url is {}", IMAGE_URL),
        ),
        Rule(
            "price_is_not_negative",
            Within(PRICE, 0.0, sys.float_info.max),
            "A price is a number of 0 or more.",
            say("the price is {}", PRICE),
        ),
        Rule(
            "price_has_currency",
            Matches(PRICED_IN, CURRENCY_CODE),
            "A price has a currency, three capital letters.",
            say("the price is {} but its currency {}", PRICE, CURRENCY),
        ),
        Rule(
            "segments_are_short",
            Within(LONGEST_SEGMENT, high=LONGEST_ID),
            f"Museum and movement, which are keys of the popular artworks, have at most {LONGEST_ID} characters each.",
            say("its museum or its movement has {} characters", f"fact_{LONGEST_SEGMENT}"),
        ),
    ]
    return [*always, *_art_rules(rules, day)] if rules.art else always


def _art_rules(rules: Rules, day: str) -> list[Rule]:
    """The rules that only make sense for art."""
    this_year = int(day[:4])
    return [
        Rule(
            "years_are_ordered",
            NotBelow(YEAR_TO, YEAR_FROM),
            "The last year of making is not before the first.",
            say("it was made from {} to {}", YEAR_FROM, YEAR_TO),
        ),
        Rule(
            "year_is_not_too_early",
            Within(FIRST_YEAR, low=rules.min_year),
            f"The first year of making is {rules.min_year} or later.",
            say("its first year is {}", f"fact_{FIRST_YEAR}"),
        ),
        Rule(
            "year_is_not_in_the_future",
            Within(LAST_YEAR, high=this_year),
            "The last year of making is not after the night's.",
            say(f"its last year is {{}}, after {this_year}", f"fact_{LAST_YEAR}"),
        ),
        Rule(
            "lives_are_ordered",
            Within(SHORTEST_LIFE, low=0),
            "No creator died before being born.",
            say("a creator died {} years before being born", -pl.col(f"fact_{SHORTEST_LIFE}")),
        ),
        Rule(
            "made_after_birth",
            Within(FINISHED_AT_AGE, low=-YEARS_OF_DOUBT),
            f"A work was not finished more than {YEARS_OF_DOUBT} years before the first of its makers was born"
            " (attributions, printers, binders and such aside).",
            say(
                "it was finished in {}, {} years before its first maker was born",
                f"fact_{LAST_YEAR}",
                -pl.col(f"fact_{FINISHED_AT_AGE}"),
            ),
        ),
        Rule(
            "licence_is_open",
            OneOf(LICENCE, tuple(one.lower() for one in rules.open_licences)),
            f"The licence is known and open: {', '.join(rules.open_licences)}.",
            say("the licence is {}", LICENCE),
        ),
    ]


def artwork_facts(rows: pl.DataFrame, rules: Rules, day: str) -> pl.DataFrame:
    """What the rules read of the artworks (ARTWORK columns), row by row: blank text is null, lives and years summed up."""
    priced = pl.col(PRICE).is_not_null()
    facts = rows.select(
        present(ARTWORK_ID),
        present(TITLE),
        present(URL),
        present(IMAGE_URL),
        present(LICENCE).str.to_lowercase().fill_null(""),
        # NaN would be neither below nor above anything.
        pl.col(PRICE).fill_nan(-1.0),
        pl.when(priced).then(present(CURRENCY).fill_null("")).alias(PRICED_IN),
        pl.max_horizontal(pl.col(MUSEUM, MOVEMENT).str.len_chars()).cast(pl.Int64).alias(LONGEST_SEGMENT),
        YEAR_FROM,
        YEAR_TO,
        pl.min_horizontal(YEAR_FROM, YEAR_TO).alias(FIRST_YEAR),
        pl.max_horizontal(YEAR_FROM, YEAR_TO).alias(LAST_YEAR),
        *_lives(),
    )
    in_range = pl.col(FIRST_YEAR).ge(rules.min_year) & pl.col(LAST_YEAR).le(int(day[:4]))
    ordered = (pl.col(YEAR_FROM) <= pl.col(YEAR_TO)).fill_null(True)
    return facts.with_columns(
        (in_range & ordered).alias(DATES_IN_RANGE),
        (pl.col(LAST_YEAR).cast(pl.Int64) - pl.col(FIRST_BIRTH)).alias(FINISHED_AT_AGE),
    )


def _lives() -> list[pl.Expr]:
    """The shortest life of an artwork's creators; the first birth among its makers, null unless all births are known."""
    one = pl.element().struct
    life = one.field("died").cast(pl.Int64) - one.field("born").cast(pl.Int64)
    near = one.field("role").str.to_lowercase().str.contains(NOT_THE_MAKER) | one.field(
        "name"
    ).str.to_lowercase().str.contains(
        r"\b(?:attributed|circle of|follower of|school of|style of|manner of|after|copy|workshop)\b"
    )
    # Somebody else may have begun it: a birth that is not known, or a role that is not making, settles nothing.
    birth = pl.when(~near.fill_null(False)).then(one.field("born").cast(pl.Int64)).fill_null(_NEVER)
    return [
        pl.col(CREATORS).list.eval(life).list.min().alias(SHORTEST_LIFE),
        pl.col(CREATORS).list.eval(birth).list.min().replace(_NEVER, None).alias(FIRST_BIRTH),
    ]


_NEVER = -(10**9)


def artwork_table_rules(rules: Rules, least: Mapping[str, int]) -> list[TableRule]:
    """What stops the night; `least` are the fewest lines a source may bring, after its last committed night."""
    unknown = sorted(rules.max_null_share.keys() - ARTWORK.keys())
    if unknown:
        raise ConfigError(f"rules.max_null_share names {unknown[0]!r}, which is no column of the artworks")
    dates = at_most(
        rules.max_bad_date_share,
        "dates_in_range",
        Holds(DATES_IN_RANGE),
        "The years of nearly all dated works are in order and in range.",
    )
    return [
        enough_rows("min_rows", rules.min_rows, "There are artworks enough."),
        *volume_rules(least),
        *(
            at_most(share, "nulls", Present(_or_null(column)), "Few artworks lack the column.", column)
            for column, share in sorted(rules.max_null_share.items())
        ),
        few_duplicates(rules.max_duplicate_share, ARTWORK_ID, "Few artworks come twice."),
        *([dates] if rules.art else []),
    ]


def volume_rules(least: Mapping[str, int]) -> list[TableRule]:
    """A rule a source: it brings about as much as on its last committed night."""
    says = "A source brings about as much as on its last committed night."
    return [enough_rows("volume", fewest, says, source=source) for source, fewest in sorted(least.items())]


def check_artworks(
    rows: pl.DataFrame,
    unmapped: pl.DataFrame,
    rules: Rules,
    day: str,
    *,
    least: Mapping[str, int] | None = None,
    received: Mapping[str, int] | None = None,
) -> Checked:
    """Judge a night's artworks.

    `rows` hold LINE and ARTWORK, `unmapped` QUARANTINE. Nothing is raised for what the data holds; `ConfigError` where
    the rules name a column that there is not.
    """
    table_rules = artwork_table_rules(rules, least or {})
    facts = artwork_facts(rows, rules, day).with_columns(
        rows.select(_emptied(column).alias(_or_null(column)) for column in sorted(rules.max_null_share))
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
        received=received,
    )


def _or_null(column: str) -> str:
    return f"given_{column}"


def _emptied(column: str) -> pl.Expr:
    """True where the column says something, null where it is null, blank or an empty list."""
    dtype = ARTWORK[column]
    if isinstance(dtype, pl.List):
        says = pl.col(column).list.len() > 0
    elif dtype == pl.String:
        says = pl.col(column).str.strip_chars() != ""
    else:
        says = pl.col(column).is_not_null()
    return pl.when(says).then(pl.lit(True))
