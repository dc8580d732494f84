"""Child processes that end when the command that started them ends, in whatever way."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

# SIGTERM comes from `kill`, Airflow or Kubernetes, SIGHUP from a terminal that is closed.
END_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# Time for a child, or a command with its children, to end after a signal. Then they are killed.
CHILD_SECONDS = 5.0
COMMAND_SECONDS = 8.0
TETHER = Path(__file__).with_name("tether.py")


@contextmanager
def child_process(
    command: Sequence[str], *, end_signal: signal.Signals = signal.SIGTERM, **options: Any
) -> Iterator["subprocess.Popen[Any]"]:
    """Start a process that ends with the block.

    At the end of the block the child gets a signal. If it still runs after `CHILD_SECONDS`, it and its descendants are
    killed. If this process dies inside the block, the child gets SIGTERM (`tether_command`).

    Parameters
    ----------
    command
        The program and its arguments.
    end_signal
        The signal at the end of the block.
    options
        Other options of `subprocess.Popen`.
    """
    process = subprocess.Popen(tether_command(command), **options)
    try:
        yield process
    finally:
        _end(process, end_signal)


def run(command: Sequence[str]) -> int:
    """Run a child process to its end and return its exit status: 128 plus the signal's number if a signal ended it."""
    with child_process(command) as process:
        status = process.wait()
    return status if status >= 0 else 128 - status


def tether_command(command: Sequence[str]) -> list[str]:
    """The command in a form that gets SIGTERM when the thread that starts it ends. This works only on Linux.

    `preexec_fn` is no alternative: between fork and exec, Python may wait forever for a lock of another thread.
    """
    return [sys.executable, "-IS", str(TETHER), str(os.getpid()), *command]


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP within the block into `SystemExit`, so that all `finally` blocks run.

    The exit status is 128 plus the signal's number. A signal that is ignored, as under `nohup`, stays ignored. Python may
    handle the signal late, in the middle of a long matrix product or query. After `COMMAND_SECONDS` the process and its
    descendants are therefore killed. Use it in the main thread.
    """
    received: list[int] = []

    def leave(number: int, _: FrameType | None) -> None:
        if not received:  # a second signal must not interrupt the clean-up after the first
            received.append(number)
            raise SystemExit(128 + number)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    old_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_kill_if_late, args=(reader, received), daemon=True).start()
    old_handlers = {number: signal.getsignal(number) for number in END_SIGNALS}
    for number, handler in old_handlers.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, leave)
    try:
        yield
    except BaseException:
        if received:  # some libraries, such as Ray, raise another exception instead of SystemExit
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        if not received:
            signal.set_wakeup_fd(old_wakeup)
            os.close(writer)
            for number, handler in old_handlers.items():
                signal.signal(number, handler)


@contextmanager
def keep_signal_handlers() -> Iterator[None]:
    """Restore the handlers of SIGTERM and SIGHUP after the block; for the start of a library that sets its own."""
    old_handlers = {number: signal.getsignal(number) for number in END_SIGNALS}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in old_handlers.items():
            signal.signal(number, handler)


def _kill_if_late(reader: int, received: list[int]) -> None:
    """Wait for an end signal and kill the process if it does not end in time; return when the pipe is closed."""
    import psutil  # type: ignore[import-untyped]

    while (number := os.read(reader, 1)) and number[0] not in END_SIGNALS:
        pass
    if not number:
        os.close(reader)
        return
    deadline = time.monotonic() + COMMAND_SECONDS
    while time.monotonic() < deadline:
        if not received:  # the kernel may have sent it to another thread, while the main thread sleeps
            signal.pthread_kill(threading.main_thread().ident or 0, number[0])
        time.sleep(0.1)
    _kill(_descendants(psutil.Process()))
    os._exit(128 + number[0])


def _end(process: "subprocess.Popen[Any]", end_signal: signal.Signals) -> None:
    import psutil

    if process.poll() is not None:
        return
    deadline = time.monotonic() + CHILD_SECONDS
    leader = psutil.Process(process.pid)
    # Listed before the signal: a process that has lost its parent cannot be found any more.
    descendants = _descendants(leader)
    process.send_signal(end_signal)
    with suppress(subprocess.TimeoutExpired):
        process.wait(CHILD_SECONDS)
    remaining = _wait_for(descendants, deadline)
    to_kill = [*remaining, *(child for parent in (leader, *remaining) for child in _descendants(parent))]
    _kill(to_kill)
    process.kill()
    process.wait()
    _wait_for(to_kill, time.monotonic() + 1.0)


def _descendants(process: Any) -> list[Any]:
    import psutil

    try:
        descendants: list[Any] = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return descendants


def _wait_for(processes: Sequence[Any], deadline: float) -> list[Any]:
    """Wait until all processes have ended, at most until the deadline; return those that still run.

    `psutil.wait_procs` would also wait for zombies, which in a container may never be reaped.
    """
    while (running := [process for process in processes if _is_running(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


def _is_running(process: Any) -> bool:
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill(processes: Sequence[Any]) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
