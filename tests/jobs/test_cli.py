"""The command `artrec`: which commands its help lists, what it imports for that, and how an error ends it."""

import re
import subprocess
import sys
from pathlib import Path

from jobs.cli import PANELS
from tests.conftest import ROOT

# Modules that take long to import and that a list of the commands does not need.
SLOW_MODULES = ["torch", "transformers", "ray", "mlflow", "great_expectations", "jinja2", "tomlkit"]

HELP_THEN_MODULES = """
import sys
from jobs import cli
sys.argv[0] = "artrec"
try:
    cli.main()
except SystemExit:
    pass
print("imported:", *sorted(sys.modules))
"""


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_command_in_its_panel_and_imports_no_slow_module() -> None:
    help_text, _, modules = run_python("-c", HELP_THEN_MODULES, "--help").stdout.partition("imported:")
    positions = [help_text.index(panel) for panel in PANELS]
    assert positions == sorted(positions)
    for panel, names in zip(re.split("|".join(map(re.escape, PANELS)), help_text)[1:], PANELS.values(), strict=True):
        assert re.findall(r"^\W+([a-z]+)  ", panel, flags=re.MULTILINE) == list(names)
    assert "jobs.cli" in modules.split()
    assert not set(SLOW_MODULES) & set(modules.split())


def test_a_command_imports_its_own_module_alone() -> None:
    help_text, _, modules = run_python("-c", HELP_THEN_MODULES, "show", "--help").stdout.partition("imported:")
    assert "artrec show" in help_text
    assert {f"jobs.{name}" for names in PANELS.values() for name in names} & set(modules.split()) == {"jobs.show"}


def test_a_command_that_does_not_exist_is_named() -> None:
    process = run_python("-m", "jobs.cli", "scor")
    assert process.returncode == 2
    assert "No such command 'scor'" in process.stderr


def test_every_module_with_a_command_of_its_own_is_listed() -> None:
    runnable = {path.stem for path in (ROOT / "jobs").glob("*.py") if "def command(" in path.read_text()}
    runnable |= {path.stem for path in (ROOT / "jobs").glob("*.py") if "\nSTEP = Step(" in path.read_text()}
    assert runnable - {"step"} == {name for names in PANELS.values() for name in names}


def test_a_subcommand_of_a_command_is_reached() -> None:
    process = run_python("-m", "jobs.cli", "models", "rollback", "--help")
    assert process.returncode == 0
    assert "models rollback" in process.stdout


def test_an_error_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    process = run_python("-m", "jobs.cli", "crawl", "--config", str(tmp_path / "none.toml"), "--date", "2026-03-30")
    assert process.returncode == 1
    assert process.stderr.startswith(f"artrec: there is no recipe {tmp_path}/none.toml")
    assert process.stderr.count("\n") == 1
