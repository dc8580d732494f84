"""Seconds that `artrec --help` and one command's help take: `python -m tests.benchmarks.cli_start --help`.

Each run is a new process. A first run does not count: it compiles Python files. `--compare CHECKOUT` also times another
checkout of artrec, in turns with this one, and prints the ratio.
"""

import statistics
from pathlib import Path

from tests.benchmarks.compare_trees import TreeCommand, compare, comparison_cells
from tests.benchmarks.readme_tables import ROOT, BenchmarkParser, ReadmeTable, commit_of, make_caption

TABLE = "cli_start.py"
COMMANDS = {
    "artrec --help": ["python", "-m", "jobs.cli", "--help"],
    "artrec score --help": ["python", "-m", "jobs.cli", "score", "--help"],
}


def measure(command: list[str], runs: int) -> list[float]:
    """Seconds of each run, after one that does not count."""
    return [TreeCommand(ROOT, command).run()[0] for _ in range(runs + 1)][1:]


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--compare", type=Path, metavar="CHECKOUT", help="another checkout of artrec")
    options = parser.parse_options()
    notes = []
    if options.compare:
        other = options.compare.resolve()
        comparisons = {
            name: compare(TreeCommand(ROOT, command), TreeCommand(other, command), options.runs)[0]
            for name, command in COMMANDS.items()
        }
        table = ReadmeTable(TABLE, "command", "seconds", "other checkout", "ratio", "ratio, run by run")
        for name, comparison in comparisons.items():
            table.add_row(f"`{name}`", *comparison_cells(comparison))
        notes.append(f"other checkout: {commit_of(other)}")
    else:
        table = ReadmeTable(TABLE, "command", "seconds, median", "least", "most")
        for name, command in COMMANDS.items():
            seconds = measure(command, options.runs)
            figures = (statistics.median(seconds), min(seconds), max(seconds))
            table.add_row(f"`{name}`", *(f"{figure:.2f}" for figure in figures))
    table.finish(make_caption(sizes=f"{options.runs} runs", notes=notes), write=options.write)


if __name__ == "__main__":
    main()
