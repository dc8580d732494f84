"""What constraints change in the lists of three users, counted by hand."""

import json
from typing import Any

import numpy as np
import pytest

from artrec_core.config import Score, Strategy
from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.tables.scored_tables import ScoredTables
from artrec_core.recs.tables.strategy_impact import StrategyImpact, measure_impacts
from tests.artrec_core.recs.scoring_worlds import crowd, history, scoring_data


def impacts(
    *strategies: dict[str, Any], data: ScoringData | None = None, sample_size: int = 100, **score: Any
) -> list[StrategyImpact]:
    options = [Strategy(**({"name": "main"} | strategy)) for strategy in strategies]
    tables = ScoredTables(data or scoring_data(), options, options[0].name, Score(k=3, threads=1, **score))
    return list(measure_impacts(tables, sample_size))


def test_a_strategy_without_filters_and_constraints_has_no_impact() -> None:
    assert impacts({}) == []


def test_a_filter_changes_lists_exposure_and_scores() -> None:
    # Before: Ann a2 a3 b3, Bob b2 a3 a2, Cleo b1 b2 b3. After: Ann b3 b2 b1, Bob b2, Cleo b1 b2 b3.
    (impact,) = impacts({"filters": {"museums": ["Prado"]}})
    assert (impact.strategy, impact.what, impact.people) == ("main", "filters and block lists", 3)
    assert impact.overlap == pytest.approx((1 / 3 + 1 / 3 + 1) / 3)
    assert impact.works == (5, 3)
    assert impact.exposure["source"] == {"prado": (pytest.approx(5 / 9), 1.0), "tate": (pytest.approx(4 / 9), 0.0)}
    assert impact.score_kept < 1
    # All places have the same unknown gender and nationality, so there is nothing to compare.
    assert set(impact.exposure) == {"source"}


def test_a_block_list_counts_as_a_filter() -> None:
    (impact,) = impacts({}, block={"artworks": ["a2"]})
    assert impact.what == "filters and block lists"
    assert impact.overlap == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert [whole.what for whole in impacts({"block": {"creators": ["anna"]}})] == ["filters and block lists"]


def test_a_constraint_that_binds_nowhere_changes_nothing() -> None:
    (impact,) = impacts({"caps": {"source": 3}})
    assert (impact.what, impact.overlap, impact.score_kept) == ("caps", 1.0, 1.0)
    assert impact.diversity[0] == impact.diversity[1]
    assert impact.works[0] == impact.works[1]


def test_a_floor_is_measured_for_its_group() -> None:
    # Two of three places are for the Tate. Ann keeps a2, a3, b3. Bob keeps b2, a3, a2. Cleo gets b1, a3, a2.
    (impact,) = impacts({"floors": [{"group": "source:tate", "share": 0.6}]})
    assert impact.floors == {"source:tate": (pytest.approx(4 / 9), pytest.approx(6 / 9))}
    assert impact.overlap == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert impact.works == (5, 5)
    assert impact.diversity[1] > impact.diversity[0]
    assert 0 < impact.score_kept < 1


def test_the_share_of_the_score_is_measured_from_the_mean_over_the_catalogue() -> None:
    # Cleo alone: the products with (0.1, 1.0), less their mean over the catalogue.
    data = scoring_data(histories=history())
    (impact,) = impacts({"floors": [{"group": "source:tate", "share": 0.6}]}, data=data)
    products = data.item_vectors @ np.array([0.1, 1.0])
    gains = products - products.mean()
    assert impact.people == 1
    assert impact.score_kept == pytest.approx(gains[[3, 2, 1]].sum() / gains[[3, 4, 5]].sum(), rel=1e-4)


def test_each_constraint_alone_and_then_all_together() -> None:
    constraints = {"caps": {"source": 2}, "diversity": {"mmr_lambda": 0.5}, "filters": {"museums": ["Tate", "Prado"]}}
    assert [impact.what for impact in impacts(constraints)] == [
        "filters and block lists",
        "caps",
        "diversity",
        "all of these",
    ]


def test_strategies_come_in_order_of_their_names() -> None:
    second, first = {"name": "b", "caps": {"source": 2}}, {"name": "a", "caps": {"creator": 1}}
    assert [impact.strategy for impact in impacts(second, first)] == ["a", "b"]


def test_lists_of_popular_artworks_have_no_score_to_keep() -> None:
    # Ann has seen all of the Prado, so her list comes from outside the filter.
    data = scoring_data(histories=history(*(("ann", artwork_id, "like") for artwork_id in ("b1", "b2", "b3"))))
    (impact,) = impacts({"filters": {"museums": ["Prado"]}}, data=data)
    # Of Ann and Cleo, only Cleo's score counts: her list stays.
    assert impact.people == 2
    assert impact.score_kept == pytest.approx(1.0)


def test_without_users_with_personal_lists_nothing_is_measured() -> None:
    data = scoring_data(histories=history(), people=scoring_data().users.filter(scoring_data().user_ids == "dan"))
    assert impacts({"caps": {"source": 1}}, data=data) == []


def test_a_sample_is_drawn_by_the_ids_alone() -> None:
    data = crowd()
    (sample,) = impacts({"caps": {"creator": 1}}, data=data, sample_size=7)
    assert sample.people == 7
    assert impacts({"caps": {"creator": 1}}, data=data, sample_size=7) == [sample]
    (everyone,) = impacts({"caps": {"creator": 1}}, data=data, sample_size=10**6)
    assert everyone.people == int(data.has_evidence.sum())


def test_the_fields_as_json_are_rounded() -> None:
    (impact,) = impacts({"filters": {"museums": ["Prado"]}})
    fields = json.loads(json.dumps(impact.to_dict()))
    assert fields["overlap"] == 0.5556
    assert fields["exposure"]["source"]["tate"] == [0.4444, 0.0]
    assert fields["works"] == [5, 3]
