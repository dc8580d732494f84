"""The audit: checks of the tables that are about to be published."""

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
from expectations.rules import (
    IsTrue,
    NotNull,
    Rule,
    TableRule,
    Within,
    at_least_rows,
    at_most_share,
    non_blank,
    reason_text,
)
from expectations.runner import judge
from expectations.verdict import KEPT, OUTCOME, CheckedTable, Result

MAX_EXAMPLES = 5
_LIST_KEY = [STRATEGY, USER_ID]

# Facts: columns that the rules read in addition to those of RECOMMENDATION.
RANK_STEP = "step"
SCORE_RISE = "rise"
SCORE_IS_NUMBER = "score_is_number"
NEW_IN_LIST = "artwork_is_new_in_list"
NOT_SEEN = "artwork_is_not_seen"
ARTWORK_KNOWN = "artwork_is_known"
NOT_BLOCKED = "artwork_is_not_blocked"
USER_KNOWN = "person_is_known"
SIMULATED_IS_MARKED = "simulated_is_said"
IS_SERVED = "is_served"


def recommendation_rules() -> list[Rule]:
    """The rules for every row. A row that breaks one stops the publication."""
    row = "{}'s rank {} in {}"
    where = (USER_ID, RANK, STRATEGY)
    return [
        Rule(
            "ranks_have_no_gaps",
            Within(RANK_STEP, 1, 1),
            "The ranks of a visitor's list are 1, 2, 3 and so on.",
            reason_text(f"{row} does not follow the rank before it", *where),
        ),
        Rule(
            "artwork_once_a_list",
            IsTrue(NEW_IN_LIST),
            "No artwork is in a visitor's list twice.",
            reason_text(f"{row} is {{}} again", *where, ARTWORK_ID),
        ),
        Rule(
            "score_is_a_number",
            IsTrue(SCORE_IS_NUMBER),
            "A score is a finite number.",
            reason_text(f"{row} has the score {{}}", *where, SCORE),
        ),
        Rule(
            "scores_do_not_rise",
            Within(SCORE_RISE, high=0.0),
            "A score is not above the score of the rank before, unless the strategy re-ranks its list.",
            reason_text(f"{row} has the score {{}}, {{}} above the score before it", *where, SCORE, SCORE_RISE),
        ),
        Rule(
            "seen_works_are_out",
            IsTrue(NOT_SEEN),
            "No visitor is recommended an artwork that the visitor has seen.",
            reason_text(f"{row} is {{}}, which the visitor has seen", *where, ARTWORK_ID),
        ),
        Rule(
            "blocked_works_are_out",
            IsTrue(NOT_BLOCKED),
            "No visitor is recommended an artwork on a block list of the strategy.",
            reason_text(f"{row} is {{}}, which is blocked; run score again", *where, ARTWORK_ID),
        ),
        Rule(
            "artwork_is_known",
            IsTrue(ARTWORK_KNOWN),
            "The artwork is in the catalogue.",
            reason_text(f"{row} is {{}}, which is not in the catalogue", *where, ARTWORK_ID),
        ),
        Rule(
            "person_is_known",
            IsTrue(USER_KNOWN),
            "The visitor is known.",
            reason_text(f"{row} is for an unknown visitor", *where),
        ),
        Rule(
            "has_reason",
            NotNull(REASON),
            "A recommendation has a reason.",
            reason_text(f"{row} has no reason", *where),
        ),
        Rule(
            "simulated_is_said",
            IsTrue(SIMULATED_IS_MARKED),
            "A row for a simulated visitor is marked as simulated.",
            reason_text(f"{row} has simulated: {{}}", *where, SIMULATED),
        ),
    ]


