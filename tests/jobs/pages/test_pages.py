"""The template of the page, and numbers, names and addresses as the page writes them."""

import pytest
from jinja2 import UndefinedError

from jobs.pages import PAGE, count_text, duration_text, figure_text, percent_text, render, table_text, web_address

EMPTY_NIGHT = {
    **dict.fromkeys(("simulated", "coverage", "headline", "checks", "audit", "training", "publication")),
    **dict.fromkeys(("users", "artworks", "events"), 0),
    **dict.fromkeys(
        ("model_versions", "arrivals", "sums", "quarantine", "steps", "strategy_changes", "examples", "missing"), ()
    ),
    **{"recipe": "small", "day": "2026-03-30", "title": "30 March 2026", "strategy": "main"},
}


def test_the_page_escapes_its_values() -> None:
    page = render(PAGE, **{**EMPTY_NIGHT, "recipe": "<b>small</b>"})
    assert "&lt;b&gt;small&lt;/b&gt;" in page
    assert "<b>small</b>" not in page


def test_a_value_that_the_page_lacks_is_an_error() -> None:
    values = {name: value for name, value in EMPTY_NIGHT.items() if name != "strategy"}
    with pytest.raises(UndefinedError, match="strategy"):
        render(PAGE, **values)


def test_count_text() -> None:
    assert count_text(60112) == "60,112"


def test_the_page_says_visitors_for_tables_of_users() -> None:
    assert [table_text(table) for table in ("raw_artworks", "users", "people")] == [
        "raw artworks",
        "visitors",
        "visitors",
    ]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.00001, "< 0.1 %"), (0.0421, "4.2 %"), (0.9999, "100.0 %"), (1, "100 %")]
)
def test_percent_text(share: float, text: str) -> None:
    assert percent_text(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12.4, "12 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")]
)
def test_duration_text(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_figures_of_steps_read_as_words() -> None:
    assert (
        figure_text({"rows_kept": 60112, "by": {"a": 0.5}, "done": True, "none": None})
        == "rows kept 60,112, by (a 0.5), done yes, none none"
    )


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", " javascript:alert(1)", "//x", "data:text/html,x", "http://[", None, 3]
)
def test_only_web_addresses_are_links(address: object) -> None:
    assert web_address(address) is None
    assert web_address("https://example.org/1?a=b") == "https://example.org/1?a=b"
