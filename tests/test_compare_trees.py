"""Two checkouts are timed in turns, and their figures are compared pair by pair."""

import re
from pathlib import Path

import pytest

from tests.benchmarks.compare_trees import Comparison, TreeCommand, compare, comparison_cells, figures_of

COUNTING = """
from pathlib import Path
log = Path("runs.txt")
log.write_text((log.read_text() if log.exists() else "") + "x")
print("artrec", 2 * len(log.read_text()), "and 1,000")
"""


def tree(folder: Path, code: str) -> TreeCommand:
    """A checkout whose command runs this code."""
    folder.mkdir()
    (folder / "measured.py").write_text(code)
    return TreeCommand(folder, ["python", "-m", "measured"])


def test_the_ratio_is_that_of_the_medians() -> None:
    comparison = Comparison("seconds", here=[1.0, 2.0, 9.0], other=[4.0, 1.0, 4.0])
    assert comparison.ratio == 2.0 / 4.0
    assert comparison.ratio_range == (1.0 / 4.0, 9.0 / 4.0)
    assert comparison_cells(comparison) == ["2.000", "4.000", "0.50", "0.25 to 2.25"]


def test_figures_are_the_groups_of_the_pattern_or_the_seconds() -> None:
    assert figures_of(1.5, "d = 64: 0.25 s\nd = 128: 1,300 s\n", re.compile(r": ([\d.,]+) s")) == [0.25, 1300.0]
    assert figures_of(1.5, "anything", None) == [1.5]


def test_each_checkout_runs_its_own_code_and_the_first_run_does_not_count(tmp_path: Path) -> None:
    here, other = tree(tmp_path / "here", COUNTING), tree(tmp_path / "other", COUNTING.replace("2 *", "3 *"))
    growing, constant = compare(here, other, 2, re.compile(r"([\d,]+)"))
    assert (growing.here, growing.other) == ([4.0, 6.0], [6.0, 9.0])
    assert (constant.here, constant.ratio) == ([1000.0, 1000.0], 1.0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('no number')", "the runs print 0 or 2 figures"),
        ("print(0, 0)", "a figure is 0"),
        ("raise ValueError('broken here')", "(?s)failed in .*other.*broken here"),
    ],
)
def test_what_cannot_be_compared_is_an_error(tmp_path: Path, code: str, message: str) -> None:
    here, other = tree(tmp_path / "here", COUNTING), tree(tmp_path / "other", code)
    with pytest.raises(SystemExit, match=message):
        compare(here, other, 1, re.compile(r"([\d,]+)"))
