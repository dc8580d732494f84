"""Processes that end with the command that started them, however that one ends."""

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

# What `kill`, Airflow or Kubernetes sends, and what a terminal sends that is closed.
ENDING = (signal.SIGTERM, signal.SIGHUP)
# So long a child may take to end in order, and a command with its children; then they are killed.
CHILD_SECONDS = 5.0
COMMAND_SECONDS = 8.0
TETHER = Path(__file__).with_name("tether.py")


@contextmanager
def child(
    command: Sequence[str], *, ending: signal.Signals = signal.SIGTERM, **options: Any
) -> Iterator["subprocess.Popen[Any]"]:
    """Start a process that ends with the block: it gets `ending`, and after a grace it and all it started are killed.

    `options` are those of `subprocess.Popen`. Where this process dies without leaving the block, the child gets SIGTERM (`tethered`).
    """
    process = subprocess.Popen(tethered(command), **options)
    try:
        yield process
    finally:
        _end(process, ending)


def run(command: Sequence[str]) -> int:
    """Run a `child` to its end; its exit status, as a shell tells it: 128 and the signal's number where one ended it."""
    with child(command) as process:
        status = process.wait()
    return status if status >= 0 else 128 - status


def tethered(command: Sequence[str]) -> list[str]:
    """The line that runs a command so that it gets SIGTERM when the thread that starts it ends; only Linux can do so.

    Not by `preexec_fn`: between fork and exec, Python may wait for ever for a lock that another thread held.
    """
    return [sys.executable, "-IS", str(TETHER), str(os.getpid()), *command]


@contextmanager
def ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP leave the block by `SystemExit`, so that every `finally` ends what it has to; `nohup` is heeded.

    The exit status is 128 and the signal's number. Where Python hears of the signal too late, in the middle of a long product
    or query, the process and all it started are killed after COMMAND_SECONDS. For the main thread.
    """
    heard: list[int] = []

    def leave(number: int, _: FrameType | None) -> None:
        if not heard:  # a second signal must not cut short what the first one began
            heard.append(number)
            raise SystemExit(128 + number)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(reader, heard), daemon=True).start()
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, leave)
    try:
        yield
    except BaseException:
        if heard:  # Ray, for one, makes another exception of it
            raise SystemExit(128 + heard[0]) from None
        raise
    finally:
        if not heard:
            signal.set_wakeup_fd(woken)
            os.close(writer)
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """SIGTERM and SIGHUP go on doing what they do; for the start of a library that has handlers of its own."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_late(reader: int, heard: list[int]) -> None:
    """Wait for a signal that ends the process, and see to it that it does; return where none can come any more."""
    import psutil  # type: ignore[import-untyped]

    while (told := os.read(reader, 1)) and told[0] not in ENDING:
        pass
    if not told:
        os.close(reader)
        return
    until = time.monotonic() + COMMAND_SECONDS
    while time.monotonic() < until:
        if not heard:  # the kernel may have told another thread, and the main one sleeps on
            signal.pthread_kill(threading.main_thread().ident or 0, told[0])
        time.sleep(0.1)
    _kill(_descendants(psutil.Process()))
    os._exit(128 + told[0])


def _end(process: "subprocess.Popen[Any]", ending: signal.Signals) -> None:
    import psutil

    if process.poll() is not None:
        return
    until = time.monotonic() + CHILD_SECONDS
    leader = psutil.Process(process.pid)
    # Before the signal: what has lost its parent is not found any more.
    family = _descendants(leader)
    process.send_signal(ending)
    with suppress(subprocess.TimeoutExpired):
        process.wait(CHILD_SECONDS)
    left = _left(family, until)
    doomed = [*left, *(late for one in (leader, *left) for late in _descendants(one))]
    _kill(doomed)
    process.kill()
    process.wait()
    _left(doomed, time.monotonic() + 1.0)


def _descendants(process: Any) -> list[Any]:
    import psutil

    try:
        found: list[Any] = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def _left(processes: Sequence[Any], until: float) -> list[Any]:
    """Those that still run at that time; returns as soon as none does.

    Not `psutil.wait_procs`: in a container nobody may bury what has ended, and it would wait for that.
    """
    while (left := [one for one in processes if _runs(one)]) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _runs(process: Any) -> bool:
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill(processes: Sequence[Any]) -> None:
    import psutil

    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.kill()
