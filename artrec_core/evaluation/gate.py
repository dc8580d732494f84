"""The promotion gate: whether a challenger may replace the champion, criterion by criterion.

Both models are measured on the same held-out split (`holdout.py`). A challenger that breaks a rule is refused. It is
doubtful if a rule cannot be measured, or if its lists are unusual without being worse: then a person decides. A value
that is not a number passes no criterion.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from artrec_core.arrays import Float64Array, Int32Array
from artrec_core.config import Gate
from artrec_core.evaluation.holdout import HeldOutResult, HeldOutSplit
from artrec_core.evaluation.metrics import bootstrap, coverage

Verdict = Literal["accepted", "doubtful", "refused"]
Outcome = Literal["promote", "keep", "refuse", "wait"]
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Criterion:
    """One requirement of a challenger.

    `passed` is None if the criterion could not be measured. A failed criterion refuses the challenger; with `doubt`
    it leaves the decision to a person. `says` explains the result. `value` and `limit` are None if there is no
    number.
    """

    name: str
    passed: bool | None
    says: str
    value: float | None = None
    limit: float | None = None
    doubt: bool = False

    @property
    def mark(self) -> str:
        """The result in one word."""
        if self.passed is None:
            return "?"
        return "ok" if self.passed else "doubt" if self.doubt else "no"


@dataclass(frozen=True)
class Decision:
    """The gate's decision: its criteria, and the metrics that they are based on."""

    criteria: tuple[Criterion, ...]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Refused if a rule is broken; doubtful if one could not be measured or only a doubt failed; else accepted."""
        if any(criterion.passed is False and not criterion.doubt for criterion in self.criteria):
            return "refused"
        return "accepted" if all(criterion.passed for criterion in self.criteria) else "doubtful"

    @property
    def objections(self) -> str:
        """The criteria that led to the verdict, in one line; empty if the challenger is accepted."""
        failures = [criterion for criterion in self.criteria if not criterion.passed]
        if self.verdict == "refused":
            failures = [criterion for criterion in failures if criterion.passed is False and not criterion.doubt]
        return "; ".join(f"{criterion.name}: {criterion.says}" for criterion in failures)

    @property
    def summary(self) -> str:
        """The metrics in one line."""
        figures = self.figures
        if "ndcg@10" not in figures:
            return "nothing was held out to measure it by"
        text = f"NDCG@10 {figures['ndcg@10']:.4f}, popularity baseline {figures['popularity']:.4f}"
        if "champion" in figures:
            text += (
                f", champion {figures['champion']:.4f} (difference {figures['difference']:+.4f},"
                f" 95 % interval {figures['low']:+.4f} to {figures['high']:+.4f})"
            )
        return f"{text}; {figures['people']:,.0f} users"

    def to_json(self) -> str:
        """The decision as JSON text, which `from_json` reads."""
        criteria = [asdict(criterion) for criterion in self.criteria]
        return json.dumps({"criteria": criteria, "figures": self.figures})

    @classmethod
    def from_json(cls, text: str) -> "Decision":
        """Read the text that `to_json` returns."""
        content = json.loads(text)
        return cls(tuple(Criterion(**fields) for fields in content["criteria"]), content["figures"])


def outcome(verdict: Verdict, rules: Gate, promote: bool | None = None) -> Outcome:
    """Decide what follows from a verdict.

    Parameters
    ----------
    verdict
        The gate's verdict.
    rules
        The recipe's gate section; `ask` says when a person decides.
    promote
        A person's choice in advance. False promotes nothing; True promotes a doubtful challenger, but never a refused
        one.

    Returns
    -------
    `keep` registers the challenger and moves no alias. `wait` leaves the decision to a person.
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
    split: HeldOutSplit,
    challenger: HeldOutResult,
    champion: HeldOutResult | None = None,
    *,
    held_out: bool = True,
    fair: Sequence[bool] | np.ndarray | None = None,
    doubts: Sequence[Criterion] = (),
) -> Decision:
    """Compare a challenger with the champion and with the popularity baseline.

    Parameters
    ----------
    rules
        The recipe's gate section.
    split
        The held-out split that both models were measured on.
    challenger, champion
        Their results. Without a champion, only the popularity baseline counts.
    held_out
        Whether the recipe holds artworks out. If it does and no user is tested, the challenger is refused.
    fair
        Whether the champion was not trained on a tested user's held-out artwork, (n,). Only these users are compared.
    doubts
        Further criteria of the caller.
    """
    if challenger.fault is not None:
        return Decision((Criterion("model", False, challenger.fault),))
    criteria = [
        Criterion("model", True, "its vectors are finite and its scores differ between artworks"),
        _list_criterion(challenger),
    ]
    baseline_criteria, figures = _compare_with_popularity(rules, split, challenger, held_out)
    criteria += baseline_criteria
    if champion is not None:
        is_fair = np.ones(len(split.tested_users), bool) if fair is None else np.asarray(fair, bool)
        champion_criteria, champion_figures = _compare_with_champion(
            rules, challenger.ndcg[is_fair], champion.ndcg[is_fair], len(is_fair)
        )
        criteria += champion_criteria
        figures |= champion_figures
        criteria.append(_coverage_criterion(rules, split, challenger, champion))
    criteria.append(_popularity_criterion(rules, split, challenger))
    if champion is not None:
        criteria.append(_overlap_criterion(rules, challenger, champion))
    return Decision((*criteria, *doubts), {name: value for name, value in figures.items() if math.isfinite(value)})


