"""Settings of the towers, their training and the gate: which values are allowed."""

from typing import Any

import pytest

from artrec_core.config import Encode, Gate, Model, Section, Train


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (Model, {"dropout": "auto", "id_dropout": 0.5, "layers": 0}),
        (Train, {"text_epochs": 0, "user_epochs": "auto", "user_batch": 1, "shuffled": 1.0, "matching": 0.0}),
        (Gate, {"ask": "always", "max_drop": 0.0, "min_users": 1}),
        (Encode, {"batch_tokens": 256}),
    ],
)
def test_the_ends_of_the_ranges_and_auto_are_allowed(section: type[Section], values: dict[str, Any]) -> None:
    assert section.model_validate(values).model_dump(include=set(values)) == values


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (Model, "dropout", 1.1),
        (Model, "dropout", "automatic"),
        (Model, "layers_kept", 0),
        (Model, "precision", "float16"),
        (Train, "text_learning_rate", 0.0),
        (Train, "user_epochs", 0),
        (Train, "text_batch", 1),
        (Gate, "ask", "sometimes"),
        (Gate, "margin", -0.1),
        (Encode, "batch_tokens", 255),
    ],
)
def test_a_value_out_of_range_is_refused(section: type[Section], key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        section.model_validate({key: value})
