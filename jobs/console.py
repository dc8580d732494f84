"""How commands print tables, and who types them."""

import getpass
import sys

from rich.console import Console

# A log or a pipe is no terminal: its lines need not be folded at 80 characters.
LOG_WIDTH = 160


def make_console(log_width: int = LOG_WIDTH) -> Console:
    """Standard output: as wide as the terminal, or `log_width` characters where it is none."""
    return Console(width=None if sys.stdout.isatty() else log_width)


def shell_user() -> str:
    """Who is at the shell, as the registry names them."""
    return f"shell:{getpass.getuser()}"
