"""Progress: a bar in a terminal, plain log lines elsewhere."""

import logging

import pytest

from jobs import progress as module
from jobs.progress import Stage, progress, stages, time_left
from tests.terminal import run_on_terminal


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


def stage(name: str, epoch: int) -> Stage:
    return Stage(name, epoch, 3, f"{name} {epoch} of 3")


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [
        (0.0, ["text 1 of 3", "text 2 of 3", "text 3 of 3", "user 1 of 3", "user 2 of 3"]),
        (1000.0, ["text 3 of 3", "user 2 of 3"]),
    ],
)
def test_a_log_has_a_stage_now_and_then_and_always_its_last_line(
    seconds: float, texts: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", seconds)
    caplog.set_level(logging.INFO, "artrec")
    with stages("train") as show:
        show([])
        for epoch in (1, 1, 2):
            show([stage("text", epoch)])
        # Between two calls a stage may have ended and another one started.
        show([stage("text", 3), stage("user", 1)])
        show([stage("text", 3), stage("user", 2)])
    assert caplog.messages == [f"train: {text}" for text in texts]


def test_a_terminal_has_a_bar_and_the_last_line_of_each_stage() -> None:
    code = "from jobs.progress import Stage, stages\n"
    code += "with stages('train') as show:\n"
    code += "    show([Stage('text', 1, 2, 'text tower step 1 of 2')])\n    import time; time.sleep(0.3)\n"
    code += "    show([Stage('text', 2, 2, 'text tower step 2 of 2'), Stage('user', 3, 3, 'user tower epoch 3 of 3')])"
    text, printed = run_on_terminal(code, "stderr", columns=100)
    assert printed == b""
    assert "train: text tower step 1 of 2" in text
    assert "\u2501" in text
    for last in ("train: text tower step 2 of 2\r\n", "train: user tower epoch 3 of 3\r\n"):
        assert last in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2, "about 10 s left"), (44, "about 40 s left"), (100, "about 2 min left"), (9000, "about 2.5 h left")],
)
def test_the_time_left_is_told_in_words(seconds: float, text: str) -> None:
    assert time_left(seconds) == text
