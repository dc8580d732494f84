"""Tables of one run pass, tables of two do not; digests of block lists follow the files."""

from pathlib import Path

import pytest

from artrec_core.errors import ArtrecError
from artrec_core.lake import Lake
from jobs.scoring.inputs import block_digests, check_one_run
from jobs.step import Night
from tests.artrec_core.recs.scoring_worlds import DAY
from tests.jobs.scored_world import recipe_in, write_world

TABLES = ("item_vectors", "user_vectors")


def test_tables_of_several_runs_are_an_error_that_names_the_step(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    lake, night = Lake(recipe.store.lake), Night(recipe, DAY)
    write_world(lake)
    check_one_run(night, TABLES, "embed")
    parts = lake.manifest("item_vectors", DAY).parts
    lake.commit("item_vectors", DAY, {"all": parts}, fingerprint="another run", code_version="c")
    with pytest.raises(ArtrecError, match=f"several runs of embed; run `artrec embed --date {DAY}` again"):
        check_one_run(night, TABLES, "embed")


def test_a_block_list_has_the_digest_of_its_content(tmp_path: Path) -> None:
    everywhere, main = tmp_path / "everywhere.txt", tmp_path / "main.txt"
    everywhere.write_text("a1\n")
    main.write_text("b1\n")
    recipe = recipe_in(
        tmp_path,
        score={"block": {"file": str(everywhere)}},
        strategies=[{"name": "main", "block": {"file": str(main)}}, {"name": "other"}],
    )
    before = block_digests(recipe)
    assert sorted(before) == [f"block:{everywhere}", f"block:{main}"]
    main.write_text("b2\n")
    after = block_digests(recipe)
    assert after[f"block:{everywhere}"] == before[f"block:{everywhere}"]
    assert after[f"block:{main}"] != before[f"block:{main}"]
    assert block_digests(recipe_in(tmp_path)) == {}
