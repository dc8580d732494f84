"""What filters and re-ranking constraints change in visitors' lists, from the figures of the score step."""

from dataclasses import dataclass
from typing import Any

from jobs.step import Night

# A relaxed constraint -> how the page says it, after "In 12 lists: ".
RELAXED_TEXTS = {
    "floors": "fewer artworks of a group than its floor asks for, because there are no more",
    "creator_cap": "more artworks of one creator than the cap allows, because there are too few by others",
    "source_cap": "more artworks of one source than the cap allows, because there are too few of others",
    "exploration": "fewer new artworks than exploration asks for, because a cap or a floor excludes them",
    "beyond_filters": "popular artworks that the filters exclude, because the visitor has seen all others",
}


@dataclass(frozen=True)
class ShareChange:
    """The share (0 to 1) of all places that a group of artworks has, before and after."""

    name: str
    before: float
    after: float

    @property
    def largest(self) -> float:
        """The larger share."""
        return max(self.before, self.after)


@dataclass(frozen=True)
class SectionChange:
    """What one section of a strategy changes; see `StrategyImpact`. Pairs are (before, after)."""

    section: str
    users: int
    score_kept: float
    overlap: float
    diversity: tuple[float, float]
    artworks: tuple[int, int]


@dataclass(frozen=True)
class StrategyChanges:
    """What the filters and constraints of a strategy change.

    Attributes
    ----------
    strategy : name of the strategy
    sections : each section alone, then all together
    floors : groups that floors name, for all sections together
    exposure : kind of group -> groups, for all sections together
    relaxed_counts : relaxed constraint, in words -> number of lists
    blocked_artworks : number of artworks that block lists exclude
    """

    strategy: str
    sections: list[SectionChange]
    floors: list[ShareChange]
    exposure: dict[str, list[ShareChange]]
    relaxed_counts: dict[str, int]
    blocked_artworks: int


def strategy_changes(night: Night) -> list[StrategyChanges]:
    """The strategies with filters or constraints, by name; none if the night is not scored."""
    manifest = night.lake.find_manifest("recommendations", night.day)
    figures: dict[str, Any] = {} if manifest is None else manifest.figures
    sections_by_strategy: dict[str, list[dict[str, Any]]] = {}
    for section in figures.get("changes", []):
        sections_by_strategy.setdefault(section["strategy"], []).append(section)
    relaxed_counts, blocked = figures.get("lists_that_gave_way", {}), figures.get("works_blocked", {})
    return [
        StrategyChanges(
            strategy=name,
            sections=[_section_change(section) for section in sections],
            floors=_share_changes(sections[-1]["floors"]),
            exposure={kind: _share_changes(shares) for kind, shares in sections[-1]["exposure"].items()},
            relaxed_counts={
                RELAXED_TEXTS.get(constraint, constraint): count
                for constraint, count in relaxed_counts.get(name, {}).items()
            },
            blocked_artworks=blocked.get(name, 0),
        )
        for name, sections in sorted(sections_by_strategy.items())
    ]


def _section_change(section: dict[str, Any]) -> SectionChange:
    return SectionChange(
        section=section["what"],
        users=section["people"],
        score_kept=section["score_kept"],
        overlap=section["overlap"],
        diversity=tuple(section["diversity"]),
        artworks=tuple(section["works"]),
    )


def _share_changes(shares: dict[str, tuple[float, float]]) -> list[ShareChange]:
    return [ShareChange(name, before, after) for name, (before, after) in shares.items()]
