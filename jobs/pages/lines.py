"""What the lines of a strategy changed in people's lists, as the score step measured it."""

from dataclasses import dataclass
from typing import Any

from jobs.step import Night

# What a floor or a cap that gave way is called on the page.
GAVE_WAY = {
    "floors": "fewer works of a floor group than asked, there being no more",
    "creator_cap": "more works of one creator than the cap allows, there being too few by others",
    "source_cap": "more works of one source than the cap allows, there being too few of others",
    "exploration": "a new work less than its share, because a cap or a floor stood against it",
    "beyond_filters": "popular works beyond the filters, everything within them being seen",
}


@dataclass(frozen=True)
class Moved:
    """A group's share of all places, before and after."""

    name: str
    before: float
    after: float

    @property
    def top(self) -> float:
        """The larger share."""
        return max(self.before, self.after)


@dataclass(frozen=True)
class Line:
    """What a line changed; pairs are (before, after)."""

    what: str
    people: int
    score_kept: float
    overlap: float
    diversity: tuple[float, float]
    works: tuple[int, int]


@dataclass(frozen=True)
class Lines:
    """The lines of a strategy. `floors` and `exposure` (kind to groups) are those of all lines together."""

    strategy: str
    lines: list[Line]
    floors: list[Moved]
    exposure: dict[str, list[Moved]]
    gave_way: dict[str, int]
    blocked: int


def lines(night: Night) -> list[Lines]:
    """The strategies whose lists are more than the best by score, in order of their names; none where the night was not scored."""
    manifest = night.lake.find_manifest("recommendations", night.day)
    figures: dict[str, Any] = {} if manifest is None else manifest.figures
    changes: dict[str, list[dict[str, Any]]] = {}
    for change in figures.get("changes", []):
        changes.setdefault(change["strategy"], []).append(change)
    gave_way, blocked = figures.get("lists_that_gave_way", {}), figures.get("works_blocked", {})
    return [
        Lines(
            strategy=name,
            lines=[_line(change) for change in changes[name]],
            floors=_moved(changes[name][-1]["floors"]),
            exposure={kind: _moved(shares) for kind, shares in changes[name][-1]["exposure"].items()},
            gave_way={GAVE_WAY.get(what, what): many for what, many in gave_way.get(name, {}).items()},
            blocked=blocked.get(name, 0),
        )
        for name in sorted(changes)
    ]


def _line(change: dict[str, Any]) -> Line:
    pairs = {name: tuple(change[name]) for name in ("diversity", "works")}
    return Line(**{name: change[name] for name in ("what", "people", "score_kept", "overlap")} | pairs)


def _moved(shares: dict[str, tuple[float, float]]) -> list[Moved]:
    return [Moved(name, before, after) for name, (before, after) in shares.items()]
