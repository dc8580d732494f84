"""The audit of what is about to be published."""

from collections.abc import Collection

import polars as pl

from artrec_core.columns import (
    ARTWORK_ID,
    LINE,
    QUARANTINE,
    RANK,
    REASON,
    RECOMMENDATION,
    SCORE,
    SEEN,
    SIMULATED,
    SOURCE,
    STRATEGY,
    USER_ID,
    empty_frame,
)
from expectations.rules import Holds, Present, Rule, TableRule, Within, at_most, enough_rows, present, say
from expectations.runner import judge
from expectations.verdict import KEPT, OUTCOME, Checked, Result

EXAMPLES = 5
_LIST = [STRATEGY, USER_ID]

# Facts: what the rules read of a row beside its own columns.
STEP = "step"
RISE = "rise"
SCORE_IS_NUMBER = "score_is_number"
REPEATED = "artwork_is_new_in_list"
NOT_SEEN = "artwork_is_not_seen"
ARTWORK_KNOWN = "artwork_is_known"
NOT_BLOCKED = "artwork_is_not_blocked"
PERSON_KNOWN = "person_is_known"
SIMULATED_IS_SAID = "simulated_is_said"
SERVED = "is_served"


def recommendation_rules() -> list[Rule]:
    """What every row must hold; one that does not stops the publication."""
    row = "{}'s rank {} in {}"
    where = (USER_ID, RANK, STRATEGY)
    return [
        Rule(
            "ranks_have_no_gaps",
            Within(STEP, 1, 1),
            "A person's ranks in a strategy are 1, 2, 3 and so on.",
            say(f"{row} does not follow the rank before it", *where),
        ),
        Rule(
            "artwork_once_a_list",
            Holds(REPEATED),
            "No artwork stands twice in a person's list.",
            say(f"{row} is {{}} once more", *where, ARTWORK_ID),
        ),
        Rule(
            "score_is_a_number",
            Holds(SCORE_IS_NUMBER),
            "A score is a finite number.",
            say(f"{row} has the score {{}}", *where, SCORE),
        ),
        Rule(
            "scores_do_not_rise",
            Within(RISE, high=0.0),
            "A score is not above that of the rank before, unless the strategy re-ranks.",
            say(f"{row} has the score {{}}, {{}} above the one before", *where, SCORE, RISE),
        ),
        Rule(
            "seen_works_are_out",
            Holds(NOT_SEEN),
            "Nobody is recommended what they have seen.",
            say(f"{row} is {{}}, which they have seen", *where, ARTWORK_ID),
        ),
        Rule(
            "blocked_works_are_out",
            Holds(NOT_BLOCKED),
            "Nobody is recommended what a block list names.",
            say(f"{row} is {{}}, which is blocked; run score again", *where, ARTWORK_ID),
        ),
        Rule(
            "artwork_is_known",
            Holds(ARTWORK_KNOWN),
            "The artwork is in the catalogue.",
            say(f"{row} is {{}}, which the catalogue lacks", *where, ARTWORK_ID),
        ),
        Rule(
            "person_is_known",
            Holds(PERSON_KNOWN),
            "The person is one of ours.",
            say(f"{row} is for somebody unknown", *where),
        ),
        Rule(
            "has_reason",
            Present(REASON),
            "A recommendation has a reason.",
            say(f"{row} has no reason", *where),
        ),
        Rule(
            "simulated_is_said",
            Holds(SIMULATED_IS_SAID),
            "What is for a simulated person says that it is simulated.",
            say(f"{row} says simulated: {{}}", *where, SIMULATED),
        ),
    ]