def check_recommendations(
    recommendations: pl.DataFrame,
    histories: pl.DataFrame,
    catalogue: pl.DataFrame,
    users: pl.DataFrame,
    *,
    strategy: str,
    reranked_strategies: Collection[str] = (),
    blocked_artworks: pl.DataFrame | None = None,
    other_tables: pl.DataFrame | None = None,
) -> CheckedTable:
    """Audit the recommendations before they are published.

    Parameters
    ----------
    recommendations : frame of RECOMMENDATION
    histories : frame with at least USER_ID, ARTWORK_ID and SEEN
    catalogue : frame with at least ARTWORK_ID
    users : frame with at least USER_ID and SIMULATED
    strategy : the default strategy, in which all users must have rows
    reranked_strategies : strategies whose scores may rise from one rank to the next
    blocked_artworks : frame of STRATEGY and ARTWORK_ID, the artworks that a strategy must not recommend
    other_tables : frame of SOURCE and ARTWORK_ID, the artworks in the other published tables
        They must be in the catalogue and must not be blocked in the default strategy.

    Returns
    -------
    CheckedTable
        All rows are in `kept_rows`, and each rule that is broken shows a few rows in `examples`. If a rule is in
        `failed_rules`, the tables must not be published: yesterday's tables stay served.
    """
    facts = recommendation_facts(recommendations, histories, catalogue, users, reranked_strategies, blocked_artworks)
    blocked = None if blocked_artworks is None else blocked_artworks.filter(pl.col(STRATEGY) == strategy)
    served = _served(recommendations, users, strategy, _users_without_candidates(histories, catalogue, blocked))
    rules = recommendation_rules()
    results = _judge_rows("recommendations_rows", facts, rules)
    results += judge("recommendations", facts, [at_least_rows("has_rows", 1, "There are rows to publish.")])
    results += judge("users", served, _user_rules(strategy))
    more_rules: list[Rule] = []
    if other_tables is not None:
        more_rules = other_table_rules()
        results += _judge_rows("other_tables", other_table_facts(other_tables, catalogue, blocked), more_rules)
    return CheckedTable(
        table="recommendations",
        kept_rows=recommendations.with_columns(
            pl.col(STRATEGY).alias(SOURCE), pl.int_range(pl.len(), dtype=pl.Int64).alias(LINE)
        ),
        quarantine=empty_frame(QUARANTINE),
        results=results,
        lines=recommendations.select(pl.col(STRATEGY).alias(SOURCE), pl.lit(KEPT).alias(OUTCOME)),
        lines_received=dict(recommendations.group_by(STRATEGY).len().rows()),
        says={rule.name: rule.says for rule in [*rules, *more_rules]},
    )


def other_table_rules() -> list[Rule]:
    """The rules for every artwork in a published table other than the recommendations."""
    return [
        Rule(
            "blocked_works_are_out_elsewhere",
            IsTrue(NOT_BLOCKED),
            "No other table has an artwork on a block list of the default strategy.",
            reason_text("{} has {}, which is blocked; run score again", SOURCE, ARTWORK_ID),
        ),
        Rule(
            "artwork_is_known_elsewhere",
            IsTrue(ARTWORK_KNOWN),
            "The artworks of the other tables are in the catalogue.",
            reason_text("{} has {}, which is not in the catalogue", SOURCE, ARTWORK_ID),
        ),
    ]


def other_table_facts(
    other_tables: pl.DataFrame, catalogue: pl.DataFrame, blocked: pl.DataFrame | None
) -> pl.DataFrame:
    """The facts of the artworks (SOURCE, ARTWORK_ID) in other tables.

    `blocked` has the ARTWORK_ID of the artworks that the default strategy must not recommend.
    """
    blocked_ids = pl.Series([], dtype=pl.String) if blocked is None else blocked.get_column(ARTWORK_ID)
    catalogue_ids = catalogue.get_column(ARTWORK_ID)
    return other_tables.with_columns(
        (~pl.col(ARTWORK_ID).is_in(blocked_ids.implode())).alias(NOT_BLOCKED),
        pl.col(ARTWORK_ID).is_in(catalogue_ids.implode()).fill_null(False).alias(ARTWORK_KNOWN),
    )


