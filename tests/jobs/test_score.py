"""The score step on six artworks and four users: known rows, whatever the shards and however often it was killed."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import LAKE
from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake
from jobs.score import STEP, TABLES
from jobs.step import run_step
from tests.artrec_core.recs.scoring_worlds import DAY, NOON, lists
from tests.jobs.scored_world import recipe_in, scored, write_world


def test_every_user_has_a_list_with_reasons(tmp_path: Path) -> None:
    rows = scored(tmp_path)["recommendations"]
    assert lists(rows, "user_id", "artwork_id") == {
        "ann": ["a2", "a3", "b3"],
        "bob": ["b2", "a3", "a2"],
        "cleo": ["b1", "b2", "b3"],
        # Popular with variety: a1 and b1 have one user each, then the next artwork of each movement.
        "dan": ["a1", "b1", "a2"],
    }
    assert rows["rank"].to_list() == [1, 2, 3] * 4
    reasons = {(user, artwork): (reason, cited) for user, artwork, reason, cited in rows.select("user_id", "artwork_id", "reason", "because_of").rows()}  # fmt: skip
    assert reasons["ann", "a2"] == ("Because you liked Work a1: both of Realism", "a1")
    assert reasons["bob", "b2"] == ("Because you bought Work b1: both of Cubism", "b1")
    assert reasons["cleo", "b2"] == ("Matches your interest in cubism", "ballet, cubism")
    assert reasons["dan", "b1"] == ("Popular with visitors of Prado", None)
    assert reasons["dan", "a2"] == ("From the collection of Tate", None)
    assert rows.filter(pl.col("user_id") == "dan")["score"].to_list() == [0, 0, 0]


def test_rows_have_date_and_version_and_are_marked_if_simulated(tmp_path: Path) -> None:
    tables = scored(tmp_path)
    for rows in tables.values():
        assert rows["run_date"].unique().to_list() == [DAY]
        assert rows["model_version"].unique().to_list() == ["3"]
    flags = dict(tables["recommendations"].select("user_id", "simulated").unique().rows())
    assert flags == {"ann": False, "bob": True, "cleo": False, "dan": True}
    assert all(tables[table]["simulated"].all() for table in TABLES[1:])


def test_tables_about_artworks(tmp_path: Path) -> None:
    tables = scored(tmp_path)
    assert lists(tables["similar_artworks"], "artwork_id", "other_artwork_id") == {
        "a1": ["a2", "a3"], "a2": ["a1", "a3"], "a3": ["a2", "a1"], "b1": ["b2", "b3"], "b2": ["b1", "b3"], "b3": ["b2", "b1"],
    }  # fmt: skip
    audiences = lists(tables["artwork_audiences"], "artwork_id", "user_id")
    # Users who have seen an artwork are not in its audience. Nothing is known of Dan's taste.
    assert audiences["a1"] == ["cleo", "bob"]
    assert audiences["a2"] == ["ann", "cleo"]
    assert audiences["b3"] == ["cleo", "ann"]
    popular = lists(tables["popular_artworks"], "segment", "artwork_id")
    assert popular["overall"] == ["a1", "b1"]
    assert popular["museum:Prado"] == ["b1", "b2"]


def test_spreads_and_alignments_of_every_component(tmp_path: Path) -> None:
    strategies = [
        {"name": "main"},
        {"name": "all", "alignment": "euclidean", "weights": {"text": 1, "history": 1, "collaborative": 1, "freshness": 1, "popularity": -0.5}},
        {"name": "popular", "weights": {"history": 0, "popularity": 1}},
    ]  # fmt: skip
    rows = scored(tmp_path, strategies=strategies)["recommendations"]
    assert rows.select("strategy", "user_id").unique().height == 12
    assert rows.height == 36
    popular_rows = rows.filter(pl.col("strategy") == "popular")
    assert lists(popular_rows, "user_id", "artwork_id")["ann"] == ["b1", "a2", "a3"]
    assert not popular_rows["reason"].str.starts_with("Because").any()


def test_new_artworks_come_first_where_freshness_has_weight(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, strategies=[{"name": "main", "weights": {"history": 0, "freshness": 1}}])
    lake = Lake(recipe.store.lake)
    write_world(lake)
    old = lake.read("catalogue", DAY).filter(pl.col("artwork_id") != "b2")
    part = lake.write_part("catalogue", "2026-03-01", old)
    lake.commit("catalogue", "2026-03-01", {"all": [part]}, fingerprint="f", code_version="c")
    run_step(STEP, recipe, DAY)
    rows = lake.read("recommendations", DAY)
    assert {row[0] for row in lists(rows, "user_id", "artwork_id").values()} == {"b2"}


@pytest.mark.parametrize("shard_users", [1, 3, 1000])
def test_shards_never_change_a_table(tmp_path: Path, shard_users: int) -> None:
    one_shard = scored(tmp_path / "one_shard")
    score = {"k": 3, "similar_k": 2, "audience_k": 2, "popular_k": 2, "shard_users": shard_users}
    for table, rows in scored(tmp_path / "cut", score=score).items():
        assert rows.equals(one_shard[table]), table


@pytest.mark.parametrize("shards_done", [0, 1, 5, 9, 14])
def test_a_killed_run_resumes_at_the_missing_shards(
    tmp_path: Path, shards_done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = {"k": 3, "similar_k": 2, "audience_k": 2, "popular_k": 2, "shard_users": 1}
    undisturbed = scored(tmp_path / "undisturbed", score=score)
    recipe = recipe_in(tmp_path / "killed", score=score)
    write_world(Lake(recipe.store.lake))
    committed: list[str] = []
    commit_writer = Lake.commit_writer

    def commit_until_killed(lake: Lake, table: str, day: str, writer: str, *arguments: Any, **options: Any) -> Any:
        if len(committed) == shards_done:
            raise KeyboardInterrupt
        committed.append(f"{table}/{writer}")
        return commit_writer(lake, table, day, writer, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "commit_writer", commit_until_killed)
        with pytest.raises(KeyboardInterrupt):
            run_step(STEP, recipe, DAY)
    assert all(Lake(recipe.store.lake).find_manifest(table, DAY) is None for table in TABLES)
    before = list(committed)
    committed_again: list[str] = []

    def commit_and_record(lake: Lake, table: str, day: str, writer: str, *arguments: Any, **options: Any) -> Any:
        committed_again.append(f"{table}/{writer}")
        return commit_writer(lake, table, day, writer, *arguments, **options)

    monkeypatch.setattr(Lake, "commit_writer", commit_and_record)
    resumed = scored(tmp_path / "killed", score=score)
    assert not set(committed_again) & set(before)
    assert len(committed_again) + len(before) == 4 + 6 + 6
    assert all(resumed[table].equals(undisturbed[table]) for table in TABLES)


def test_a_user_who_has_seen_most_artworks_still_gets_a_list(tmp_path: Path) -> None:
    lake = Lake(recipe_in(tmp_path).store.lake)
    dismissals = [
        {"user_id": "dan", "artwork_id": artwork, "kind": "dismiss", "positive": False, "negative": True, "seen": True, "occurred_at": NOON, "simulated": False}
        for artwork in ("a1", "b1", "a2", "b2")
    ]  # fmt: skip
    write_world(lake, histories=pl.DataFrame(dismissals))
    rows = scored(tmp_path)["recommendations"].filter(pl.col("user_id") == "dan")
    assert rows["artwork_id"].to_list() == ["a3", "b3"]


@pytest.mark.parametrize(
    ("table", "frame", "message"),
    [
        ("item_vectors", {"artwork_id": ["a1"], "model_version": ["3"], "vector": [[1.0, 0.0]]}, "5 artworks of the catalogue have no vector"),
        ("user_vectors", {"user_id": ["ann"], "model_version": ["2"], "vector": [[1.0, 0.0]]}, "2 model versions \\(2, 3\\)"),
        ("user_vectors", {"user_id": ["ann", "bob"], "model_version": ["3"] * 2, "vector": [[1.0], [1.0, 0.0]]}, "vectors of different lengths"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_together_are_an_error(
    tmp_path: Path, table: str, frame: dict[str, Any], message: str
) -> None:
    lake = Lake(recipe_in(tmp_path).store.lake)
    write_world(lake, **{table: pl.DataFrame(frame)})
    with pytest.raises(ArtrecError, match=message):
        scored(tmp_path)


def test_vectors_of_an_embed_that_was_killed_halfway_are_not_scored(tmp_path: Path) -> None:
    lake = Lake(recipe_in(tmp_path).store.lake)
    write_world(lake)
    # Perhaps of another model, which is also version 3 in its registry.
    parts = lake.manifest("item_vectors", DAY).parts
    lake.commit("item_vectors", DAY, {"all": parts}, fingerprint="g", code_version="c")
    with pytest.raises(ArtrecError, match=f"several runs of embed; run `artrec embed --date {DAY}` again"):
        scored(tmp_path)


def test_a_missing_input_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtrecError, match="run `artrec prepare --date 2026-03-30` first"):
        run_step(STEP, recipe_in(tmp_path), DAY)


def test_users_without_vectors_get_popular_artworks(tmp_path: Path) -> None:
    lake = Lake(recipe_in(tmp_path).store.lake)
    write_world(lake, user_vectors=pl.DataFrame(schema=LAKE["user_vectors"]))
    rows = scored(tmp_path)["recommendations"]
    assert rows["user_id"].n_unique() == 4
    assert np.isfinite(rows["score"].to_numpy()).all()
