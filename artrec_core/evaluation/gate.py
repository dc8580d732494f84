"""The gate of a new model version: whether a challenger may take the champion's place, criterion by criterion.

Both are read on the same frozen future (`frozen_future.py`). What breaks a rule is refused; what cannot be told, or looks
strange without being worse, is doubtful: a person decides. A figure that is not a number passes nothing.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from artrec_core.arrays import Float64Array, Int32Array
from artrec_core.config import Gate
from artrec_core.evaluation.holdout import FrozenFuture, Reading
from artrec_core.evaluation.metrics import bootstrap, coverage

Verdict = Literal["accepted", "doubtful", "refused"]
Outcome = Literal["promote", "keep", "refuse", "wait"]
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Criterion:
    """One thing that is asked of a challenger.

    `passed` is None where it could not be measured. What does not pass refuses the challenger, or with `doubt` leaves it to a
    person. `value` and `limit` are None where there is no number.
    """

    name: str
    passed: bool | None
    says: str
    value: float | None = None
    limit: float | None = None
    doubt: bool = False

    @property
    def mark(self) -> str:
        """What came of it, in a word."""
        if self.passed is None:
            return "?"
        return "ok" if self.passed else "doubt" if self.doubt else "no"


@dataclass(frozen=True)
class Decision:
    """What the gate found. `figures` are the numbers it stands on."""

    criteria: tuple[Criterion, ...]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Refused where a rule is broken, doubtful where one cannot be told or only a doubt speaks against it."""
        if any(one.passed is False and not one.doubt for one in self.criteria):
            return "refused"
        return "accepted" if all(one.passed for one in self.criteria) else "doubtful"

    @property
    def against(self) -> str:
        """What speaks against the challenger, in a line; empty where nothing does."""
        wrong = [one for one in self.criteria if not one.passed]
        if self.verdict == "refused":
            wrong = [one for one in wrong if one.passed is False and not one.doubt]
        return "; ".join(f"{one.name}: {one.says}" for one in wrong)

    @property
    def told(self) -> str:
        """The figures in a line."""
        found = self.figures
        if "ndcg@10" not in found:
            return "nothing was held out to measure it by"
        text = f"NDCG@10 {found['ndcg@10']:.4f}, the popular list {found['popularity']:.4f}"
        if "champion" in found:
            text += (
                f", the champion {found['champion']:.4f} (difference {found['difference']:+.4f},"
                f" 95 % from {found['low']:+.4f} to {found['high']:+.4f})"
            )
        return f"{text}; {found['people']:,.0f} people"

    def to_json(self) -> str:
        """As text; `from_json` reads it."""
        return json.dumps({"criteria": [asdict(one) for one in self.criteria], "figures": self.figures})

    @classmethod
    def from_json(cls, text: str) -> "Decision":
        """What `to_json` wrote."""
        read = json.loads(text)
        return cls(tuple(Criterion(**one) for one in read["criteria"]), read["figures"])


def outcome(verdict: Verdict, rules: Gate, promote: bool | None = None) -> Outcome:
    """What follows from a verdict: `keep` registers the challenger and moves nothing, `wait` leaves it to a person.

    `promote` is a person's word given beforehand: False moves nothing; True promotes what would be doubtful, never what is refused.
    """
    if promote is False:
        return "keep"
    if verdict == "refused":
        return "refuse"
    if promote:
        return "promote"
    if verdict == "doubtful":
        return "refuse" if rules.ask == "never" else "wait"
    return "wait" if rules.ask == "always" else "promote"


def decide(
    rules: Gate,
    future: FrozenFuture,
    challenger: Reading,
    champion: Reading | None = None,
    *,
    held_out: bool = True,
    fair: Sequence[bool] | np.ndarray | None = None,
    doubts: Sequence[Criterion] = (),
) -> Decision:
    """Hold a challenger against the champion, and against the popular list.

    Without a champion only the latter counts. `held_out` says whether the recipe holds works out at all: where it does and nobody
    is tested, the challenger is refused. `fair` (n,) marks the people tested whose work the champion was not trained on: the two are
    compared on them alone. `doubts` are criteria of the caller's.
    """
    if challenger.fault is not None:
        return Decision((Criterion("model", False, challenger.fault),))
    criteria = [Criterion("model", True, "its vectors are finite and tell works apart"), _lists(challenger)]
    popular, figures = _beside_popularity(rules, future, challenger, held_out)
    criteria += popular
    if champion is not None:
        same = np.ones(len(future.tested), bool) if fair is None else np.asarray(fair, bool)
        compared, found = _beside_champion(rules, challenger.ndcg[same], champion.ndcg[same], len(same))
        criteria += compared
        figures |= found
        criteria.append(_coverage(rules, future, challenger, champion))
    criteria.append(_popular_share(rules, future, challenger))
    if champion is not None:
        criteria.append(_overlap(rules, challenger, champion))
    return Decision((*criteria, *doubts), {name: value for name, value in figures.items() if math.isfinite(value)})


