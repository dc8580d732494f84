"""A progress display when a person watches, plain log lines when not."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger("artrec")

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields `advance(n)`, to be called as work is done; `total` counts the same units, None where nobody knows it."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as display:
            task = display.add_task(label, total=total)
            yield lambda n: display.advance(task, n)
        return
    yield _lines(label, total)


def _lines(label: str, total: int | None) -> Callable[[int], None]:
    done = 0
    said = time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, said
        done += n
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            log.info("%s: %s", label, f"{done:,}" if total is None else f"{done:,} of {total:,}")

    return advance
