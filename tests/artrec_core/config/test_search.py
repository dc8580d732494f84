"""The search space of `artrec tune`: how it is written, and what is wrong with one that cannot be searched."""

from pathlib import Path

import pytest

from artrec_core.config import Range, load
from artrec_core.errors import ConfigError
from tests.artrec_core.config.recipes import write_recipe


@pytest.mark.parametrize(
    "text", ["space.model.dropout = {X}", "space.'model.dropout' = {X}", "[tune.space.model]\ndropout = {X}"]
)
def test_what_is_searched_is_written_with_dots_quotes_or_tables(tmp_path: Path, text: str) -> None:
    path = write_recipe(tmp_path, "[tune]\n" + text.replace("{X}", "{ low = 0, high = 0.5 }") + "\n")
    assert load(path).tune.space == {"model.dropout": Range(low=0.0, high=0.5)}


def test_choices_are_as_the_recipe_would_hold_them_and_an_override_replaces_them(tmp_path: Path) -> None:
    lines = "[tune.space]\nmodel.dropout = [0, 0.5, 0.0]\ntrain.user_batch = { low = 8, high = 64, log = true }\n"
    path = write_recipe(tmp_path, lines)
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
        load(write_recipe(tmp_path), [override])
