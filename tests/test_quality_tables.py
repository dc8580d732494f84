"""The README's tables of quality, from an evaluation and a manifest with known numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artrec_core.errors import MissingInput
from artrec_core.evaluation.report import UserMetrics, difference, summary
from artrec_core.recs.tables.strategy_impact import StrategyImpact
from tests.benchmarks.quality import (
    TABLES,
    ablation_rows,
    block_name,
    constraint_rows,
    demo_rows,
    find_file,
    hidden_rows,
    movielens_rows,
    museum_rows,
    notes_of,
    share,
    signed,
    validation_cell,
)
from tests.benchmarks.readme_tables import README, replace_block


def metrics(value: float, *segments: str) -> UserMetrics:
    """Four users with the same value everywhere: each interval is a point."""
    values = {name: np.full(4, value) for name in ("hr@10", "ndcg@10")}
    means = {segment: dict.fromkeys(values, value) for segment in segments}
    return UserMetrics(means, means, dict.fromkeys(segments, values))


def evaluation(values: dict[str, list[float]], *segments: str, ablations: dict[str, str] | None = None) -> Any:
    """What `artrec evaluate` writes for models with these values, one per seed."""
    segments = ("everyone", *segments)
    runs = {model: [metrics(value, *segments) for value in seeds] for model, seeds in values.items()}
    return {
        "recipe": "small",
        "run_date": "2026-03-30",
        "protocol": "leave-one-out",
        "unseen_museums": [],
        "code_version": "another",
        "counts": {"asked": {"everyone": 1448}, "artworks": 621, "hidden_artworks": 0},
        "models": {
            model: {
                **summary(model_runs),
                "runs": [{"seed": seed, "validation": values[model][seed] / 2} for seed in range(len(model_runs))],
            }
            for model, model_runs in runs.items()
        },
        "differences": {
            f"full - {model}": difference(runs["full"], model_runs)
            for model, model_runs in runs.items()
            if model != "full"
        },
        "ablations": ablations or {},
    }


def test_numbers_have_no_leading_zero() -> None:
    assert [share(value) for value in (0.1234, 0.0, -0.0123, 1.0, 10.5)] == [".123", ".000", "-.012", "1.000", "10.500"]
    assert [signed(value) for value in (0.0123, -0.0123, -0.0001)] == ["+.012", "-.012", "+.000"]


def test_the_demo_table_has_the_difference_of_the_whole_model_which_comes_last() -> None:
    rows = demo_rows(evaluation({"full": [0.5], "als": [0.25]}, "people_with_few_events"))
    assert rows == [
        ["ALS (implicit)", ".250 [.250, .250]", ".250 [.250, .250]", ".250 [.250, .250]", ".250"],
        ["**artrec**", ".500 [.500, .500]", ".500 [.500, .500]", "", ".500"],
    ]


def test_several_seeds_have_a_standard_deviation_and_the_published_result_stands_before_artrec() -> None:
    *_, published, full = movielens_rows(evaluation({"popularity": [0.25], "full": [0.3, 0.5]}))
    assert published == ["gSASRec, as published on this split", ".3003", ".1726"]
    assert full == ["**artrec**", *[".4000 ± .1414 [.4000, .4000]"] * 2]


def test_hidden_artworks_are_ranked_among_all_and_among_themselves() -> None:
    source = evaluation({"text-only": [0.25], "full": [0.5]}, "hidden_artworks", "among_hidden_artworks")
    assert hidden_rows(source)[0] == ["without ids", ".250 [.250, .250]", ".250 [.250, .250]"]
    assert museum_rows(source) == [
        ["without ids", ".250 [.250, .250]", ".250 [.250, .250]"],
        ["**artrec**", ".500 [.500, .500]", ""],
    ]


def test_an_ablation_that_loses_has_a_negative_difference() -> None:
    source = evaluation({"full": [0.5], "text-only": [0.375]}, ablations={"text-only": "no id vectors"})
    lost = "-.125 [-.125, -.125]"
    assert ablation_rows(source) == [
        ["no id vectors", lost, lost, ".188"],
        ["nothing (the whole model)", "", "", ".250"],
    ]


def test_a_model_without_validation_has_an_empty_cell() -> None:
    assert validation_cell({"runs": [{"validation": None}]}) == ""
    assert validation_cell({"runs": [{"validation": None}, {"validation": 0.5}]}) == ".500"


def test_constraints_are_read_from_the_manifest_of_the_lists() -> None:
    impact = StrategyImpact(
        strategy="main", what="floors", people=3, score_kept=0.875, overlap=0.5, diversity=(0.25, 0.5),
        works=(1200, 900), exposure={}, floors={"women": (0.025, 0.2)},
    )  # fmt: skip
    manifest = {"code_version": "another", "figures": {"changes": [impact.to_dict()]}}
    assert constraint_rows(manifest) == [
        ["main", "floors", ".875", ".500", ".250 -> .500", "1,200 -> 900", "women: .025 -> .200"]
    ]
    assert notes_of(manifest) == ["3 users in the sample", "measured by other code, version another"]


def test_the_notes_say_what_was_evaluated_and_by_which_code() -> None:
    assert notes_of(evaluation({"full": [0.3, 0.5]})) == [
        "recipe small, 2026-03-30, leave-one-out",
        "1,448 users tested, 621 artworks",
        "seeds 0, 1",
        "measured by other code, version another",
    ]


def test_the_file_of_a_folder_must_be_the_only_one(tmp_path: Path) -> None:
    pattern = TABLES["hidden-museum"].file
    with pytest.raises(MissingInput, match="has 0 files"):
        find_file(tmp_path, pattern)
    first = tmp_path / "evaluation-leave-one-out-unseen-1.json"
    first.write_text(json.dumps({}))
    assert find_file(tmp_path, pattern) == find_file(first, pattern) == first
    (tmp_path / "evaluation-leave-one-out-unseen-2.json").write_text("{}")
    with pytest.raises(MissingInput, match="has 2 files"):
        find_file(tmp_path, pattern)
    with pytest.raises(MissingInput, match="does not exist"):
        find_file(tmp_path / "absent", pattern)


@pytest.mark.parametrize("name", list(TABLES))
def test_the_readme_has_a_place_for_each_table(name: str) -> None:
    replace_block(README.read_text(), block_name(name), "")
