"""The recipe: one validated configuration whose errors name the key."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from artrec_core.config import Range, Store, load
from artrec_core.errors import ConfigError

RECIPES = sorted((Path(__file__).parents[2] / "infra" / "recipes").glob("*.toml"))

SMALLEST = """
name = "small"
[store]
lake = "lake"
warehouse = "w.duckdb"
mlflow = "sqlite:///m.db"
artifacts = "artifacts"
work = "work"
[[sources]]
name = "demo"
kind = "demo"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_the_recipes_shipped_are_found() -> None:
    assert {"demo.toml", "museums.toml", "movielens.toml"} <= {path.name for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_shipped_reads_and_opens_with_its_command(path: Path) -> None:
    assert load(path).name == path.stem.replace("_", "-")
    opening = path.read_text().splitlines()[0]
    command = rf"artrec (nightly|train|evaluate) --config infra/recipes/{path.name} --date \d"
    assert re.match(rf"# (\w+=\S+ )?{command}", opening)


def test_a_misspelt_key_is_named_with_the_nearest_right_one(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST + "[train]\nuser_epoch = 3\n")
    with pytest.raises(ConfigError, match=r"unknown key `train\.user_epoch`; did you mean `user_epochs`\?"):
        load(path)


def test_a_misspelt_key_in_a_list_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key `sources\.0\.pth`; did you mean `path`\?"):
        load(written(tmp_path, SMALLEST + 'pth = "x"\n'))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`store\.warehouse` is missing"):
        load(written(tmp_path, SMALLEST.replace('warehouse = "w.duckdb"\n', "")))


@pytest.mark.parametrize(
    ("override", "value"),
    [("train.text_epochs=7", 7), ("train.text_epochs= 7", 7)],
)
def test_an_override_replaces_one_value(tmp_path: Path, override: str, value: int) -> None:
    assert load(written(tmp_path, SMALLEST), [override]).train.text_epochs == value


def test_an_override_reaches_into_lists_and_takes_bare_text(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, SMALLEST), ["sources.0.museum=Louvre", "model.base=folder:/m"])
    assert recipe.sources[0].museum == "Louvre"
    assert recipe.model.base == "folder:/m"


@pytest.mark.parametrize("override", ["train.text_epochs", "=3", "sources.museum=x", "name.x=1"])
def test_an_override_in_another_form_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load(written(tmp_path, SMALLEST), [override])


def test_variables_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, SMALLEST.replace("w.duckdb", "${PLACE:-here}/w.duckdb"))
    assert load(path).store.warehouse == "here/w.duckdb"
    monkeypatch.setenv("PLACE", "/there")
    assert load(path).store.warehouse == "/there/w.duckdb"


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ARTREC_NOT_SET"):
        load(written(tmp_path, SMALLEST.replace("w.duckdb", "${ARTREC_NOT_SET}")))


def test_a_recipe_that_is_not_there_says_where_the_shipped_ones_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="infra/recipes/"):
        load(tmp_path / "none.toml")


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'demo' is used twice"):
        load(written(tmp_path, SMALLEST + '[[sources]]\nname = "demo"\nkind = "demo"\n'))


def test_users_do_not_take_the_name_of_a_simulated_source_which_brings_its_own(tmp_path: Path) -> None:
    people = '[[events]]\nname = "app"\nkind = "simulated"\n[[users]]\nname = "app"\npath = "users.csv"\n'
    with pytest.raises(ConfigError, match="users: the name 'app' is used twice"):
        load(written(tmp_path, SMALLEST + people))


def test_a_source_without_its_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a `path`"):
        load(written(tmp_path, SMALLEST + '[[sources]]\nname = "tate"\nkind = "tate"\n'))


def test_a_default_strategy_must_be_one_of_the_strategies(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'other' is not the name of a strategy"):
        load(written(tmp_path, SMALLEST + '[publish]\nstrategy = "other"\n'))


@pytest.mark.parametrize(
    "text", ["space.model.dropout = {X}", "space.'model.dropout' = {X}", "[tune.space.model]\ndropout = {X}"]
)
def test_what_is_searched_is_written_with_dots_quotes_or_tables(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, SMALLEST + "[tune]\n" + text.replace("{X}", "{ low = 0, high = 0.5 }") + "\n")
    assert load(path).tune.space == {"model.dropout": Range(low=0.0, high=0.5)}


def test_choices_are_as_the_recipe_would_hold_them_and_an_override_replaces_them(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        SMALLEST
        + "[tune.space]\nmodel.dropout = [0, 0.5, 0.0]\ntrain.user_batch = { low = 8, high = 64, log = true }\n",
    )
    space = load(path, ["tune.space.model.dropout=[0.1]"]).tune.space
    assert load(path).tune.space["model.dropout"] == [0.0, 0.5]
    assert space == {"model.dropout": [0.1], "train.user_batch": Range(low=8, high=64, log=True)}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "tune.space.model.droput=[0.1]",
            r"there is no key 'model\.droput' of model or train; did you mean `model\.dropout`\?",
        ),
        ("tune.space.store=[1]", "there is no key 'store' of model or train"),
        ("tune.space.train.seed=[0, 1]", r"train\.seed cannot be searched: no value of it makes a better model"),
        ("tune.space.model.layers=[]", r"model\.layers has no choices"),
        ("tune.space.model.layers=2", r"model\.layers takes a list of choices or a range"),
        ("tune.space.model.dropout={low=0.1, hihg=0.5}", r"model\.dropout takes a list of choices or a range"),
        (
            "tune.space.model.dropout={low=0.5, high=0.5}",
            r"model\.dropout: low 0\.5 must be less than high 0\.5",
        ),
        (
            "tune.space.model.dropout={low=0.5, high=1.5}",
            r"model\.dropout = 1\.5: Input should be less than or equal to 1",
        ),
        ("tune.space.train.weight_decay={low=0, high=0.1, log=true}", "a range with log must start above 0, not at 0"),
        ("tune.space.train.user_batch={low=8, high=9.5}", r"train\.user_batch = 9\.5: Input should be a valid integer"),
        ("tune.space.model.tuning={low=1, high=2}", "a range needs two numbers; use a list of choices"),
        ("tune.space.model.dim=[30, 31]", r"tune\.space: model\.dim 31 is not a multiple of model\.heads 2"),
        ("tune.space.model.dim={low=16, high=64}", r"model\.dim and model\.heads need lists"),
    ],
)
def test_a_search_that_cannot_be_says_why(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(written(tmp_path, SMALLEST), [override])


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


def test_a_recipe_that_is_printed_shows_no_password() -> None:
    recipe = load("infra/recipes/demo.toml", ["store.warehouse=postgresql://u:s3cret@h/db"])
    assert "warehouse='postgresql://***@h/db'" in repr(recipe)
    assert "s3cret" not in f"{recipe!r} {recipe.store}"


def test_pydantic_quotes_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Store.model_validate({"warehouse": ["postgresql://u:s3cret@h/db"]})
    assert "s3cret" not in str(caught.value)
