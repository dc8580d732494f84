"""Who served when: the promotions of model versions, oldest first, and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Promotion:
    """A version took the place of another (or of none), or with `back` was put back in it.

    `by` is `gate`, `train`, `shell:<user>` or `person:<name>`; `at` a moment in UTC, to the second.
    """

    version: str
    instead_of: str | None
    why: str
    by: str
    at: str
    back: bool = False


def served_before(champion: str, promotions: Sequence[Promotion]) -> list[str]:
    """Versions the champion can be rolled back to, the latest last. A step back forgets the versions it stepped over."""
    served: list[str] = []
    for one in promotions:
        if one.back and one.version in served:
            del served[served.index(one.version) + 1 :]
            continue
        if not served and one.instead_of is not None:
            served.append(one.instead_of)
        if one.version in served:
            served.remove(one.version)
        served.append(one.version)
    return served[: served.index(champion)] if champion in served else served


def step_back(version: str, promotions: Sequence[Promotion]) -> Promotion | None:
    """The step back that took this version's place, unless it was promoted again since."""
    told = [one for one in promotions if version in (one.version, one.instead_of)]
    return told[-1] if told and told[-1].back and told[-1].instead_of == version else None
