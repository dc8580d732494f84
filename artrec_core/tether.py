"""Run a command that gets SIGTERM when its parent dies: `python -IS tether.py PARENT COMMAND [ARGUMENT ...]`.

`processes.py` starts every command through this file. It imports nothing of artrec, so that it starts fast.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>; exec does not reset it


def main() -> None:
    """Request the signal from the kernel, if it supports this, and replace this process by the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
        if os.getppid() != parent:  # the parent died before the request
            sys.exit(128 + signal.SIGTERM)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"artrec: {command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
