"""Locks between processes: one at a time, and whoever waits says why once."""

import logging
import threading
from pathlib import Path

import pytest

from artrec_core.errors import ArtrecError
from artrec_core.locks import hold_lock


def test_the_second_says_that_it_waits_and_goes_on_after_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "artrec")
    lock, order = tmp_path / "new folder" / "lock", []

    def second() -> None:
        with hold_lock(lock, "the first is at work"):
            order.append("second")

    with hold_lock(lock, "nobody"):
        thread = threading.Thread(target=second)
        thread.start()
        while not caplog.messages:
            thread.join(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert caplog.messages == ["the first is at work"]


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtrecError, match="give this user write access"), hold_lock(tmp_path / "file" / "lock", "busy"):
        pass