def check_recommendations(
    recommendations: pl.DataFrame,
    histories: pl.DataFrame,
    catalogue: pl.DataFrame,
    people: pl.DataFrame,
    *,
    strategy: str,
    reranked: Collection[str] = (),
    blocked: pl.DataFrame | None = None,
    elsewhere: pl.DataFrame | None = None,
) -> Checked:
    """Judge the recommendations before they are published: whatever is in `failed` must keep yesterday's served.

    `recommendations` hold RECOMMENDATION, `histories` at least user_id, artwork_id and seen, `catalogue` at least
    artwork_id, `people` at least user_id and simulated. `strategy` is the default one, in which everybody must have
    rows; the scores of the `reranked` ones may rise down a list, and `blocked` (STRATEGY, ARTWORK_ID) are in
    no list. `elsewhere` (SOURCE, ARTWORK_ID) are the works that other tables show: known ones that the default strategy may
    show. All rows are in `kept`; each rule that rows broke shows a few of them in `examples`.
    """
    facts = recommendation_facts(recommendations, histories, catalogue, people, reranked, blocked)
    out = None if blocked is None else blocked.filter(pl.col(STRATEGY) == strategy)
    served = _served(recommendations, people, strategy, _left_nothing(histories, catalogue, out))
    rules = recommendation_rules()
    results = _judged("recommendations_rows", facts, rules)
    results += judge("recommendations", facts, [enough_rows("has_rows", 1, "There is something to publish.")])
    results += judge("people", served, _people_rules(strategy))
    others: list[Rule] = []
    if elsewhere is not None:
        others = elsewhere_rules()
        results += _judged("elsewhere", elsewhere_facts(elsewhere, catalogue, out), others)
    return Checked(
        table="recommendations",
        kept=recommendations.with_columns(
            pl.col(STRATEGY).alias(SOURCE), pl.int_range(pl.len(), dtype=pl.Int64).alias(LINE)
        ),
        quarantine=empty_frame(QUARANTINE),
        results=results,
        lines=recommendations.select(pl.col(STRATEGY).alias(SOURCE), pl.lit(KEPT).alias(OUTCOME)),
        received=dict(recommendations.group_by(STRATEGY).len().rows()),
        says={rule.name: rule.says for rule in [*rules, *others]},
    )


def elsewhere_rules() -> list[Rule]:
    """What every work must hold that another published table than the recommendations shows."""
    return [
        Rule(
            "blocked_works_are_out_elsewhere",
            Holds(NOT_BLOCKED),
            "No other table shows what the default strategy's block lists name.",
            say("{} has {}, which is blocked; run score again", SOURCE, ARTWORK_ID),
        ),
        Rule(
            "artwork_is_known_elsewhere",
            Holds(ARTWORK_KNOWN),
            "The artworks of the other tables are in the catalogue.",
            say("{} has {}, which the catalogue lacks", SOURCE, ARTWORK_ID),
        ),
    ]


def elsewhere_facts(elsewhere: pl.DataFrame, catalogue: pl.DataFrame, out: pl.DataFrame | None) -> pl.DataFrame:
    """What the rules read of the works (SOURCE, ARTWORK_ID) that other tables show."""
    barred = pl.Series([], dtype=pl.String) if out is None else out.get_column(ARTWORK_ID)
    known = catalogue.get_column(ARTWORK_ID)
    return elsewhere.with_columns(
        (~pl.col(ARTWORK_ID).is_in(barred.implode())).alias(NOT_BLOCKED),
        pl.col(ARTWORK_ID).is_in(known.implode()).fill_null(False).alias(ARTWORK_KNOWN),
    )