def _at_least(name: str, value: float, limit: float, says: str, *, doubt: bool = False) -> Criterion:
    """Passed where the value reaches the limit; no number reaches nothing."""
    known = float(value) if math.isfinite(value) else None
    return Criterion(name, bool(value >= limit), says, known, float(limit), doubt)


def _lists(challenger: Reading) -> Criterion:
    filled = float((challenger.lists >= 0).any(axis=1).mean()) if len(challenger.lists) else math.nan
    return _at_least("lists", filled, 1.0, f"{_share(filled)} of the people who have unseen works get a list")


def _beside_popularity(
    rules: Gate, future: FrozenFuture, challenger: Reading, held_out: bool
) -> tuple[list[Criterion], dict[str, float]]:
    tested = len(future.tested)
    if not held_out:
        says = f"{NOT_MEASURED}: train.holdout is false, so nothing is held out"
        return [Criterion("NDCG@10", None, says)], {}
    people = _at_least("people", tested, max(1, rules.min_people), f"{tested:,} tested, at least {rules.min_people:,}")
    if not tested:
        return [people], {}
    own, popular = float(challenger.ndcg.mean()), float(future.popular_ndcg().mean())
    better = Criterion(
        "NDCG@10",
        bool(own > popular),
        f"{own:.4f}, wanted more than the popular list's {popular:.4f}",
        own if math.isfinite(own) else None,
        popular,
    )
    return [people, better], {"ndcg@10": own, "popularity": popular, "people": float(tested)}


def _beside_champion(
    rules: Gate, own: Float64Array, champions: Float64Array, tested: int
) -> tuple[list[Criterion], dict[str, float]]:
    if not tested:
        return [], {}
    fair = len(own)
    if fair < max(1, rules.min_people):
        says = (
            f"{NOT_MEASURED}: the champion was trained on what is held out for {tested - fair:,} of {tested:,} people"
        )
        return [Criterion("champion", None, says)], {"compared": float(fair)}
    found, before = bootstrap(own - champions), float(champions.mean())
    margin, drop = rules.margin * before, -found.mean / before if before > 0 else float(found.mean < 0)
    left_out = f" ({tested - fair:,} left out, whose work it was trained on)" if fair < tested else ""
    criteria = [
        _at_least("not worse", found.high, 0.0, f"difference at most {found.high:+.4f} on {fair:,} people{left_out}"),
        _at_least(
            "drop",
            -drop,
            -rules.max_drop,
            f"{_share(-drop, sign=True)} beside the champion's mean, a loss of {rules.max_drop:.0%} at most",
        ),
        _at_least(
            "margin", found.low, -margin, f"difference at least {found.low:+.4f}, wanted {-margin:+.4f}", doubt=True
        ),
    ]
    figures = {"champion": before, "difference": found.mean, "low": found.low, "high": found.high, "compared": fair}
    return criteria, figures


def _coverage(rules: Gate, future: FrozenFuture, challenger: Reading, champion: Reading) -> Criterion:
    own, before = coverage(challenger.lists, future.works), coverage(champion.lists, future.works)
    says = f"lists show {own:.1%} of the works, the champion's {before:.1%}; at least {rules.min_coverage:.0%} of that"
    return _at_least("coverage", own, rules.min_coverage * before, says)


def _popular_share(rules: Gate, future: FrozenFuture, challenger: Reading) -> Criterion:
    shown = challenger.lists[challenger.lists >= 0]
    share = float(np.isin(shown, future.popular).mean()) if len(shown) else math.nan
    says = f"{_share(share)} of places go to the {len(future.popular):,} most popular works, at most {rules.max_popular:.0%}"
    passed = bool(share <= rules.max_popular)
    return Criterion("popularity", passed, says, share if math.isfinite(share) else None, rules.max_popular)


def _overlap(rules: Gate, challenger: Reading, champion: Reading) -> Criterion:
    share = overlap(challenger.lists, champion.lists)
    says = f"{_share(share)} of the champion's lists stay, at least {rules.min_overlap:.0%}"
    return _at_least("overlap", share, rules.min_overlap, says, doubt=True)


def overlap(lists: Int32Array, before: Int32Array) -> float:
    """Mean share of each list (m, K) of `before` that stands in the same person's list too; NaN where nobody has one."""
    there = (before[:, :, None] == lists[:, None, :]).any(axis=2) & (before >= 0)
    lengths = (before >= 0).sum(axis=1)
    shares = there.sum(axis=1)[lengths > 0] / lengths[lengths > 0]
    return float(shares.mean()) if len(shares) else math.nan


def _share(value: float, *, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "no number"
    return f"{value:+.1%}" if sign else f"{value:.1%}"
