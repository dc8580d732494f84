"""What all sections share: unknown keys are refused, values cannot change, and names fit into ids."""

import pytest
from pydantic import ValidationError

from artrec_core.config import Name, Section, Share
from artrec_core.config.sections import nearest


class Small(Section):
    """A section with a name and a share."""

    name: Name
    share: Share = 0.5


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="nmae"):
        Small.model_validate({"name": "a", "nmae": "b"})


def test_a_value_cannot_be_changed() -> None:
    section = Small(name="a")
    with pytest.raises(ValidationError, match="frozen"):
        section.name = "b"  # type: ignore[misc]


def test_an_error_does_not_quote_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Small.model_validate({"name": "postgresql://u:s3cret@h/db"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "0", "walters-places_2", "a" * 64])
def test_names_are_lower_case_letters_digits_hyphens_and_underscores(name: str) -> None:
    assert Small(name=name).name == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a:b", "a b", "é", "a" * 65])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Small(name=name)


@pytest.mark.parametrize("share", [-0.01, 1.01])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ValidationError):
        Small(name="a", share=share)


def test_the_nearest_word_is_a_similar_one_or_none() -> None:
    assert nearest("user_epoch", ["user_batch", "user_epochs", "seed"]) == "user_epochs"
    assert nearest("colour", ["user_batch", "seed"]) is None
