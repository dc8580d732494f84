"""The steps of a night by their names: whoever runs one needs no other command's module."""

import importlib

from jobs.step import Step

# The steps in their order, with what each is told besides the recipe and the date.
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
    """The step of the command `jobs.<name>`; `variant` names another of its steps, such as `CHALLENGER` of train."""
    step = getattr(importlib.import_module(f"jobs.{name}"), variant)
    assert isinstance(step, Step)
    return step
