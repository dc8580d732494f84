"""The best recipe as TOML: the old one with other values, and nothing lost."""

from pathlib import Path

import pytest

from artrec_core.config import load
from jobs.tuning import recipe as tuned_recipe
from tests.conftest import ROOT

RECIPE = """# artrec nightly --config old.toml --date 2026-03-30
#
# What this recipe is about.
name = "small"
[store]
lake = "${TUNED_LAKE:-lake}"  # where the tables are
warehouse = "w.duckdb"
mlflow = "sqlite:///m.db"
artifacts = "artifacts"
work = "work"
[model]
dropout = 0.4  # tried by hand
layers = 2
[[sources]]
name = "demo"
kind = "demo"
"""


def test_values_change_and_remarks_stay(tmp_path: Path) -> None:
    old, out = tmp_path / "old.toml", tmp_path / "new" / "best.toml"
    old.write_text(RECIPE)
    values = {"model.dropout": 0.25, "model.layers": 1, "model.dim": 64, "train.user_learning_rate": 0.0123}
    tuned_recipe.write(str(old), ["train.user_epochs=7", "sources.0.limit=9"], values, out, ["artrec nightly", "found"])
    text = out.read_text()
    assert text.startswith("# artrec nightly\n# found\n#\n# What this recipe is about.\n")
    assert 'lake = "${TUNED_LAKE:-lake}"  # where the tables are' in text
    assert "dropout = 0.25  # tried by hand" in text
    assert "layers = 1 # was 2" in text
    assert "dim" not in text  # it was 64 before
    found = load(out)
    assert (found.train.user_learning_rate, found.train.user_epochs, found.sources[0].limit) == (0.0123, 7, 9)
    assert sorted(path.name for path in out.parent.iterdir()) == ["best.toml"]


@pytest.mark.parametrize("path", sorted((ROOT / "infra" / "recipes").glob("*.toml")), ids=lambda path: path.name)
def test_every_recipe_shipped_can_be_written_with_other_values(path: Path, tmp_path: Path) -> None:
    values = {"model.dropout": 0.123, "model.id_dropout": 0.3, "train.user_learning_rate": 0.0077, "train.patience": 3}
    tuned_recipe.write(str(path), [], values, tmp_path / "best.toml", ["artrec nightly"])
    assert load(tmp_path / "best.toml").model.dropout == 0.123


def test_a_password_of_the_command_line_is_not_kept(tmp_path: Path) -> None:
    old, out = tmp_path / "old.toml", tmp_path / "best.toml"
    old.write_text(RECIPE)
    overrides = ["store.warehouse=postgresql://u:s3cret@h/db", "train.user_epochs=7"]
    tuned_recipe.write(str(old), overrides, {"model.layers": 1}, out, ["found"])
    text = out.read_text()
    assert "s3cret" not in text
    assert text.startswith("# found\n# give again, with its password: --set store.warehouse=postgresql://***@h/db\n")
    assert load(out).store.warehouse == "w.duckdb"
    assert load(out).train.user_epochs == 7
