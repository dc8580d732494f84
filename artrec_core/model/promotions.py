"""The history of promoted model versions, and the rollbacks it allows."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Promotion:
    """One change of the champion: a promotion or, with `back`, a rollback.

    Attributes
    ----------
    version
        The version that became champion.
    instead_of
        The version it replaced, None if there was no champion.
    why
        The reason, for people to read.
    by
        `gate`, `train`, `shell:<user>` or `person:<name>`.
    at
        UTC time, to the second.
    back
        The change is a rollback.
    """

    version: str
    instead_of: str | None
    why: str
    by: str
    at: str
    back: bool = False


def rollback_versions(champion: str, promotions: Sequence[Promotion]) -> list[str]:
    """Versions to which the champion can be rolled back, the latest last.

    A rollback removes the versions that it skipped.

    Parameters
    ----------
    champion
        The version that serves now.
    promotions
        All promotions and rollbacks, oldest first.
    """
    versions: list[str] = []
    for promotion in promotions:
        if promotion.back and promotion.version in versions:
            del versions[versions.index(promotion.version) + 1 :]
            continue
        if not versions and promotion.instead_of is not None:
            versions.append(promotion.instead_of)
        if promotion.version in versions:
            versions.remove(promotion.version)
        versions.append(promotion.version)
    return versions[: versions.index(champion)] if champion in versions else versions


def latest_rollback(version: str, promotions: Sequence[Promotion]) -> Promotion | None:
    """The rollback that replaced this version; None if the version was promoted again since or never rolled back."""
    changes = [change for change in promotions if version in (change.version, change.instead_of)]
    return changes[-1] if changes and changes[-1].back and changes[-1].instead_of == version else None
