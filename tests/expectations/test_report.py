"""The report is whole, reads the same back from JSON, and nothing in it runs."""

from html.parser import HTMLParser

import polars as pl
import pytest

from artrec_core.columns import QUARANTINE, conform
from expectations.artworks import check_artworks
from expectations.report import page_css, validation_page
from expectations.verdict import EXAMPLES_A_RULE, Counts, Result, TableVerdict, Validation, first_break, first_failure
from tests.expectations.worlds import DAY, NONE_UNMAPPED, RULES, artwork, artworks

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Seen(HTMLParser):
    """The tags, attributes and text that a browser would see."""

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


def result(**given: object) -> Result:
    base = {"rule": "volume", "about": "tate", "says": "It says.", "expectation": "E", "stops": True, "success": True}
    return Result.model_validate({**base, "observed": "3 rows", "allowed": "at least 5", **given})


@pytest.fixture(scope="module")
def attacked() -> Validation:
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


def test_markup_in_titles_is_inert(attacked: Validation) -> None:
    page = Seen(validation_page(attacked))
    assert not page.tags & {"script", "img", "iframe", "object", "link", "svg", "a"}
    assert not {name for name in page.attributes if name.startswith("on")}
    assert "the url is javascript:<script>alert(1)</script>" in page.text


def test_the_page_needs_no_network(attacked: Validation) -> None:
    page = Seen(validation_page(attacked))
    assert not page.attributes & {"src", "href"}
    assert "url(" not in page_css()
    assert "@import" not in page_css()


def test_examples_are_capped_a_rule(attacked: Validation) -> None:
    (table,) = attacked.tables
    assert table.quarantined["url_is_http"] == 30
    assert len([one for one in table.examples if one.rule == "url_is_http"]) == EXAMPLES_A_RULE
    assert Seen(validation_page(attacked)).text.count("the url is javascript") == EXAMPLES_A_RULE


def test_the_conservation_sum_stands_on_the_page(attacked: Validation) -> None:
    text = " ".join(Seen(validation_page(attacked)).text.split())
    assert "1,001 received = 970 kept + 31 quarantined + 0 merged as duplicates nothing lost" in text


def test_json_reads_back_as_it_was(attacked: Validation) -> None:
    again = Validation.from_json(attacked.to_json())
    assert again == attacked
    assert again.verdict == "passed"
    assert b'"verdict":"passed"' in attacked.to_json().replace(b": ", b":")


def test_verdicts() -> None:
    fine = TableVerdict(table="events", counts=Counts(received=2, kept=1, merged=1), results=[result()])
    stopped = fine.model_copy(update={"results": [result(success=False), result(success=False, about="")]})
    broke = fine.model_copy(update={"results": [result(success=False, error="KeyError: x"), result(success=False)]})
    lost = fine.model_copy(update={"counts": Counts(received=3, kept=1, merged=1)})
    row_rule = fine.model_copy(update={"results": [result(success=False, stops=False)]})
    assert [validation(one).verdict for one in (fine, row_rule, stopped, broke, lost)] == [
        "passed",
        "passed",
        "stopped",
        "validator broke",
        "validator broke",
    ]
    assert first_failure([fine, stopped]) == "events: volume (tate) is 3 rows, allowed is at least 5 (and 1 more)"
    assert first_break([fine, broke]) == "events: volume (tate): KeyError: x"
    assert first_break([lost]) == "events: 3 lines were received, 1 kept + 0 quarantined + 1 merged are accounted for"
    for one in (fine, stopped, broke, lost):
        assert b"</html>" in validation_page(validation(one))
    assert b"The night was stopped" in validation_page(validation(stopped))
    assert b"KeyError: x" in validation_page(validation(broke))


def test_nothing_received_makes_a_page() -> None:
    empty = check_artworks(artworks([]), NONE_UNMAPPED, RULES, DAY).verdict()
    assert b"0</b> received" in validation_page(validation(empty))
