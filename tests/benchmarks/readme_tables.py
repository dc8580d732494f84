"""The tables of this folder's README: a benchmark replaces its own, between two marker lines."""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from artrec_core.errors import ArtrecError
from artrec_core.processor import describe_machine

ROOT = Path(__file__).parents[2]
README = Path(__file__).with_name("README.md")
# The folders of an absolute path, also inside a word such as store.lake="/data/lake".
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^/\s\"]+/)*")


class MissingMarker(ArtrecError):
    """The README lacks a marker of a block, has it twice, or has the two in the wrong order."""


def markers(name: str) -> tuple[str, str]:
    """The lines before and after the block of this name."""
    return f"<!-- {name} begin -->", f"<!-- {name} end -->"


def replace_block(text: str, name: str, block: str) -> str:
    """Replace what stands between the markers of a block.

    Parameters
    ----------
    text
        The whole page.
    name
        The name in the markers, such as `topk.py`.
    block
        The new content, without markers.

    Raises
    ------
    MissingMarker
        A marker is missing or stands there twice, or the end marker comes first.
    """
    begin, end = markers(name)
    lines = text.split("\n")
    for marker in (begin, end):
        count = lines.count(marker)
        if count != 1:
            raise MissingMarker(f"the line {marker} stands {count} times in the README; it must stand there once")
    first, last = lines.index(begin), lines.index(end)
    if last < first:
        raise MissingMarker(f"the line {end} stands before {begin} in the README; swap them")
    return "\n".join([*lines[: first + 1], "", block.strip("\n"), "", *lines[last:]])


def write_block(name: str, block: str, readme: Path) -> None:
    """Replace a block of the README's file."""
    readme.write_text(replace_block(readme.read_text(), name, block))


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


class ReadmeTable:
    """A Markdown table that is printed row by row, so that a long run shows what it has, and then written.

    Parameters
    ----------
    name
        The name in the README's markers.
    header
        The titles of the columns.
    """

    def __init__(self, name: str, *header: str) -> None:
        self.name = name
        self._width = len(header)
        self._lines: list[str] = []
        self._print(markdown_row(header))
        self._print("|" + "---|" * len(header))

    def add_row(self, *cells: str) -> None:
        """Print a row and keep it."""
        if len(cells) != self._width:
            raise ValueError(f"a row of {self.name} has {len(cells)} cells, the header {self._width}")
        self._print(markdown_row(cells))

    def finish(self, caption: str, *, write: bool, readme: Path = README) -> None:
        """Print the caption; with `write`, replace the README's block too."""
        print(f"\n{caption}\n", flush=True)
        if write:
            write_block(self.name, self.markdown(caption), readme)
            print(f"written into {readme.name}", flush=True)

    def markdown(self, caption: str) -> str:
        """The rows so far and the caption."""
        return "\n".join([*self._lines, "", caption])

    def _print(self, line: str) -> None:
        self._lines.append(line)
        print(line, flush=True)


class BenchmarkParser(argparse.ArgumentParser):
    """A parser with `--write`, for a script with this docstring that writes the tables of these names.

    A missing marker is an error at once, not after an hour of measuring.
    """

    def __init__(self, description: str | None, *tables: str) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._tables = tables
        self.add_argument(
            "--write", action="store_true", help="replace the script's tables in tests/benchmarks/README.md"
        )

    def parse_options(self) -> argparse.Namespace:
        """The options; ends with the usage if they, or the README's markers, are not right."""
        options = self.parse_args()
        if options.write:
            text = README.read_text()
            for name in self._tables:
                try:
                    replace_block(text, name, "")
                except MissingMarker as error:
                    self.error(str(error))
        return options


def make_caption(
    *,
    sizes: str = "",
    threads: int | None = None,
    machine: str | None = None,
    libraries: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """Say how a table was measured, in one line of Markdown.

    Parameters
    ----------
    sizes
        What was measured, such as "4,096 users, 100,000 artworks".
    threads
        Threads that were used; without it, as many as the process may use.
    machine
        Names the machine instead of the processor, such as a GPU.
    libraries
        Installed packages whose versions matter.
    notes
        Anything else, each a phrase.
    """
    versions = ", ".join(f"{name} {_version_of(name)}" for name in libraries)
    parts = [sizes, *notes, commit_of(ROOT), machine or describe_machine(threads), versions, f"`{_command()}`"]
    line = "; ".join(part for part in parts if part)
    return f"{line[0].upper()}{line[1:]}."


def commit_of(checkout: Path) -> str:
    """Such as "commit 1a2b3c4 + changes"; this README itself does not count as a change."""
    changed = ["status", "--porcelain", "--untracked-files=no", "--", ".", f":!{README.relative_to(ROOT)}"]
    try:
        commit = _git(checkout, ["rev-parse", "--short", "HEAD"])
        return f"commit {commit}{' + changes' if _git(checkout, changed) else ''}"
    except (OSError, subprocess.CalledProcessError):
        return "commit not known"


def _git(checkout: Path, arguments: list[str]) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _command() -> str:
    # Folders of one machine say nothing to a reader: only their last name is shown.
    words = [_FOLDERS.sub(".../", word) for word in sys.argv[1:]]
    return shlex.join(["python", "-m", f"tests.benchmarks.{Path(sys.argv[0]).stem}", *words])
