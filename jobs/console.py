"""The console that commands print tables on, and the user at the shell."""

import getpass
import sys

from rich.console import Console

# A log or a pipe has no width: its lines need not be folded at 80 characters.
LOG_WIDTH = 160


def make_console(log_width: int = LOG_WIDTH) -> Console:
    """Standard output as a console: as wide as the terminal, or `log_width` characters if it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else log_width)


def shell_user() -> str:
    """The user at the shell, as the registry writes it: `shell:ada`."""
    return f"shell:{getpass.getuser()}"
