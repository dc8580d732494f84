"""Progress: a bar in a terminal, plain log lines elsewhere."""

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
    """Show how much of a piece of work is done.

    Parameters
    ----------
    label
        What is done.
    total
        The number of units of work; None if it is not known.

    Yields
    ------
    advance : callable
        To be called with the number of units that were done since the last call.
    """
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as display:
            task = display.add_task(label, total=total)
            yield lambda count: display.advance(task, count)
        return
    yield _log_lines(label, total)


def _log_lines(label: str, total: int | None) -> Callable[[int], None]:
    done = 0
    last_line_at = time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last_line_at
        done += count
        if time.monotonic() - last_line_at >= SECONDS_BETWEEN_LINES:
            last_line_at = time.monotonic()
            log.info("%s: %s", label, f"{done:,}" if total is None else f"{done:,} of {total:,}")

    return advance


@dataclass(frozen=True)
class Stage:
    """A stage of a command.

    Attributes
    ----------
    name : the name by which the stage is told from others
    done, total : how much of the stage is done, in any unit
    text : its progress in words
    """

    name: str
    done: float
    total: float
    text: str


ShowStages = Callable[[Sequence[Stage]], None]


@contextmanager
def stages(command: str) -> Iterator[ShowStages]:
    """Show the stages of a command.

    A terminal shows the latest stage as a bar; a log gets a line about it every SECONDS_BETWEEN_LINES. Both get the last
    text of every stage that has ended.

    Parameters
    ----------
    command
        The command's name, which begins every line.

    Yields
    ------
    show : callable
        To be called with all stages so far, in their order and in their present state.
    """
    if not sys.stderr.isatty():
        with closing(_StageLines(lambda text: log.info("%s: %s", command, text), SECONDS_BETWEEN_LINES)) as lines:
            yield lines.show
        return
    # A column of the default kind would cut a long text off; this one wraps it.
    columns = (BarColumn(bar_width=12), TextColumn("{task.description}", table_column=Column()))
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(f"{command}: starting", total=None)
        print_line = partial(display.console.print, highlight=False, markup=False)

        def show(so_far: Sequence[Stage]) -> None:
            lines.show(so_far)
            for latest in so_far[-1:]:
                text = f"{command}: {latest.text}"
                display.update(task, description=text, completed=latest.done, total=latest.total)

        with closing(_StageLines(lambda text: print_line(f"{command}: {text}"), None)) as lines:
            yield show


class _StageLines:
    """Writes lines about stages: the last text of each stage that has ended, and the latest stage at intervals."""

    def __init__(self, write: Callable[[str], object], interval_seconds: float | None) -> None:
        """`interval_seconds` is None if the latest stage gets no lines before it ends."""
        self._write_line, self._interval_seconds = write, interval_seconds
        self._last_line_at = time.monotonic()
        self._last_texts: dict[str, str] = {}
        self._stages: Sequence[Stage] = ()

    def show(self, so_far: Sequence[Stage]) -> None:
        self._stages = so_far
        for ended in so_far[:-1]:
            self._write(ended)
        is_due = self._interval_seconds is not None and time.monotonic() - self._last_line_at >= self._interval_seconds
        if so_far and is_due:
            self._write(so_far[-1])

    def close(self) -> None:
        for stage in self._stages:
            self._write(stage)

    def _write(self, stage: Stage) -> None:
        if self._last_texts.get(stage.name) != stage.text:
            self._last_texts[stage.name] = stage.text
            self._last_line_at = time.monotonic()
            self._write_line(stage.text)


def time_left(seconds: float) -> str:
    """The remaining time in words: `about 20 s left`, `about 3 min left`, `about 2.5 h left`."""
    if seconds < 55:
        return f"about {max(1, round(seconds / 10)) * 10} s left"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"
