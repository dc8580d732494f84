"""Time a command in two checkouts of artrec, in turns: `python -m tests.benchmarks.compare_trees OTHER -- COMMAND`.

This checkout and OTHER run the command alternately, so that other work on the machine slows both. Each run is a new
process with the checkout as its folder and its PYTHONPATH. `python` in a command means this interpreter. A first run of
each does not count. If names of scripts or options differ, `--other-command` gives the command of the other checkout.

By default the time of the whole process is compared. With `--figure REGEX`, the numbers that the regular expression's
first group finds in the output are compared instead: the n-th number of one checkout with the n-th of the other.

    python -m tests.benchmarks.compare_trees ../before --runs 5 \\
        --figure 'random.*?\\| (\\d+\\.\\d+) \\|' -- \\
        python -m tests.benchmarks.topk --dims 64 --k 10 --exclude 0
"""

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.readme_tables import ROOT, commit_of, make_caption, markdown_row


@dataclass(frozen=True)
class TreeCommand:
    """A command of one checkout."""

    checkout: Path
    command: Sequence[str]

    def run(self) -> tuple[float, str]:
        """Seconds of the process, and its output; ends with the last lines of its errors if it fails."""
        words = [sys.executable if word == "python" else word for word in self.command]
        environment = os.environ | {"PYTHONPATH": str(self.checkout)}
        start = time.perf_counter()
        result = subprocess.run(words, cwd=self.checkout, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if result.returncode:
            raise SystemExit(f"{shlex.join(self.command)} failed in {self.checkout}:\n{result.stderr[-3000:]}")
        return seconds, result.stdout


@dataclass(frozen=True)
class Comparison:
    """The figures of one measure in two checkouts, run by run."""

    name: str
    here: list[float]
    other: list[float]

    @property
    def ratio(self) -> float:
        """Median here over median in the other checkout: below 1, this checkout is faster if figures are times."""
        return statistics.median(self.here) / statistics.median(self.other)

    @property
    def ratio_range(self) -> tuple[float, float]:
        """The least and the greatest ratio of two neighbouring runs."""
        ratios = [here / other for here, other in zip(self.here, self.other, strict=True)]
        return min(ratios), max(ratios)


def figures_of(seconds: float, output: str, pattern: re.Pattern[str] | None) -> list[float]:
    """The numbers of one run: its seconds, or what the first group of `pattern` finds in its output."""
    if pattern is None:
        return [seconds]
    return [float(match.group(1).replace(",", "")) for match in pattern.finditer(output)]


def compare(
    here: TreeCommand, other: TreeCommand, runs: int, pattern: re.Pattern[str] | None = None
) -> list[Comparison]:
    """Run two commands alternately.

    Parameters
    ----------
    here, other
        The commands. Which of them goes first changes from run to run.
    runs
        Runs of each that count; one more run of each goes before.
    pattern
        Finds the figures in the output; None compares the seconds of the process.

    Raises
    ------
    SystemExit
        A command fails, a figure is 0, or the two do not print the same number of figures.
    """
    figures: dict[str, list[list[float]]] = {"here": [], "other": []}
    for run in range(runs + 1):
        order = [("here", here), ("other", other)]
        for side, tree in order if run % 2 else order[::-1]:
            numbers = figures_of(*tree.run(), pattern)
            if run:
                figures[side].append(numbers)
                print(f"run {run}, {side}: {' '.join(f'{number:.3f}' for number in numbers)}", flush=True)
    counts = {len(numbers) for side in figures.values() for numbers in side}
    if len(counts) != 1 or counts == {0}:
        raise SystemExit(f"the runs print {' or '.join(map(str, sorted(counts)))} figures; adapt --figure")
    if any(number == 0 for side in figures.values() for numbers in side for number in numbers):
        raise SystemExit("a figure is 0: measure something larger, or adapt --figure")
    return list(_comparisons(figures, counts.pop()))


def _comparisons(figures: dict[str, list[list[float]]], count: int) -> Iterator[Comparison]:
    for index in range(count):
        name = "seconds" if count == 1 else f"figure {index + 1}"
        yield Comparison(name, *([numbers[index] for numbers in figures[side]] for side in ("here", "other")))


def comparison_cells(comparison: Comparison) -> list[str]:
    """Medians, their ratio and the range of the ratio, as cells of a table."""
    low, high = comparison.ratio_range
    medians = (f"{statistics.median(values):.3f}" for values in (comparison.here, comparison.other))
    return [*medians, f"{comparison.ratio:.2f}", f"{low:.2f} to {high:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("command", nargs="+", help="the command, after --")
    parser.add_argument("--other-command", type=shlex.split, help="the command in the other checkout, in one string")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--figure", type=re.compile, metavar="REGEX", help="its first group finds the figures to compare"
    )
    options = parser.parse_args()
    other = options.other.resolve()
    comparisons = compare(
        TreeCommand(ROOT, options.command),
        TreeCommand(other, options.other_command or options.command),
        options.runs,
        options.figure,
    )
    print()
    print(markdown_row(["", "here, median", "other, median", "here / other", "run by run"]))
    print("|---|---|---|---|---|")
    for comparison in comparisons:
        print(markdown_row([comparison.name, *comparison_cells(comparison)]))
    print(f"\n{make_caption(sizes=f'{options.runs} runs each', notes=[f'other: {commit_of(other)}'])}")


if __name__ == "__main__":
    main()
