"""Plain log lines where nobody watches."""

import logging

import pytest

from jobs import progress as module
from jobs.progress import progress


@pytest.mark.parametrize(("total", "line"), [(1200, "embed: 1,000 of 1,200"), (None, "embed: 1,000")])
def test_lines_tell_how_far_it_is(
    total: int | None, line: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    caplog.set_level(logging.INFO, "artrec")
    with progress("embed", total) as advance:
        advance(1000)
    assert caplog.messages == [line]


def test_a_quick_step_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "artrec")
    with progress("embed", 10) as advance:
        advance(10)
    assert caplog.messages == []