def _at_least(name: str, value: float, limit: float, says: str, *, doubt: bool = False) -> Criterion:
    """A criterion that passes if the value reaches the limit; NaN never does."""
    finite_value = float(value) if math.isfinite(value) else None
    return Criterion(name, bool(value >= limit), says, finite_value, float(limit), doubt)


def _list_criterion(challenger: HeldOutResult) -> Criterion:
    share = float((challenger.lists >= 0).any(axis=1).mean()) if len(challenger.lists) else math.nan
    return _at_least("lists", share, 1.0, f"{_percent(share)} of the users with unseen artworks get a list")


def _compare_with_popularity(
    rules: Gate, split: HeldOutSplit, challenger: HeldOutResult, held_out: bool
) -> tuple[list[Criterion], dict[str, float]]:
    user_count = len(split.tested_users)
    if not held_out:
        says = f"{NOT_MEASURED}: train.holdout is false, so nothing is held out"
        return [Criterion("NDCG@10", None, says)], {}
    says = f"{user_count:,} users tested, required at least {rules.min_users:,}"
    enough_users = _at_least("people", user_count, max(1, rules.min_users), says)
    if not user_count:
        return [enough_users], {}
    ndcg, baseline = float(challenger.ndcg.mean()), float(split.popularity_ndcg().mean())
    better = Criterion(
        "NDCG@10",
        bool(ndcg > baseline),
        f"{ndcg:.4f}, required more than the popularity baseline's {baseline:.4f}",
        ndcg if math.isfinite(ndcg) else None,
        baseline,
    )
    return [enough_users, better], {"ndcg@10": ndcg, "popularity": baseline, "people": float(user_count)}


def _compare_with_champion(
    rules: Gate, challenger_ndcg: Float64Array, champion_ndcg: Float64Array, tested_count: int
) -> tuple[list[Criterion], dict[str, float]]:
    if not tested_count:
        return [], {}
    fair_count = len(challenger_ndcg)
    excluded_count = tested_count - fair_count
    if fair_count < max(1, rules.min_users):
        says = (
            f"{NOT_MEASURED}: the champion was trained on the held-out artworks of"
            f" {excluded_count:,} of {tested_count:,} users"
        )
        return [Criterion("champion", None, says)], {"compared": float(fair_count)}
    difference, champion_mean = bootstrap(challenger_ndcg - champion_ndcg), float(champion_ndcg.mean())
    margin = rules.margin * champion_mean
    drop = -difference.mean / champion_mean if champion_mean > 0 else float(difference.mean < 0)
    excluded = f" ({excluded_count:,} users excluded: it was trained on their artworks)" if excluded_count else ""
    criteria = [
        _at_least(
            "not worse",
            difference.high,
            0.0,
            f"difference at most {difference.high:+.4f} on {fair_count:,} users{excluded}",
        ),
        _at_least(
            "drop",
            -drop,
            -rules.max_drop,
            f"{_percent(-drop, sign=True)} of the champion's mean, allowed loss {rules.max_drop:.0%}",
        ),
        _at_least(
            "margin",
            difference.low,
            -margin,
            f"difference at least {difference.low:+.4f}, required {-margin:+.4f}",
            doubt=True,
        ),
    ]
    figures = {
        "champion": champion_mean,
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "compared": fair_count,
    }
    return criteria, figures


def _coverage_criterion(
    rules: Gate, split: HeldOutSplit, challenger: HeldOutResult, champion: HeldOutResult
) -> Criterion:
    share = coverage(challenger.lists, split.artwork_count)
    champion_share = coverage(champion.lists, split.artwork_count)
    says = (
        f"lists show {share:.1%} of the artworks, the champion's {champion_share:.1%};"
        f" required at least {rules.min_coverage:.0%} of the champion's share"
    )
    return _at_least("coverage", share, rules.min_coverage * champion_share, says)


def _popularity_criterion(rules: Gate, split: HeldOutSplit, challenger: HeldOutResult) -> Criterion:
    listed_ids = challenger.lists[challenger.lists >= 0]
    share = float(np.isin(listed_ids, split.popular).mean()) if len(listed_ids) else math.nan
    says = (
        f"{_percent(share)} of places go to the {len(split.popular):,} most popular artworks,"
        f" allowed at most {rules.max_popular:.0%}"
    )
    is_passed = bool(share <= rules.max_popular)
    return Criterion("popularity", is_passed, says, share if math.isfinite(share) else None, rules.max_popular)


def _overlap_criterion(rules: Gate, challenger: HeldOutResult, champion: HeldOutResult) -> Criterion:
    share = overlap(challenger.lists, champion.lists)
    says = f"{_percent(share)} of the champion's lists stay, required at least {rules.min_overlap:.0%}"
    return _at_least("overlap", share, rules.min_overlap, says, doubt=True)


def overlap(lists: Int32Array, before: Int32Array) -> float:
    """The mean share of each list of `before` that stays in the same user's new list.

    Parameters
    ----------
    lists, before
        New and old lists of the same users, (m, K), padded with -1.

    Returns
    -------
    The mean over users with an old list; NaN if no user has one.
    """
    stays = (before[:, :, None] == lists[:, None, :]).any(axis=2) & (before >= 0)
    lengths = (before >= 0).sum(axis=1)
    shares = stays.sum(axis=1)[lengths > 0] / lengths[lengths > 0]
    return float(shares.mean()) if len(shares) else math.nan


def _percent(value: float, *, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "no number"
    return f"{value:+.1%}" if sign else f"{value:.1%}"
