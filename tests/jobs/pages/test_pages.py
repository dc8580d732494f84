"""Numbers and addresses as the page writes them."""

import pytest

from jobs.pages import duration_text, figure_text, percent_text, web_address


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
