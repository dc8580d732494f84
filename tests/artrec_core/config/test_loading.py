"""Reading a recipe: errors that name the key, overrides, and variables of the environment."""

from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.errors import ConfigError
from tests.artrec_core.config.recipes import SMALLEST, write_recipe


def test_a_misspelt_key_is_named_with_the_nearest_right_one(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, "[train]\nuser_epoch = 3\n")
    with pytest.raises(ConfigError, match=r"unknown key `train\.user_epoch`; did you mean `user_epochs`\?"):
        load(path)


def test_a_misspelt_key_in_a_list_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key `sources\.0\.pth`; did you mean `path`\?"):
        load(write_recipe(tmp_path, 'pth = "x"\n'))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`store\.warehouse` is missing"):
        load(write_recipe(tmp_path, start=SMALLEST.replace('warehouse = "w.duckdb"\n', "")))


@pytest.mark.parametrize(
    ("override", "value"),
    [("train.text_epochs=7", 7), ("train.text_epochs= 7", 7)],
)
def test_an_override_replaces_one_value(tmp_path: Path, override: str, value: int) -> None:
    assert load(write_recipe(tmp_path), [override]).train.text_epochs == value


def test_an_override_reaches_into_lists_and_takes_bare_text(tmp_path: Path) -> None:
    recipe = load(write_recipe(tmp_path), ["sources.0.museum=Louvre", "model.base=folder:/m"])
    assert recipe.sources[0].museum == "Louvre"
    assert recipe.model.base == "folder:/m"


@pytest.mark.parametrize("override", ["train.text_epochs", "=3", "sources.museum=x", "name.x=1"])
def test_an_override_in_another_form_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load(write_recipe(tmp_path), [override])


def test_variables_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recipe(tmp_path, start=SMALLEST.replace("w.duckdb", "${PLACE:-here}/w.duckdb"))
    assert load(path).store.warehouse == "here/w.duckdb"
    monkeypatch.setenv("PLACE", "/there")
    assert load(path).store.warehouse == "/there/w.duckdb"


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ARTREC_NOT_SET"):
        load(write_recipe(tmp_path, start=SMALLEST.replace("w.duckdb", "${ARTREC_NOT_SET}")))


def test_a_recipe_that_is_not_there_says_where_the_shipped_ones_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="infra/recipes/"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "override",
    [
        "store.warehouse=['postgresql://u:s3cret@h/db']",
        "store.warehouse.url=postgresql://u:s3cret@h/db",
        "store.warehose=postgresql://u:s3cret@h/db",
        "postgresql://u:s3cret@h/db",
        "sources.name=postgresql://u:s3cret@h/db",
    ],
)
def test_an_error_never_quotes_a_password(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("infra/recipes/demo.toml", [override])
    assert "s3cret" not in str(caught.value)
