"""The lines of a strategy on six artworks and four people: the rows that each changes, and that it changes no others."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import LAKE, conform
from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError, GateFailed
from artrec_core.lake import Lake
from artrec_core.warehouse import open_warehouse
from jobs import publish, score
from jobs.step import run_step
from tests.artrec_core.recs.scoring_worlds import ARTWORK_VECTORS, DAY, lists
from tests.jobs.scored_world import recipe_in, scored, write_world

SCORE = {"k": 3, "similar_k": 2, "audience_k": 2, "popular_k": 2}
PLAIN = {"ann": ["a2", "a3", "b3"], "bob": ["b2", "a3", "a2"], "cleo": ["b1", "b2", "b3"], "dan": ["a1", "b1", "a2"]}


def listed(folder: Path, **line: Any) -> dict[str, list[str]]:
    """The lists of everyone by a strategy with this line; the numbers of a list are asserted to hold together."""
    rows = scored(folder, strategies=[{"name": "main", **line}])["recommendations"]
    assert rows["rank"].to_list() == [n for _, part in rows.group_by("user_id", maintain_order=True) for n in range(1, part.height + 1)]  # fmt: skip
    assert not rows.select("user_id", "artwork_id").is_duplicated().any()
    assert rows["reason"].null_count() == 0
    return lists(rows, "user_id", "artwork_id")


def with_facets(lake: Lake, **facets: list[Any]) -> None:
    """Write the world with more columns in its catalogue, given in order of a1, a2, a3, b1, b2, b3."""
    write_world(lake)
    catalogue = lake.read("catalogue", DAY).drop(facets.keys())
    more = pl.DataFrame({"artwork_id": list(ARTWORK_VECTORS), **facets}, strict=False)
    rewrite(lake, "catalogue", catalogue.join(more, on="artwork_id"))


def rewrite(lake: Lake, table: str, frame: pl.DataFrame, day: str = DAY) -> None:
    part = lake.write_part(table, day, conform(frame, LAKE[table]))
    lake.commit(table, day, {"all": [part]}, fingerprint="f", code_version="c")


def lake_in(folder: Path) -> Lake:
    return Lake(recipe_in(folder).store.lake)


def changed(lake: Lake) -> list[dict[str, Any]]:
    found = lake.manifest("recommendations", DAY).figures["changes"]
    return list(json.loads(json.dumps(found)))


def test_a_filter_holds_for_people_unknown_and_known_and_for_the_other_tables(tmp_path: Path) -> None:
    tables = scored(tmp_path, strategies=[{"name": "main", "filters": {"museums": ["Prado"]}}])
    assert lists(tables["recommendations"], "user_id", "artwork_id") == {
        "ann": ["b3", "b2", "b1"], "bob": ["b2"], "cleo": ["b1", "b2", "b3"], "dan": ["b1", "b2", "b3"],
    }  # fmt: skip
    assert set(tables["popular_artworks"]["segment"]) == {"overall", "museum:Prado", "movement:Cubism"}
    # A work that is filtered out may still be looked at, and then leads to works that are not.
    similar = lists(tables["similar_artworks"], "artwork_id", "other_artwork_id")
    assert similar["a1"] == ["b3", "b2"]
    assert similar["b3"] == ["b2", "b1"]
    assert set(tables["artwork_audiences"]["artwork_id"]) == {"b1", "b2", "b3"}


def test_a_filter_that_leaves_nothing_stops_the_step_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(
        ArtrecError, match=r"strategy 'main': the filter museums = \['Louvre'\] removes all of the remaining 6 artworks"
    ):
        scored(tmp_path, strategies=[{"name": "main", "filters": {"museums": ["Louvre"]}}])


def test_who_has_seen_all_that_a_filter_leaves_gets_popular_works_beyond_it(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    with_facets(lake, licence=["CC0"] + [None] * 5)
    found = listed(tmp_path, filters={"licences": ["CC0"]})
    # Ann has seen a1, the only work that the filter leaves.
    assert found == {"ann": ["b1", "a2", "b2"], "bob": ["a1"], "cleo": ["a1"], "dan": ["a1"]}
    assert lake.manifest("recommendations", DAY).figures["lists_that_gave_way"] == {"main": {"beyond_filters": 1}}
    rows = lake.read("recommendations", DAY).filter(pl.col("user_id") == "ann")
    assert rows["score"].to_list() == [0, 0, 0]
    assert rows["reason"][0] == "Popular with visitors of Prado"


def blocked_everywhere(tables: dict[str, pl.DataFrame], work: str) -> None:
    for name, rows in tables.items():
        columns = [column for column in ("artwork_id", "other_artwork_id") if column in rows.columns]
        assert columns, name
        assert not rows.select(pl.any_horizontal(pl.col(columns) == work)).to_series().any(), name


def test_a_blocked_work_is_in_no_table(tmp_path: Path) -> None:
    tables = scored(tmp_path, score={**SCORE, "block": {"artworks": ["b1"]}})
    blocked_everywhere(tables, "b1")
    assert lists(tables["recommendations"], "user_id", "artwork_id") == {
        "ann": ["a2", "a3", "b3"], "bob": ["b2", "a3", "a2"], "cleo": ["b2", "b3", "a3"], "dan": ["a1", "b2", "a2"],
    }  # fmt: skip
    assert lake_in(tmp_path).manifest("recommendations", DAY).figures["works_blocked"] == {"main": 1}


def test_a_block_list_of_a_strategy_holds_for_it_alone(tmp_path: Path) -> None:
    strategies = [{"name": "main"}, {"name": "other", "block": {"artworks": ["a2", "b1"]}}]
    rows = scored(tmp_path, strategies=strategies)["recommendations"]
    assert lists(rows.filter(pl.col("strategy") == "main"), "user_id", "artwork_id") == PLAIN
    other = rows.filter(pl.col("strategy") == "other")
    assert not other["artwork_id"].is_in(["a2", "b1"]).any()
    assert other["user_id"].n_unique() == 4


def test_a_block_list_may_leave_less_than_a_list_and_warns_of_what_it_does_not_find(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "artrec")
    found = listed(tmp_path, block={"artworks": ["a1", "a2", "a3", "b1", "zz"]})
    assert found == {"ann": ["b3", "b2"], "bob": ["b2"], "cleo": ["b2", "b3"], "dan": ["b2", "b3"]}
    assert "strategy main: 1 entries of the block list match no artwork: zz" in caplog.text
    assert "leave 2 artworks for lists of 3" in caplog.text


def test_an_edited_block_file_is_scored_and_published_again(tmp_path: Path) -> None:
    file = tmp_path / "block.txt"
    file.write_text("b1\n")
    recipe = recipe_in(tmp_path, score={**SCORE, "block": {"file": str(file)}})
    write_world(Lake(recipe.store.lake))
    blocked_everywhere(scored_again(recipe), "b1")
    run_step(publish.STEP, recipe, DAY)
    file.write_text("a2\n")
    # What was scored before the edit is not published after it.
    with pytest.raises(GateFailed, match="blocked_works_are_out"):
        run_step(publish.STEP, recipe, DAY)
    blocked_everywhere(scored_again(recipe), "a2")
    run_step(publish.STEP, recipe, DAY)


def scored_again(recipe: Recipe) -> dict[str, pl.DataFrame]:
    run_step(score.STEP, recipe, DAY)
    return {table: Lake(recipe.store.lake).read(table, DAY) for table in score.TABLES}


def creators(*names: str | None) -> list[list[dict[str, str | None]]]:
    return [[{"name": name}] for name in names]


@pytest.mark.parametrize("candidates", [1, 5])
def test_a_cap_a_creator_looks_beyond_the_candidates_for_works_by_others(tmp_path: Path, candidates: int) -> None:
    with_facets(lake_in(tmp_path), creators=creators("X", "X", "X", "Y", "Z", "Z"))
    rows = scored(
        tmp_path, score={**SCORE, "candidates": candidates}, strategies=[{"name": "main", "caps": {"creator": 1}}]
    )
    found = lists(rows["recommendations"], "user_id", "artwork_id")
    # Bob has seen b1 and b3: of two creators left he gets one work each, and a third place gives way.
    assert found == {
        "ann": ["a2", "b3", "b1"], "bob": ["b2", "a3", "a2"], "cleo": ["b1", "b2", "a3"], "dan": ["a1", "b1", "b2"],
    }  # fmt: skip
    figures = lake_in(tmp_path).manifest("recommendations", DAY).figures
    assert figures["lists_that_gave_way"] == {"main": {"creator_cap": 1}}


def test_a_cap_a_source(tmp_path: Path) -> None:
    found = listed(tmp_path, caps={"source": 2})
    # The museum stands for the source where records name none.
    assert found == {**PLAIN, "cleo": ["b1", "b2", "a3"]}


def test_variety_brings_what_the_others_are_not(tmp_path: Path) -> None:
    found = listed(tmp_path, diversity={"mmr_lambda": 0.5})
    assert found["cleo"][0] == "b1"
    assert {one[0] for one in found["cleo"]} == {"a", "b"}
    (change,) = changed(lake_in(tmp_path))
    assert change["what"] == "diversity"
    assert change["diversity"][1] > change["diversity"][0]
    assert change["score_kept"] < 1
    assert change["overlap"] < 1


def test_variety_may_go_by_text(tmp_path: Path) -> None:
    by_item = listed(tmp_path / "item", diversity={"mmr_lambda": 0.3})
    by_text = listed(tmp_path / "text", diversity={"mmr_lambda": 0.3, "by": "text"})
    assert by_item.keys() == by_text.keys()


def test_a_floor_brings_the_best_of_its_group_from_beyond_the_candidates(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    gender = {"gender": "female"}
    with_facets(lake, creators=[[{"name": "X", **gender}], [], [], [], [], [{"name": "Z", **gender}]])
    rows = scored(
        tmp_path, score={**SCORE, "candidates": 1},
        strategies=[{"name": "main", "floors": [{"group": "gender:female", "share": 0.34}]}],
    )["recommendations"]  # fmt: skip
    # Two places of three. Ann has seen a1 and Bob b3: of one work each there is none beside the other.
    assert lists(rows, "user_id", "artwork_id") == {
        "ann": ["a2", "a3", "b3"], "bob": ["b2", "a3", "a1"], "cleo": ["b1", "b3", "a1"], "dan": ["a1", "b1", "b3"],
    }  # fmt: skip
    assert lake.manifest("recommendations", DAY).figures["lists_that_gave_way"] == {"main": {"floors": 2}}
    (change,) = changed(lake)
    before, after = change["floors"]["gender:female"]
    assert after > before


def test_a_floor_that_a_cap_hinders_looks_for_more_of_its_group(tmp_path: Path) -> None:
    x, z = {"name": "X", "gender": "female"}, {"name": "Z", "gender": "female"}
    with_facets(lake_in(tmp_path), creators=[[x], [x], [x], [z], *creators("Y", "W")])
    line = {"caps": {"creator": 1}, "floors": [{"group": "gender:female", "share": 1.0}]}
    rows = scored(tmp_path, score={**SCORE, "k": 2, "candidates": 1}, strategies=[{"name": "main", **line}])
    # Ann's candidates a2 and a3 are both X's. The best works by others, b3 and b2, are no woman's; b1 scores less than they do.
    assert lists(rows["recommendations"], "user_id", "artwork_id")["ann"] == ["a2", "b1"]


def test_a_floor_for_no_work_warns_and_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "artrec")
    assert listed(tmp_path, floors=[{"group": "gender:female", "share": 0.5}]) == PLAIN
    assert "no artwork that it may show is in the floor's group gender:female" in caplog.text


def test_new_works_get_their_share(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    write_world(lake)
    old = lake.read("catalogue", DAY).filter(pl.col("artwork_id") != "b2")
    rewrite(lake, "catalogue", old, "2026-03-01")
    found = listed(tmp_path, exploration={"share": 0.3})
    # b2 alone was not there before: it takes a place drawn for each person, not the first, and the others keep their order.
    assert [works.index("b2") > 0 for works in found.values()] == [True] * 4
    assert {person: [one for one in works if one != "b2"] for person, works in found.items()} == {
        "ann": ["a2", "a3"], "bob": ["a3", "a2"], "cleo": ["b1", "b3"], "dan": ["a1", "b1"],
    }  # fmt: skip


def test_exploration_is_drawn_anew_by_seed_and_the_same_again(tmp_path: Path) -> None:
    lists_of = [
        listed(tmp_path / str(number), exploration={"share": 0.34, "nights": None, "max_users": 1, "seed": seed})
        for number, seed in enumerate((0, 0, 1, 2, 3))
    ]
    assert lists_of[0] == lists_of[1]
    assert len({json.dumps(one) for one in lists_of}) > 2


EVERY_LINE = {
    "filters": {"year_from": 1000}, "block": {"artworks": ["b3"]}, "caps": {"creator": 2, "source": 3},
    "diversity": {"mmr_lambda": 0.6}, "exploration": {"share": 0.2, "nights": None, "max_users": 0},
    "floors": [{"group": "museum:Prado", "share": 0.3}, {"group": "gender:female", "share": 0.3}],
}  # fmt: skip


@pytest.mark.parametrize("shard_users", [1, 3])
def test_shards_and_threads_never_change_a_table(tmp_path: Path, shard_users: int) -> None:
    for name in ("whole", "cut"):
        with_facets(lake_in(tmp_path / name), year_from=[1900] * 6, creators=creators("X", "X", "X", "Y", "Z", "Z"))
    strategies = [{"name": "main", **EVERY_LINE}]
    whole = scored(tmp_path / "whole", strategies=strategies, score={**SCORE, "threads": 1})
    cut = scored(tmp_path / "cut", strategies=strategies, score={**SCORE, "shard_users": shard_users, "threads": 3})
    assert all(cut[table].equals(whole[table]) for table in whole)
    told = [lake_in(tmp_path / name).manifest("recommendations", DAY).figures for name in ("whole", "cut")]
    assert told[0]["lists_that_gave_way"] == told[1]["lists_that_gave_way"]
    assert changed(lake_in(tmp_path / "whole")) == changed(lake_in(tmp_path / "cut"))


def test_what_each_line_changes_is_told(tmp_path: Path) -> None:
    with_facets(lake_in(tmp_path), year_from=[1900] * 6, creators=creators("X", "X", "X", "Y", "Z", "Z"))
    listed(tmp_path, **EVERY_LINE)
    told = changed(lake_in(tmp_path))
    assert [one["what"] for one in told] == [
        "filters and block lists", "caps", "diversity", "exploration", "floors", "all of these",
    ]  # fmt: skip
    assert {one["people"] for one in told} == {3}
    assert all(one["score_kept"] <= 1.0001 and 0 <= one["overlap"] <= 1 for one in told)


@pytest.mark.parametrize("line", [{}, EVERY_LINE], ids=["plain", "every line"])
def test_two_strategies_are_published_each_a_slice(tmp_path: Path, line: dict[str, Any]) -> None:
    strategies = [
        {"name": "main"},
        {"name": "b", "weights": {"history": 0.5, "text": 0.5}, "alignment": "cosine", **line},
    ]
    recipe = recipe_in(tmp_path, strategies=strategies)
    lake = Lake(recipe.store.lake)
    with_facets(lake, year_from=[1900] * 6, creators=creators("X", "X", "X", "Y", "Z", "Z"))
    run_step(score.STEP, recipe, DAY)
    run_step(publish.STEP, recipe, DAY)
    read = open_warehouse(recipe.store.warehouse).query
    by_strategy = read("SELECT * FROM artrec.recommendations_by_strategy_current ORDER BY strategy, user_id, rank")
    written = lake.read("recommendations", DAY).sort("strategy", "user_id", "rank")
    assert by_strategy.select("strategy", "user_id", "rank", "artwork_id").equals(
        written.select("strategy", "user_id", "rank", "artwork_id")
    )
    assert by_strategy.group_by("strategy").agg(pl.col("user_id").n_unique()).sort("strategy").rows() == [("b", 4), ("main", 4)]  # fmt: skip
    served = read("SELECT DISTINCT strategy FROM artrec.recommendations_current")
    assert served.rows() == [("main",)]


def test_interests_alone_are_enough_for_a_strategy_of_texts(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    write_world(lake, user_vectors=pl.DataFrame(schema=LAKE["user_vectors"]))
    tables = scored(tmp_path, strategies=[{"name": "main", "weights": {"history": 0, "text": 1}}])
    rows = tables["recommendations"].filter(pl.col("user_id") == "cleo")
    assert rows["artwork_id"].to_list() == ["b1", "b2", "b3"]
    assert rows["reason"].to_list() == ["Matches your interest in cubism"] * 3
    assert rows["score"].to_list() == sorted(rows["score"].to_list(), reverse=True)
    assert rows["score"][0] > 0
    assert tables["recommendations"]["user_id"].n_unique() == 4


def test_interests_encoded_by_another_text_tower_say_what_to_run(tmp_path: Path) -> None:
    other = pl.DataFrame({"text_tower": ["u"], "interests": ["ballet, cubism"], "vector": [[1.0, 0.0, 0.0]]})
    write_world(lake_in(tmp_path), interest_vectors=other)
    with pytest.raises(ArtrecError, match="run `artrec embed --date 2026-03-30` first"):
        scored(tmp_path, strategies=[{"name": "main", "weights": {"text": 1}}])


def test_every_pair_is_kept_where_asked_with_the_scores_of_the_lists(tmp_path: Path) -> None:
    keep = {**SCORE, "keep_all_pairs": True, "block": {"artworks": ["b1"]}}
    strategies = [{"name": "main"}, {"name": "b", "weights": {"history": 0.5, "popularity": 1}}]
    tables = scored(tmp_path, score=keep, strategies=strategies)
    pairs = lake_in(tmp_path).read("all_pairs", DAY)
    assert pairs.columns == ["user_id", "artwork_id", "strategy", "score"]
    assert pairs.schema["score"] == pl.Float32
    assert pairs.height == 4 * 6 * 2 == pairs.select("user_id", "artwork_id", "strategy").unique().height
    ranked = tables["recommendations"].filter((pl.col("user_id") != "dan") | (pl.col("strategy") == "b"))
    both = ranked.join(pairs, on=["user_id", "artwork_id", "strategy"], suffix="_of_pair")
    own = both.filter(pl.col("score") != 0)
    assert own.height > 15
    assert (own["score"] == own["score_of_pair"]).all()


def test_every_pair_is_made_some_people_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = {**SCORE, "keep_all_pairs": True}
    scored(tmp_path / "whole", score=keep)
    monkeypatch.setattr("artrec_core.recs.tables.all_pairs.PAIRS_IN_PIECE", 12)
    scored(tmp_path / "cut", score=keep)
    whole, cut = (lake_in(tmp_path / name).manifest("all_pairs", DAY) for name in ("whole", "cut"))
    assert (len(whole.parts), len(cut.parts)) == (1, 2)
    assert lake_in(tmp_path / "cut").read("all_pairs", DAY).equals(lake_in(tmp_path / "whole").read("all_pairs", DAY))


def test_every_pair_is_refused_where_the_disk_could_not_hold_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lake, "free_bytes", lambda lake: 239)
    with pytest.raises(
        ArtrecError, match=r"4 users x 6 artworks x 1 strategies are about 240 bytes, and .* has 239 free"
    ):
        scored(tmp_path, score={**SCORE, "keep_all_pairs": True})


def test_lists_of_many_people_hold_all_their_lines(tmp_path: Path) -> None:
    """Sixty people and forty works at random: whatever the lines, lists are whole, unseen and unblocked."""
    rng = np.random.default_rng(0)
    works, people = [f"w{n:02}" for n in range(40)], [f"u{n:02}" for n in range(60)]
    lake = lake_in(tmp_path)
    catalogue = pl.DataFrame(
        {
            "artwork_id": works, "source": [f"s{n % 3}" for n in range(40)], "content_hash": works, "year_from": 1900,
            "creators": [[{"name": f"c{n % 7}", "gender": "female" if n % 5 == 0 else None}] for n in range(40)],
        }
    )  # fmt: skip
    seen = [(user, works[n]) for user in people[:50] for n in rng.permutation(40)[: rng.integers(1, 30)]]
    events = pl.DataFrame(seen, schema=["user_id", "artwork_id"], orient="row").with_columns(
        pl.lit("like").alias("kind"),
        positive=pl.lit(True),
        negative=pl.lit(False),
        seen=pl.lit(True),
        simulated=pl.lit(False),
    )
    vectors = lambda names, key: pl.DataFrame({key: names, "model_version": "1", "vector": rng.standard_normal((len(names), 4)).astype(np.float32).tolist()})  # noqa: E731  # fmt: skip
    write_world(
        lake, catalogue=catalogue, people=pl.DataFrame({"user_id": people, "simulated": False}), histories=events,
        item_vectors=vectors(works, "artwork_id"), user_vectors=vectors(people, "user_id"),
    )  # fmt: skip
    line = {**EVERY_LINE, "block": {"artworks": works[:3]}, "floors": [{"group": "gender:female", "share": 0.2}]}
    rows = scored(tmp_path, score={**SCORE, "k": 6, "candidates": 2}, strategies=[{"name": "main", **line}])[
        "recommendations"
    ]
    assert rows.join(events, on=["user_id", "artwork_id"]).height == 0
    assert not rows["artwork_id"].is_in(works[:3]).any()
    left = {user: 37 - sum(1 for one, work in seen if one == user and work not in works[:3]) for user in people}
    assert dict(rows.group_by("user_id").len().rows()) == {user: min(6, many) for user, many in left.items()}
    told = rows.join(catalogue.with_columns(pl.col("creators").list.first().struct.unnest()), on="artwork_id")
    assert told.group_by("user_id", "name").len()["len"].max() == 2
    assert told.group_by("user_id", "source").len()["len"].max() == 3
