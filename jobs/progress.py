"""A progress display when a person watches, plain log lines when not."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

log = logging.getLogger("artrec")

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields `advance(n)`, to be called as work is done; `total` counts the same units, None where nobody knows it."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as display:
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


@dataclass(frozen=True)
class Stage:
    """A stage of a command by its name: how much of it is done, and what there is to say of it."""

    name: str
    done: float
    total: float
    text: str


Show = Callable[[Sequence[Stage]], None]


@contextmanager
def stages(command: str) -> Iterator[Show]:
    """Yields `show(stages)`, to be called with all stages so far, in their order, each as it is now.

    A terminal has the latest as a bar. A log has a line of it now and then. Both have the last line of every stage.
    """
    if not sys.stderr.isatty():
        with closing(_StageLines(lambda text: log.info("%s: %s", command, text), SECONDS_BETWEEN_LINES)) as lines:
            yield lines.show
        return
    # The text may need a line of its own, so it may be broken.
    columns = (BarColumn(bar_width=12), TextColumn("{task.description}", table_column=Column()))
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(f"{command}: starting", total=None)
        say = partial(display.console.print, highlight=False, markup=False)

        def show(so_far: Sequence[Stage]) -> None:
            lines.show(so_far)
            for latest in so_far[-1:]:
                text = f"{command}: {latest.text}"
                display.update(task, description=text, completed=latest.done, total=latest.total)

        with closing(_StageLines(lambda text: say(f"{command}: {text}"), None)) as lines:
            yield show


class _StageLines:
    """Says the latest stage every so many seconds (None: never), and every stage's last text when it is over."""

    def __init__(self, say: Callable[[str], object], every: float | None) -> None:
        self._say, self._every = say, every
        self._said_at = time.monotonic()
        self._said: dict[str, str] = {}
        self._so_far: Sequence[Stage] = ()

    def show(self, so_far: Sequence[Stage]) -> None:
        self._so_far = so_far
        for over in so_far[:-1]:
            self._tell(over)
        if so_far and self._every is not None and time.monotonic() - self._said_at >= self._every:
            self._tell(so_far[-1])

    def close(self) -> None:
        for over in self._so_far:
            self._tell(over)

    def _tell(self, stage: Stage) -> None:
        if self._said.get(stage.name) != stage.text:
            self._said[stage.name] = stage.text
            self._said_at = time.monotonic()
            self._say(stage.text)


def time_left(seconds: float) -> str:
    """A rough time in words: `about 20 s left`, `about 3 min left`, `about 2.5 h left`."""
    if seconds < 55:
        return f"about {max(1, round(seconds / 10)) * 10} s left"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"
