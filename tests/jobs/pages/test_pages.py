"""How figures and addresses are written."""

import pytest

from jobs.pages import figure, percent, seconds, web


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0 %"), (0.00001, "< 0.1 %"), (0.0421, "4.2 %"), (0.9999, "100.0 %"), (1, "100 %")]
)
def test_percent(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.42, "0.4 s"), (12.4, "12 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")]
)
def test_seconds(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_figures_of_steps_read_as_words() -> None:
    assert (
        figure({"rows_kept": 60112, "by": {"a": 0.5}, "done": True, "none": None})
        == "rows kept 60,112, by (a 0.5), done yes, none none"
    )


@pytest.mark.parametrize(
    "bad", ["javascript:alert(1)", " javascript:alert(1)", "//x", "data:text/html,x", "http://[", None, 3]
)
def test_only_web_addresses_are_links(bad: object) -> None:
    assert web(bad) is None
    assert web("https://example.org/1?a=b") == "https://example.org/1?a=b"
