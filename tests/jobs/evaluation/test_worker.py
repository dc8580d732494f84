"""One model of an evaluation, run in this process: the files that it writes."""

import json
from pathlib import Path

import polars as pl
import pytest

from jobs.evaluation.worker import AMONG_HIDDEN_LISTS, HIDDEN_LISTS, LISTS, RESULT, run_model
from tests.artrec_core.model.worlds import tiny_settings
from tests.artrec_core.recs.evaluation_worlds import ARTWORK_IDS, task_of, tribes
from tests.jobs.tribes_night import recipe_of

PAIR = ["user_id", "artwork_id"]


def test_a_baseline_writes_a_list_for_each_test_user_and_what_was_chosen(tmp_path: Path) -> None:
    task, _ = task_of(tribes())
    task.save(tmp_path / "task")
    run_model(recipe_of(tiny_settings(tmp_path)), tmp_path / "task", "ease", 3, tmp_path / "ease")
    lists = pl.read_parquet(tmp_path / "ease" / LISTS)
    assert lists["user_id"].n_unique() == 16
    # No list has an artwork of the user's history.
    assert lists.join(task.before_test, on=PAIR, how="semi").height == 0
    result = json.loads((tmp_path / "ease" / RESULT).read_text())
    assert (result["model"], result["seed"]) == ("ease", 3)
    assert set(result["seconds"]) == {"choose", "fit", "score"}
    best = max(result["tried"], key=lambda trial: float(trial["ndcg@10"]))
    assert result["chosen"].items() <= best.items()
    assert result["validation"] == pytest.approx(best["ndcg@10"], abs=1e-6)
    assert not (tmp_path / "ease" / HIDDEN_LISTS).exists()


def test_with_hidden_artworks_there_are_lists_that_may_contain_them(tmp_path: Path) -> None:
    hidden = ARTWORK_IDS[18:]
    task, _ = task_of(tribes(), hidden=hidden)
    task.save(tmp_path / "task")
    run_model(recipe_of(tiny_settings(tmp_path)), tmp_path / "task", "popularity", 0, tmp_path / "out")
    lists = {name: pl.read_parquet(tmp_path / "out" / name) for name in (LISTS, HIDDEN_LISTS, AMONG_HIDDEN_LISTS)}
    assert lists[LISTS].join(task.hidden_events, on=PAIR, how="semi").height == 0
    assert lists[HIDDEN_LISTS].join(task.hidden_events, on=PAIR, how="semi").height > 0
    assert set(lists[AMONG_HIDDEN_LISTS]["artwork_id"]) == set(hidden)
    assert lists[AMONG_HIDDEN_LISTS].join(task.hidden_events, on=PAIR, how="semi").height == 0
