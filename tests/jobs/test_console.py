"""The console: a log is wide, a terminal keeps its own width; and the name of the user at the shell."""

import pytest

from jobs.console import LOG_WIDTH, make_console, shell_user
from tests.terminal import run_on_terminal


@pytest.mark.parametrize(("width", "lines"), [(LOG_WIDTH, 1), (40, 4)])
def test_a_log_is_as_wide_as_the_command_asks(width: int, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    make_console(width).print("x" * LOG_WIDTH)
    assert capsys.readouterr().out.splitlines() == ["x" * width] * lines


def test_a_terminal_keeps_its_own_width() -> None:
    code = "from jobs.console import make_console\nmake_console().print('x' * 100)"
    output, _ = run_on_terminal(code, "stdout", columns=50)
    assert output.splitlines() == ["x" * 50] * 2


def test_the_user_is_named_as_the_registry_names_a_user_at_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert shell_user() == "shell:ada"
