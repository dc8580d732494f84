"""`artrec recipe`: a recipe with all its defaults, and the reference of all keys."""

from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.errors import ConfigError
from jobs.recipe import as_toml, command, markdown_page

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "infra" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_printed_recipe_is_the_same_recipe(path: Path, tmp_path: Path) -> None:
    settings = [
        'tune.space={"model.dim" = [32, 64], "model.dropout" = {low = 0.1, high = 0.5}}',
        "publish.keep_days=30",
    ]
    recipe = load(path, settings)
    printed = tmp_path / "printed.toml"
    printed.write_text(as_toml(recipe))
    assert load(printed) == recipe


def test_a_printed_recipe_has_the_defaults_and_the_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    command(str(ROOT / "infra/recipes/demo.toml"), ["score.k=7"])
    printed = capsys.readouterr().out
    assert "\n[score]\nk = 7\ncandidates = 5\n" in printed


def test_a_printed_recipe_hides_passwords() -> None:
    recipe = load(ROOT / "infra/recipes/demo.toml", ["store.warehouse=postgresql://u:s3cret@h/db"])
    assert 'warehouse = "postgresql://***@h/db"' in as_toml(recipe)


def test_the_page_of_keys_is_in_step_with_the_models() -> None:
    page = (ROOT / "infra/recipes/README.md").read_text()
    assert page == markdown_page(), "run `artrec recipe --help-keys --markdown > infra/recipes/README.md`"


def test_the_page_names_every_shipped_recipe() -> None:
    page = markdown_page()
    assert [path.name for path in RECIPES if f"`{path.name}`" not in page] == []


def test_the_reference_is_printed_as_text_or_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    command(help_keys=True)
    assert "\n[gate]\n" in capsys.readouterr().out
    command(help_keys=True, markdown=True)
    assert capsys.readouterr().out == markdown_page()


def test_a_recipe_or_the_keys_must_be_requested() -> None:
    with pytest.raises(ConfigError, match="needs --config FILE or --help-keys"):
        command()
