"""Becomes a command that gets SIGTERM when its parent dies: `python -IS tether.py PARENT COMMAND [ARGUMENT ...]`.

A file of its own, without imports of ours: it runs before each command that `processes.py` starts.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>; kept by exec


def main() -> None:
    """Ask the kernel for the signal, where it knows how, and go on as the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
        if os.getppid() != parent:  # it died before the kernel was asked
            sys.exit(128 + signal.SIGTERM)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"artrec: {command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
