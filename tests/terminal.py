"""A pseudo-terminal for tests: what a program writes to one of its streams when somebody watches."""

import os
import pty
import subprocess
import sys
from typing import Literal

from tests.conftest import ROOT


def run_on_terminal(code: str, stream: Literal["stdout", "stderr"], columns: int) -> tuple[str, bytes]:
    """Run Python code with one stream on a terminal of this width; what the terminal got, and the other stream's bytes."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": str(columns)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: theirs}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **streams) as process:
        os.close(theirs)
        output = b""
        try:
            while chunk := os.read(ours, 4096):
                output += chunk
        except OSError:  # the other end was closed
            os.close(ours)
        piped = process.stderr if stream == "stdout" else process.stdout
        assert piped is not None
        return output.decode(), piped.read()
