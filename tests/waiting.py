"""Waiting for what another process does."""

import time
from collections.abc import Callable


def wait_until(claim: Callable[[], bool], seconds: float = 120) -> None:
    """Return as soon as the claim holds; fail where it does not in time."""
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.05)
