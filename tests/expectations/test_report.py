"""The report is complete, survives a round trip through JSON, and runs no scripts."""

from html.parser import HTMLParser

import polars as pl
import pytest

from artrec_core.columns import QUARANTINE, conform
from expectations.artworks import check_artworks
from expectations.report import page_css, validation_page
from expectations.verdict import (
    EXAMPLES_PER_RULE,
    Counts,
    Result,
    TableVerdict,
    Validation,
    describe_break,
    describe_failure,
)
from tests.expectations.worlds import DAY, NONE_UNMAPPED, RULES, artwork, artworks

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class ParsedPage(HTMLParser):
    """The tags, attributes and text of a page, as a browser reads them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def validation(*tables: TableVerdict) -> Validation:
    return Validation(recipe="demo", run_date=DAY, tables=list(tables))


def result(**changes: object) -> Result:
    defaults = {
        "rule": "volume",
        "about": "tate",
        "says": "It says.",
        "expectation": "E",
        "stops": True,
        "success": True,
    }
    return Result.model_validate({**defaults, "observed": "3 rows", "allowed": "at least 5", **changes})


@pytest.fixture(scope="module")
def hostile() -> Validation:
    rows = [artwork(number, title=ATTACK, url=f"javascript:{ATTACK}") for number in range(30)]
    unmapped = conform(
        pl.DataFrame(
            {
                "source": [ATTACK],
                "line": [99],
                "rule": [ATTACK],
                "reason": [ATTACK],
                "record": [ATTACK],
                "key": [ATTACK],
            }
        ),
        QUARANTINE,
    )
    good = [artwork(number) for number in range(30, 1000)]
    return validation(check_artworks(artworks([*rows, *good]), unmapped, RULES, DAY).verdict())


def test_markup_in_titles_is_escaped(hostile: Validation) -> None:
    page = ParsedPage(validation_page(hostile))
    assert not page.tags & {"script", "img", "iframe", "object", "link", "svg", "a"}
    assert not {name for name in page.attributes if name.startswith("on")}
    assert "the url is javascript:<script>alert(1)</script>" in page.text


def test_the_page_needs_no_network(hostile: Validation) -> None:
    page = ParsedPage(validation_page(hostile))
    assert not page.attributes & {"src", "href"}
    assert "url(" not in page_css()
    assert "@import" not in page_css()


def test_examples_are_limited_for_each_rule(hostile: Validation) -> None:
    (table,) = hostile.tables
    assert table.quarantined["url_is_http"] == 30
    assert len([example for example in table.examples if example.rule == "url_is_http"]) == EXAMPLES_PER_RULE
    assert ParsedPage(validation_page(hostile)).text.count("the url is javascript") == EXAMPLES_PER_RULE


def test_the_conservation_sum_is_on_the_page(hostile: Validation) -> None:
    text = " ".join(ParsedPage(validation_page(hostile)).text.split())
    assert "1,001 received = 970 kept + 31 quarantined + 0 merged as duplicates nothing lost" in text


def test_json_reads_back_as_it_was(hostile: Validation) -> None:
    again = Validation.from_json(hostile.to_json())
    assert again == hostile
    assert again.verdict == "passed"
    assert b'"verdict":"passed"' in hostile.to_json().replace(b": ", b":")


def test_verdicts() -> None:
    passed = TableVerdict(table="events", counts=Counts(received=2, kept=1, merged=1), results=[result()])
    stopped = passed.model_copy(update={"results": [result(success=False), result(success=False, about="")]})
    unchecked = passed.model_copy(
        update={"results": [result(success=False, error="KeyError: x"), result(success=False)]}
    )
    line_lost = passed.model_copy(update={"counts": Counts(received=3, kept=1, merged=1)})
    row_rule = passed.model_copy(update={"results": [result(success=False, stops=False)]})
    assert [validation(table).verdict for table in (passed, row_rule, stopped, unchecked, line_lost)] == [
        "passed",
        "passed",
        "stopped",
        "validator broke",
        "validator broke",
    ]
    assert describe_failure([passed, stopped]) == "events: volume (tate) is 3 rows, allowed is at least 5 (and 1 more)"
    assert describe_break([passed, unchecked]) == "events: volume (tate): KeyError: x"
    assert (
        describe_break([line_lost])
        == "events: 3 lines were received, but 1 kept + 0 quarantined + 1 merged were counted"
    )
    for table in (passed, stopped, unchecked, line_lost):
        assert b"</html>" in validation_page(validation(table))
    assert b"The night was stopped" in validation_page(validation(stopped))
    assert b"KeyError: x" in validation_page(validation(unchecked))


def test_nothing_received_makes_a_page() -> None:
    empty = check_artworks(artworks([]), NONE_UNMAPPED, RULES, DAY).verdict()
    assert b"0</b> received" in validation_page(validation(empty))
