"""The stores of a recipe: their passwords are never shown."""

import pytest
from pydantic import ValidationError

from artrec_core.config import Store, load


def test_a_recipe_that_is_printed_shows_no_password() -> None:
    recipe = load("infra/recipes/demo.toml", ["store.warehouse=postgresql://u:s3cret@h/db"])
    assert "warehouse='postgresql://***@h/db'" in repr(recipe)
    assert "s3cret" not in f"{recipe!r} {recipe.store}"


def test_pydantic_quotes_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Store.model_validate({"warehouse": ["postgresql://u:s3cret@h/db"]})
    assert "s3cret" not in str(caught.value)
