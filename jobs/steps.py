"""The steps of a night by name, so that a command can run a step without importing another command's module."""

import importlib

from jobs.step import Step

# The steps in their order, with the arguments that each gets besides the recipe and the date.
STEPS: dict[str, tuple[str, ...]] = {
    "crawl": (),
    "validate": (),
    "prepare": (),
    "train": ("--if-needed",),
    "embed": (),
    "score": (),
    "publish": (),
    "report": (),
}


def find_step(name: str, variant: str = "STEP") -> Step:
    """The step in the module `jobs.<name>`; `variant` is the name of its constant there, such as `CHALLENGER` in train."""
    step = getattr(importlib.import_module(f"jobs.{name}"), variant)
    assert isinstance(step, Step)
    return step
