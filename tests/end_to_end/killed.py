"""Run a step in this process and kill it with SIGKILL at a chosen moment.

`python tests/end_to_end/killed.py MOMENT STEP [ARGUMENT ...]`
"""

import os
import runpy
import signal
import sys
from typing import Any

from artrec_core.lake import Lake


def die(*_: Any, **__: Any) -> None:
    """End as an out-of-memory killer ends a process: at once, with no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_after_the_first_part() -> None:
    """A part lies in the lake that no manifest names."""
    write_part = Lake.write_part

    def write_and_die(*arguments: Any) -> None:
        write_part(*arguments)
        die()

    Lake.write_part = write_and_die  # type: ignore[method-assign, assignment]


def die_before_the_manifest() -> None:
    """All parts are written, the day's manifest is not."""
    Lake.commit = die  # type: ignore[method-assign, assignment]


def die_before_the_note() -> None:
    """The tables stand; the step's own manifest is not written, so it cannot know that it was done."""
    Lake.write_note = die  # type: ignore[method-assign, assignment]


def die_before_the_version_is_registered() -> None:
    """A model is trained and saved, the registry does not know it."""
    from artrec_core.model.registry import Registry

    Registry.register = die  # type: ignore[method-assign, assignment]


def die_between_registering_and_promoting() -> None:
    """The registry holds a version that nothing points to."""
    from artrec_core.model.registry import Registry

    Registry.promote = die  # type: ignore[method-assign, assignment]


def die_before_the_decision_is_kept() -> None:
    """The gate has decided, and nobody knows."""
    from artrec_core.model.registry import Registry

    Registry.note_decision = die  # type: ignore[method-assign, assignment]


MOMENTS = {
    one.__name__: one
    for one in (
        die_after_the_first_part,
        die_before_the_manifest,
        die_before_the_note,
        die_before_the_version_is_registered,
        die_between_registering_and_promoting,
        die_before_the_decision_is_kept,
    )
}

if __name__ == "__main__":
    moment, step, *arguments = sys.argv[1:]
    MOMENTS[moment]()
    sys.argv = [f"jobs.{step}", *arguments]
    runpy.run_module(f"jobs.{step}", run_name="__main__")