def recommendation_facts(
    recommendations: pl.DataFrame,
    histories: pl.DataFrame,
    catalogue: pl.DataFrame,
    users: pl.DataFrame,
    reranked_strategies: Collection[str] = (),
    blocked_artworks: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The facts of the recommendations, sorted by (strategy, user_id, rank).

    The parameters are as in `check_recommendations`.
    """
    seen_pairs = histories.filter(SEEN).select(USER_ID, ARTWORK_ID).unique()
    known_users = users.select(USER_ID, pl.col(SIMULATED).fill_null(False).alias("user_simulated")).unique(USER_ID)
    if blocked_artworks is None:
        blocked_artworks = pl.DataFrame(schema={STRATEGY: pl.String, ARTWORK_ID: pl.String})
    is_sorted = ~pl.col(STRATEGY).is_in(list(reranked_strategies))
    rows = recommendations.select(*RECOMMENDATION).sort(*_LIST_KEY, RANK, ARTWORK_ID, nulls_last=True)
    is_first = pl.struct(_LIST_KEY).rle_id().diff().fill_null(1) != 0
    score = pl.col(SCORE).cast(pl.Float64)
    return (
        rows.join(
            seen_pairs.with_columns(pl.lit(False).alias(NOT_SEEN)),
            on=[USER_ID, ARTWORK_ID],
            how="left",
            maintain_order="left",
        )
        .join(known_users, on=USER_ID, how="left", maintain_order="left")
        .join(
            blocked_artworks.with_columns(pl.lit(False).alias(NOT_BLOCKED)),
            on=[STRATEGY, ARTWORK_ID],
            how="left",
            maintain_order="left",
        )
        .with_columns(
            pl.when(is_first).then(pl.col(RANK)).otherwise(pl.col(RANK).diff()).fill_null(0).alias(RANK_STEP),
            # Null if a score is not a finite number: it breaks a rule of its own.
            pl.when(is_sorted & ~is_first & score.is_finite() & score.shift(1).is_finite())
            .then(score.diff())
            .alias(SCORE_RISE),
            score.is_finite().fill_null(False).alias(SCORE_IS_NUMBER),
            pl.struct(*_LIST_KEY, ARTWORK_ID).is_first_distinct().alias(NEW_IN_LIST),
            pl.col(NOT_SEEN).fill_null(True),
            pl.col(NOT_BLOCKED).fill_null(True),
            pl.col(ARTWORK_ID).is_in(catalogue.get_column(ARTWORK_ID).implode()).fill_null(False).alias(ARTWORK_KNOWN),
            pl.col("user_simulated").is_not_null().alias(USER_KNOWN),
            non_blank(REASON),
            (pl.col(SIMULATED) | ~pl.col("user_simulated").fill_null(False))
            .fill_null(False)
            .alias(SIMULATED_IS_MARKED),
        )
    )


def _users_without_candidates(
    histories: pl.DataFrame, catalogue: pl.DataFrame, blocked: pl.DataFrame | None
) -> pl.Series:
    """The users who have seen every artwork that is not blocked: there is nothing to recommend to them."""
    candidates = catalogue.select(ARTWORK_ID).unique()
    candidates = candidates if blocked is None else candidates.join(blocked, on=ARTWORK_ID, how="anti")
    seen_pairs = histories.filter(SEEN).select(USER_ID, ARTWORK_ID).unique()
    seen_candidates = seen_pairs.join(candidates, on=ARTWORK_ID, how="semi").group_by(USER_ID).len()
    return seen_candidates.filter(pl.col("len") >= candidates.height).get_column(USER_ID)


def _served(
    recommendations: pl.DataFrame, users: pl.DataFrame, strategy: str, without_candidates: pl.Series
) -> pl.DataFrame:
    """USER_ID and IS_SERVED: whether the user has rows in the default strategy, or no candidates."""
    with_rows = recommendations.filter(pl.col(STRATEGY) == strategy).get_column(USER_ID).unique()
    served = pl.concat([with_rows, without_candidates]).implode()
    return users.select(USER_ID, pl.col(USER_ID).is_in(served).fill_null(False).alias(IS_SERVED))


def _user_rules(strategy: str) -> list[TableRule]:
    says = f"Every visitor who has not seen all artworks has rows in the strategy {strategy}."
    return [at_most_share(0.0, "everybody_is_served", IsTrue(IS_SERVED), says)]


def _judge_rows(name: str, facts: pl.DataFrame, rules: list[Rule]) -> list[Result]:
    """Check row rules that all stop the publication; a broken rule shows a few of its rows."""
    results = judge(name, facts, rules, all_stop=True)
    return [_with_examples(*pair, facts) for pair in zip(results, rules, strict=True)]


def _with_examples(result: Result, rule: Rule, facts: pl.DataFrame) -> Result:
    if result.success or result.error is not None:
        return result
    rows = facts.filter(rule.test.breaks()).head(MAX_EXAMPLES)
    return result.model_copy(update={"examples": rows.select(rule.reason.alias(REASON)).to_series().to_list()})