def recommendation_facts(
    recommendations: pl.DataFrame,
    histories: pl.DataFrame,
    catalogue: pl.DataFrame,
    people: pl.DataFrame,
    reranked: Collection[str] = (),
    blocked: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What the rules read of the recommendations, in order of (strategy, user_id, rank)."""
    seen = histories.filter(SEEN).select(USER_ID, ARTWORK_ID).unique().with_columns(pl.lit(False).alias(NOT_SEEN))
    known = people.select(USER_ID, pl.col(SIMULATED).fill_null(False).alias("person_simulated")).unique(USER_ID)
    none = pl.DataFrame(schema={STRATEGY: pl.String, ARTWORK_ID: pl.String})
    out = (none if blocked is None else blocked).with_columns(pl.lit(False).alias(NOT_BLOCKED))
    in_order = ~pl.col(STRATEGY).is_in(list(reranked))
    rows = recommendations.select(*RECOMMENDATION).sort(*_LIST, RANK, ARTWORK_ID, nulls_last=True)
    first = pl.struct(_LIST).rle_id().diff().fill_null(1) != 0
    score = pl.col(SCORE).cast(pl.Float64)
    return (
        rows.join(seen, on=[USER_ID, ARTWORK_ID], how="left", maintain_order="left")
        .join(known, on=USER_ID, how="left", maintain_order="left")
        .join(out, on=[STRATEGY, ARTWORK_ID], how="left", maintain_order="left")
        .with_columns(
            pl.when(first).then(pl.col(RANK)).otherwise(pl.col(RANK).diff()).fill_null(0).alias(STEP),
            # A score that is no number breaks its own rule; the rise is then unknown.
            pl.when(in_order & ~first & score.is_finite() & score.shift(1).is_finite()).then(score.diff()).alias(RISE),
            score.is_finite().fill_null(False).alias(SCORE_IS_NUMBER),
            pl.struct(*_LIST, ARTWORK_ID).is_first_distinct().alias(REPEATED),
            pl.col(NOT_SEEN).fill_null(True),
            pl.col(NOT_BLOCKED).fill_null(True),
            pl.col(ARTWORK_ID).is_in(catalogue.get_column(ARTWORK_ID).implode()).fill_null(False).alias(ARTWORK_KNOWN),
            pl.col("person_simulated").is_not_null().alias(PERSON_KNOWN),
            present(REASON),
            (pl.col(SIMULATED) | ~pl.col("person_simulated").fill_null(False))
            .fill_null(False)
            .alias(SIMULATED_IS_SAID),
        )
    )


def _left_nothing(histories: pl.DataFrame, catalogue: pl.DataFrame, out: pl.DataFrame | None) -> pl.Series:
    """The people who have seen every work that is not blocked: for them there is nothing to recommend."""
    works = catalogue.select(ARTWORK_ID).unique()
    works = works if out is None else works.join(out, on=ARTWORK_ID, how="anti")
    seen = histories.filter(SEEN).select(USER_ID, ARTWORK_ID).unique().join(works, on=ARTWORK_ID, how="semi")
    return seen.group_by(USER_ID).len().filter(pl.col("len") >= works.height).get_column(USER_ID)


def _served(
    recommendations: pl.DataFrame, people: pl.DataFrame, strategy: str, left_nothing: pl.Series
) -> pl.DataFrame:
    """The people, and whether each has rows in the default strategy, or nothing left to see."""
    with_rows = recommendations.filter(pl.col(STRATEGY) == strategy).get_column(USER_ID).unique()
    served = pl.concat([with_rows, left_nothing]).implode()
    return people.select(USER_ID, pl.col(USER_ID).is_in(served).fill_null(False).alias(SERVED))


def _people_rules(strategy: str) -> list[TableRule]:
    says = f"Everybody known who has not seen every work has rows in the strategy {strategy}."
    return [at_most(0.0, "everybody_is_served", Holds(SERVED), says)]


def _judged(name: str, facts: pl.DataFrame, rules: list[Rule]) -> list[Result]:
    """The results of rules of which each must hold, with a few of the rows that broke them."""
    results = judge(name, facts, rules, all_stop=True)
    return [_with_examples(*pair, facts) for pair in zip(results, rules, strict=True)]


def _with_examples(result: Result, rule: Rule, facts: pl.DataFrame) -> Result:
    if result.success or result.error is not None:
        return result
    rows = facts.filter(rule.test.breaks()).head(EXAMPLES)
    return result.model_copy(update={"examples": rows.select(rule.reason.alias(REASON)).to_series().to_list()})
