"""The benchmarks' tables in tests/benchmarks/README.md: a script replaces its own and nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.benchmarks.readme_tables import (
    BenchmarkParser,
    MissingMarker,
    ReadmeTable,
    commit_of,
    make_caption,
    replace_block,
)

PAGE = """# Figures

<!-- topk.py begin -->
| old | table |
<!-- topk.py end -->

A sentence that stays.

<!-- encode.py begin -->
<!-- encode.py end -->
"""


def test_the_block_between_the_markers_is_replaced_and_the_rest_stays() -> None:
    page = replace_block(PAGE, "topk.py", "| new |\n|---|\n")
    assert page == PAGE.replace("| old | table |", "\n| new |\n|---|\n")


def test_replacing_twice_with_the_same_block_changes_nothing() -> None:
    once = replace_block(PAGE, "encode.py", "| new |")
    assert replace_block(once, "encode.py", "| new |") == once


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (PAGE, "<!-- train.py begin --> stands 0 times"),
        ("<!-- train.py begin -->\n", "<!-- train.py end --> stands 0 times"),
        ("<!-- train.py begin -->\n" * 2 + "<!-- train.py end -->\n", "begin --> stands 2 times"),
        ("<!-- train.py end -->\n<!-- train.py begin -->\n", "stands before"),
    ],
)
def test_a_missing_doubled_or_swapped_marker_is_named(page: str, message: str) -> None:
    with pytest.raises(MissingMarker, match=message):
        replace_block(page, "train.py", "| new |")


def test_the_printed_table_is_the_written_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(PAGE)
    table = ReadmeTable("topk.py", "engine", "seconds")
    table.add_row("artrec", "0.5")
    table.finish("How it was measured.", write=True, readme=readme)
    rows = "| engine | seconds |\n|---|---|\n| artrec | 0.5 |\n\nHow it was measured."
    assert readme.read_text() == PAGE.replace("| old | table |", f"\n{rows}\n")
    assert capsys.readouterr().out.startswith(rows)


def test_without_write_the_page_stays(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(PAGE)
    ReadmeTable("topk.py", "engine").finish("How it was measured.", write=False, readme=readme)
    assert readme.read_text() == PAGE


def test_a_row_with_a_cell_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 1 cells, the header 2"):
        ReadmeTable("topk.py", "engine", "seconds").add_row("artrec")


def test_a_missing_marker_ends_the_script_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["no_such.py", "--write"])
    with pytest.raises(SystemExit):
        BenchmarkParser("A benchmark.", "no_such.py").parse_options()
    assert "<!-- no_such.py begin --> stands 0 times" in capsys.readouterr().err


def test_the_caption_names_the_size_the_versions_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv", ["/somewhere/tests/benchmarks/topk.py", "--lake", "/data/lake", "--set", 'a="/b/c"', "d/e"]
    )
    caption = make_caption(sizes="five users", machine="A machine", libraries=["pytest", "no-such-package"])
    assert caption.startswith("Five users; commit ")
    assert f"; A machine; pytest {pytest.__version__}, no-such-package not installed; " in caption
    assert caption.endswith("`python -m tests.benchmarks.topk --lake .../lake --set 'a=\".../c\"' d/e`.")


def test_the_commit_says_whether_tracked_files_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    assert commit_of(tmp_path) == "commit not known"
    git("init", "-q")
    for path in ("code.py", "tests/benchmarks/README.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("before")
    git("add", "-A")
    git("commit", "-qm", "first")
    short = git("rev-parse", "--short", "HEAD")
    (tmp_path / "tests/benchmarks/README.md").write_text("a new table")
    (tmp_path / "untracked.txt").write_text("a log")
    assert commit_of(tmp_path) == f"commit {short}"
    (tmp_path / "code.py").write_text("after")
    assert commit_of(tmp_path) == f"commit {short} + changes"
